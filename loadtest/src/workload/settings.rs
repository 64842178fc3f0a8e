use memtide_protocol::Exptime;
use memtide_protocol::limits::{RELATIVE_EXPTIME_SECS_MAX, RETRIEVE_LINE_BYTES_MAX};
use thiserror::Error;

use super::mix::{Mix, MixError};
use super::names::{KeyNames, KeyNamesError};
use super::popularity::{Popularity, PopularityError, PopularitySampler};
use super::quantity::{self, QuantityError, Span};
use super::shape::{Shape, ShapeError};
use super::sizes::{KeySizes, SizesError, ValueSizes};
use super::values::Values;
use crate::arguments::WorkArguments;

/// What is asked, all flags drawn together: shared by the threads of a run.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    /// Keys in all.
    pub keys: u64,
    /// Their names.
    pub names: KeyNames,
    /// The sizes of their values.
    pub value_sizes: ValueSizes,
    /// How often each is asked for.
    pub popularity: PopularitySampler,
    /// What is done to them.
    pub mix: Mix,
    /// Keys in a `get`, `gets` or `gat`.
    pub multiget: Span,
    /// Seconds to live of what is stored; 0 is for ever.
    pub ttl: Span,
    /// Whether a miss is followed by a set of that key.
    pub look_aside: bool,
    /// Whether values of keys that were not asked for are taken too.
    pub is_any_reply: bool,
    /// The values' bytes.
    pub values: Values,
    texts: [(&'static str, String); 7],
}

/// A flag, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("--{flag}: {problem}")]
pub struct SettingsError {
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// What is wrong.
    pub problem: SettingsProblem,
}

/// What is wrong with a flag.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each says it")]
pub enum SettingsProblem {
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    #[error(transparent)]
    Sizes(#[from] SizesError),
    #[error(transparent)]
    Names(#[from] KeyNamesError),
    #[error(transparent)]
    Popularity(#[from] PopularityError),
    #[error(transparent)]
    Mix(#[from] MixError),
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error("a get asks for at least one key")]
    MultigetOfNothing,
    #[error(
        "{keys} keys of up to {key_bytes} bytes do not fit a line of {RETRIEVE_LINE_BYTES_MAX} bytes, \
         the longest that is read"
    )]
    MultigetTooWide { keys: u64, key_bytes: usize },
    #[error("{0:?} is more than 30 days, which a cache would take for a date")]
    TtlTooLong(String),
    #[error("{0:?} is no whole number of seconds")]
    TtlInParts(String),
}

impl LoadSettings {
    /// Reads the flags; those that are not given come from `--shape`, or else are [`Shape::PLAIN`]'s.
    ///
    /// # Errors
    /// When a flag makes no sense, alone or with the others; it names the flag.
    pub fn resolve(work: &WorkArguments) -> Result<Self, SettingsError> {
        let shape = match &work.shape {
            Some(name) => name.parse().map_err(in_flag("shape"))?,
            None => Shape::PLAIN,
        };
        let keys_text = work.keys.as_deref().unwrap_or("100k");
        let key_size = work.key_size.as_deref().unwrap_or(shape.key_size);
        let value_size = work.value_size.as_deref().unwrap_or(shape.value_size);
        let popularity_text = work.popularity.as_deref().unwrap_or(shape.popularity);
        let mix = work.mix.as_deref().unwrap_or(shape.mix);
        let multiget_text = work.multiget.as_deref().unwrap_or("1");
        let ttl_text = work.ttl.as_deref().unwrap_or(shape.ttl);

        let keys = quantity::count(keys_text).map_err(in_flag("keys"))?;
        let key_sizes: KeySizes = key_size.parse().map_err(in_flag("key-size"))?;
        let names = KeyNames::new(key_sizes, keys).map_err(|error| match error {
            KeyNamesError::NoKeys => in_flag("keys")(error),
            KeyNamesError::TooShort { .. } => in_flag("key-size")(error),
        })?;
        let popularity: Popularity = popularity_text.parse().map_err(in_flag("popularity"))?;
        Ok(Self {
            keys,
            names,
            value_sizes: value_size.parse().map_err(in_flag("value-size"))?,
            popularity: PopularitySampler::new(popularity, keys),
            mix: mix.parse().map_err(in_flag("mix"))?,
            multiget: multiget(multiget_text, names).map_err(in_flag("multiget"))?,
            ttl: ttl(ttl_text).map_err(in_flag("ttl"))?,
            look_aside: work.look_aside || shape.look_aside,
            is_any_reply: work.any_reply,
            values: Values::new(),
            texts: [
                ("keys", keys_text.to_owned()),
                ("key size", key_size.to_owned()),
                ("value size", value_size.to_owned()),
                ("popularity", popularity_text.to_owned()),
                ("mix", mix.to_owned()),
                ("multiget", multiget_text.to_owned()),
                ("ttl", ttl_text.to_owned()),
            ],
        })
    }

    /// What was resolved, as pairs to be shown in a report: ("keys", "100k").
    pub fn described(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let flags = self.texts.iter().map(|(name, text)| ((*name).to_owned(), text.clone()));
        let look_aside = self.look_aside.then(|| ("look-aside".to_owned(), "yes".to_owned()));
        flags.chain(look_aside)
    }

    /// An expiry that these random bits choose.
    #[must_use]
    pub fn exptime(&self, bits: u64) -> Exptime {
        let secs = self.ttl.at(bits);
        Exptime::from_wire(i64::try_from(secs).expect("at most 30 days"))
    }
}

fn multiget(text: &str, names: KeyNames) -> Result<Span, SettingsProblem> {
    const COMMAND_BYTES: usize = "gats 2592000\r".len();
    let span = Span::parse(text, quantity::count)?;
    if span.min == 0 {
        return Err(SettingsProblem::MultigetOfNothing);
    }
    let key_bytes = names.bytes_max();
    let room = RETRIEVE_LINE_BYTES_MAX - COMMAND_BYTES;
    let fitting = u64::try_from(room / (key_bytes + 1)).expect("a usize fits");
    if span.max > fitting {
        return Err(SettingsProblem::MultigetTooWide { keys: span.max, key_bytes });
    }
    Ok(span)
}

fn ttl(text: &str) -> Result<Span, SettingsProblem> {
    let span = Span::parse(text, |end| {
        Ok(u64::try_from(quantity::time(end)?.as_nanos()).expect("a time is read into 64 bits"))
    })?;
    let secs = |nanos: u64| {
        let secs = nanos / 1_000_000_000;
        if secs * 1_000_000_000 != nanos {
            return Err(SettingsProblem::TtlInParts(text.to_owned()));
        }
        match i64::try_from(secs) {
            Ok(secs) if secs <= RELATIVE_EXPTIME_SECS_MAX => Ok(()),
            _ => Err(SettingsProblem::TtlTooLong(text.to_owned())),
        }?;
        Ok(secs)
    };
    Ok(Span { min: secs(span.min)?, max: secs(span.max)? })
}

fn in_flag<P: Into<SettingsProblem>>(flag: &'static str) -> impl Fn(P) -> SettingsError {
    move |problem| SettingsError { flag, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(change: impl FnOnce(&mut WorkArguments)) -> String {
        let mut work = WorkArguments::default();
        change(&mut work);
        match LoadSettings::resolve(&work) {
            Ok(_) => "fine".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn nothing_given_is_a_plain_cache() {
        let settings = LoadSettings::resolve(&WorkArguments::default()).expect("defaults");
        assert_eq!(settings.keys, 100_000);
        assert_eq!((settings.multiget, settings.ttl), (Span::one(1), Span::one(0)));
        assert!(!settings.look_aside);
        assert_eq!(settings.exptime(u64::MAX), Exptime::Never);
    }

    #[test]
    fn flags_go_before_the_shape() {
        let work = WorkArguments {
            shape: some("twitter"),
            value_size: some("77"),
            ttl: some("1m-1h"),
            look_aside: true,
            ..WorkArguments::default()
        };
        let settings = LoadSettings::resolve(&work).expect("settings");
        assert_eq!(settings.value_sizes.of(5), 77);
        assert_eq!(settings.ttl, Span { min: 60, max: 3600 });
        let described: Vec<String> =
            settings.described().map(|(name, text)| format!("{name} {text}")).collect();
        assert_eq!(
            described.join("; "),
            "keys 100k; key size twitter; value size 77; popularity zipf:1.2; mix get=80,set=20; \
             multiget 1; ttl 1m-1h; look-aside yes"
        );
    }

    #[test]
    fn every_shape_makes_sense() {
        for shape in ["twitter", "facebook"] {
            assert_eq!(told(|work| work.shape = some(shape)), "fine");
        }
    }

    #[test]
    fn a_flag_that_makes_no_sense_is_named() {
        for (told, line) in [
            (told(|w| w.keys = some("0")), "--keys: there must be at least one key"),
            (
                told(|w| w.key_size = some("4")),
                "--key-size: 100000 keys need names of at least 6 bytes, not 4",
            ),
            (
                told(|w| w.shape = some("google")),
                "--shape: \"google\" is no published cache here: it is one of twitter, facebook",
            ),
            (told(|w| w.multiget = some("0-4")), "--multiget: a get asks for at least one key"),
            (
                told(|w| w.multiget = some("1000")),
                "--multiget: 1000 keys of up to 16 bytes do not fit a line of 16384 bytes, the \
                 longest that is read",
            ),
            (told(|w| w.ttl = some("0.5")), "--ttl: \"0.5\" is no whole number of seconds"),
            (
                told(|w| w.ttl = some("60-721h")),
                "--ttl: \"60-721h\" is more than 30 days, which a cache would take for a date",
            ),
            (
                told(|w| w.mix = some("get=0")),
                "--mix: all shares are 0: at least one command needs more",
            ),
        ] {
            assert_eq!(told, line);
        }
        assert_eq!(told(|w| w.multiget = some("963")), "fine");
        assert_eq!(told(|w| w.ttl = some("720h")), "fine");
    }
}
