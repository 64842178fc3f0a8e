/// What the servers of a load are measured by; less is better in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Server CPU time of a request.
    CpuPerRequest,
    /// The same, divided by the keys of a request.
    CpuPerKey,
    /// The latency that half of the replies have at most.
    P50,
    /// That of 99%.
    P99,
    /// That of 99.9%.
    P999,
    /// Growth of resident memory for each idle connection.
    IdleConnection,
}

impl Measure {
    /// With its unit, as tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuPerRequest => "CPU us/request",
            Self::CpuPerKey => "CPU us/key",
            Self::P50 => "p50 us",
            Self::P99 => "p99 us",
            Self::P999 => "p99.9 us",
            Self::IdleConnection => "KiB/idle connection",
        }
    }

    /// What it is drawn from: the name of a figure in the JSON of a comparison.
    pub const fn figure(self) -> &'static str {
        match self {
            Self::CpuPerRequest | Self::CpuPerKey => "server_cpu_us_per_reply",
            Self::P50 => "p50_us",
            Self::P99 => "p99_us",
            Self::P999 => "p999_us",
            Self::IdleConnection => "bytes_per_idle_connection",
        }
    }

    /// Whether a generator that is late spoils it.
    pub const fn is_latency(self) -> bool {
        matches!(self, Self::P50 | Self::P99 | Self::P999)
    }

    /// A figure in the unit of the name, of requests with this many keys.
    pub fn told(self, figure: f64, keys: u32) -> String {
        match self {
            Self::CpuPerRequest => format!("{figure:.2}"),
            Self::CpuPerKey => format!("{:.3}", figure / f64::from(keys)),
            Self::P50 | Self::P99 | Self::P999 => format!("{figure:.0}"),
            Self::IdleConnection => format!("{:.1}", figure / 1024.0),
        }
    }
}
