use super::Nanos;

/// When requests come due.
pub enum Pacing {
    /// As soon as a connection has room: each reply calls the next request.
    Closed,
    /// At these times of the run's clock, rising, whatever the endpoint does.
    Open(Box<dyn Iterator<Item = Nanos> + Send>),
    /// At the times that the traffic gives, counted from this time of the run's clock.
    Traffic(Nanos),
}

impl std::fmt::Debug for Pacing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Closed => "Closed",
            Self::Open(_) => "Open",
            Self::Traffic(_) => "Traffic",
        })
    }
}
