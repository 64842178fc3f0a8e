use crate::error::WireError;
use crate::frame::{Frame, put_frame};
use crate::reader::Reader;

const GREETING: u8 = 16;

/// The first frame in each direction, from version 2 on.
///
/// A preface names the cache, and two fleets may call theirs the same; so may their nodes be called the
/// same, and one of them have an address that one of the other had. Who is of another fleet has another
/// topology, of which each epoch says something else: its acknowledgements, leases and topologies are
/// worth nothing, and what it would be asked is not for it.
///
/// ```text
/// u64      the fleet that the sender is of, 0 where it does not know that yet
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// See `Topology::fleet`; 0 where that is not known yet.
    pub fleet: u64,
}

impl Greeting {
    /// The version from which on there is one.
    pub const SINCE: u16 = 2;

    /// No greeting is longer, its frame's header and kind included.
    pub const BYTES_MAX: usize = 13;

    /// Appends it.
    pub fn encode(self, out: &mut Vec<u8>) {
        put_frame(out, GREETING, |out| out.extend_from_slice(&self.fleet.to_le_bytes()));
    }

    /// Reads it.
    ///
    /// # Errors
    /// Where the frame is none, is cut, or goes on.
    pub fn decode(frame: &Frame<'_>) -> Result<Self, WireError> {
        if frame.kind != GREETING {
            return Err(WireError::Kind(frame.kind));
        }
        let mut reader = Reader::new(frame.body);
        let fleet = reader.u64("a fleet")?;
        reader.finish()?;
        Ok(Self { fleet })
    }

    /// Whether both may be of one fleet.
    #[must_use]
    pub const fn fits(self, other: Self) -> bool {
        self.fleet == 0 || other.fleet == 0 || self.fleet == other.fleet
    }
}
