use std::cell::RefCell;
use std::sync::Arc;

use memtide_engine_core::replication::Message;
use memtide_topology::Topology;
use memtide_wire::encode_message;

/// The frame that brings the newest topology to other nodes, made once for all of them.
#[derive(Debug, Default)]
pub struct TopologyFrame(RefCell<Option<(Arc<Topology>, Vec<u8>)>>);

impl TopologyFrame {
    /// Appends the frame of this topology.
    pub fn append(&self, topology: &Arc<Topology>, out: &mut Vec<u8>) {
        let mut kept = self.0.borrow_mut();
        match &*kept {
            Some((of, frame)) if Arc::ptr_eq(of, topology) => out.extend_from_slice(frame),
            _ => {
                let mut frame = Vec::new();
                encode_message(&mut frame, &Message::Topology(Arc::clone(topology)));
                out.extend_from_slice(&frame);
                *kept = Some((Arc::clone(topology), frame));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use memtide_wire::{Frame, decode_message};

    use super::*;

    #[test]
    fn each_topology_is_made_a_frame_of_once_and_no_other_is_told_in_its_place() {
        let frames = TopologyFrame::default();
        let one = Arc::new(Topology::empty());
        let mut parts = Topology::empty().into_parts();
        parts.epoch = parts.epoch.next();
        let other = Arc::new(Topology::from_parts(parts).unwrap());
        let mut kept = None;
        for (topology, is_kept) in [(&one, false), (&one, true), (&other, false), (&one, false)] {
            let mut out = Vec::new();
            frames.append(topology, &mut out);
            let (frame, rest) = Frame::split(&out, out.len()).unwrap().unwrap();
            assert_eq!(decode_message(&frame), Ok(Message::Topology(Arc::clone(topology))));
            assert!(rest.is_empty());
            let place = frames.0.borrow().as_ref().map(|(_, frame)| frame.as_ptr());
            assert_eq!(place == kept, is_kept);
            kept = place;
        }
    }
}
