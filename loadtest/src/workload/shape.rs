use std::str::FromStr;

use thiserror::Error;

/// Defaults from the published description of a cache, each as its flag would be written: other
/// flags go before them.
///
/// Neither is look-aside: the sets after misses are in the published mix already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `--key-size`
    pub key_size: &'static str,
    /// `--value-size`
    pub value_size: &'static str,
    /// `--popularity`
    pub popularity: &'static str,
    /// `--mix`
    pub mix: &'static str,
    /// `--ttl`
    pub ttl: &'static str,
    /// `--look-aside`
    pub look_aside: bool,
}

/// What is no published cache.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no published cache here: it is one of twitter, facebook")]
pub struct ShapeError(String);

impl Shape {
    /// Twitter's clusters: Yang, Yue, Rashmi: "A large scale analysis of hundreds of in-memory cache
    /// clusters at Twitter", OSDI 2020, and `stat/2020Mar.md` of github.com/twitter/cache-trace.
    ///
    /// The exponent of the popularity is the median of 52 clusters (1.21); 80 % of the requests of 53
    /// clusters are gets, each cluster weighted by its request rate, and the rest is taken as sets
    /// (35 % of the paper's clusters write more than 30 %). Times to live are mostly below 20
    /// minutes in the paper; that they are spread evenly up to it is a choice made here.
    pub const TWITTER: Self = Self {
        key_size: "twitter",
        value_size: "twitter",
        popularity: "zipf:1.2",
        mix: "get=80,set=20",
        ttl: "1-1200",
        look_aside: false,
    };

    /// Facebook's ETC pool: Atikoglu, Xu, Frachtenberg, Jiang, Paleczny: "Workload analysis of a
    /// large-scale key-value store", SIGMETRICS 2012.
    ///
    /// It reports 30 gets for each set. For popularity it prints curves and no model: 0.99 is the
    /// exponent that benchmarks (YCSB) have made the custom. It says nothing of times to live.
    pub const FACEBOOK: Self = Self {
        key_size: "facebook",
        value_size: "facebook",
        popularity: "zipf:0.99",
        mix: "get=30,set=1",
        ttl: "0",
        look_aside: false,
    };

    /// What holds where neither a flag nor a shape says otherwise.
    pub const PLAIN: Self = Self {
        key_size: "16",
        value_size: "100",
        popularity: "uniform",
        mix: "get=90,set=10",
        ttl: "0",
        look_aside: false,
    };
}

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        match text {
            "twitter" => Ok(Self::TWITTER),
            "facebook" => Ok(Self::FACEBOOK),
            _ => Err(ShapeError(text.to_owned())),
        }
    }
}
