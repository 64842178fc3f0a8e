use super::lane::Lane;

/// A connection's place among those of its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneId(u32);

/// The lanes of a core.
#[derive(Debug, Default)]
pub struct Lanes {
    places: Vec<Place>,
    free: Vec<u32>,
}

/// Its numbers go on where it is used again, so that no late answer finds the wrong connection.
#[derive(Debug, Default)]
struct Place {
    lane: Option<Lane>,
    next_number: u32,
}

impl LaneId {
    /// The ticket for the answer to a part of the lane. Its highest bit is 0, as there are fewer
    /// than 2^31 connections.
    pub fn ticket(self, number: u32) -> u64 {
        u64::from(self.0) << u32::BITS | u64::from(number)
    }

    /// The lane and the part.
    pub fn of_ticket(ticket: u64) -> (Self, u32) {
        let low = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("masked");
        (Self(low(ticket >> u32::BITS)), low(ticket))
    }
}

impl Lanes {
    /// A new lane.
    pub fn open(&mut self) -> LaneId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("connections are bounded")
        });
        let place = &mut self.places[index as usize];
        place.lane = Some(Lane::new(place.next_number));
        LaneId(index)
    }

    /// Takes a lane out.
    pub fn close(&mut self, id: LaneId) -> Option<Lane> {
        let place = &mut self.places[id.0 as usize];
        let lane = place.lane.take()?;
        place.next_number = lane.next_number();
        self.free.push(id.0);
        Some(lane)
    }

    /// A lane that is there.
    pub fn get(&self, id: LaneId) -> Option<&Lane> {
        self.places.get(id.0 as usize)?.lane.as_ref()
    }

    /// See [`Lanes::get`].
    pub fn get_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.places.get_mut(id.0 as usize)?.lane.as_mut()
    }

    /// Those that are there.
    pub fn all(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.places.iter_mut().filter_map(|place| place.lane.as_mut())
    }
}
