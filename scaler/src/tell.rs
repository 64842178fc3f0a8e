//! What the manager says, for people.

use memtide_manager::{Event, Loss};
use memtide_service::events::{EventKind, Events};

/// Logs an event, and keeps it for `/v1/events`; of steps there are too many.
pub fn tell(events: &Events, event: &Event) {
    let name = event.kind();
    let Some((kind, is_bad)) = kind(event) else {
        tracing::debug!(event = name, "{event}");
        return;
    };
    if is_bad {
        tracing::warn!(event = name, "{event}");
    } else {
        tracing::info!(event = name, "{event}");
    }
    events.record(kind, event.to_string());
}

/// Its kind, and whether somebody should look; `None` of a step.
fn kind(event: &Event) -> Option<(EventKind, bool)> {
    Some(match event {
        Event::Joined { .. } => (EventKind::NodeJoined, false),
        Event::Returned(_) => (EventKind::NodeReturned, false),
        Event::Lost(_, Loss::Gone) => (EventKind::NodeGone, true),
        Event::Lost(_, Loss::Silent) => (EventKind::NodeSilent, true),
        Event::Lost(_, Loss::Dead) => (EventKind::NodeDead, true),
        Event::Draining(_) => (EventKind::NodeDraining, false),
        Event::Undrained(_) => (EventKind::NodeUndrained, false),
        Event::DrainRefused(_) => (EventKind::NodeDrainRefused, true),
        Event::Left(_) => (EventKind::NodeLeft, false),
        Event::ReplicasSet(_) => (EventKind::ReplicasSet, false),
        Event::Founded { .. } => (EventKind::SlotsFounded, false),
        Event::FailedOver { .. } => (EventKind::SlotsFailedOver, true),
        Event::Unserved { slots } => (EventKind::SlotsUnserved, *slots > 0),
        Event::SlotsLost { .. } => (EventKind::SlotsLost, true),
        Event::MigrationBegan { .. } => (EventKind::MigrationBegan, false),
        Event::Moved(_) => return None,
        Event::MigrationEnded(_) => (EventKind::MigrationEnded, false),
        Event::Diverged { .. } => (EventKind::CopyDiverged, true),
        Event::Incomplete { .. } => (EventKind::CopyIncomplete, true),
        Event::CutOff { .. } => (EventKind::CopyCutOff, true),
        Event::Dropped(_) => (EventKind::UpdateRefused, true),
    })
}

#[cfg(test)]
mod tests {
    use memtide_manager::Moved;
    use memtide_topology::NodeId;

    use super::*;

    /// So that logs, metrics and events are searched for by one word.
    #[test]
    fn a_kind_is_called_as_the_manager_calls_it() {
        let node = NodeId::new(1);
        for event in [
            Event::Returned(node),
            Event::Lost(node, Loss::Gone),
            Event::Lost(node, Loss::Silent),
            Event::Lost(node, Loss::Dead),
            Event::Draining(node),
            Event::Undrained(node),
            Event::DrainRefused(node),
            Event::Left(node),
            Event::ReplicasSet(1),
            Event::Founded { slots: 1 },
            Event::FailedOver { slots: 1 },
            Event::Unserved { slots: 1 },
            Event::SlotsLost { slots: 1 },
            Event::MigrationBegan { slots: 1 },
            Event::MigrationEnded(Moved::default()),
            Event::CutOff { primary: node, copy: node, slots: 1 },
        ] {
            assert!(!event.is_step());
            let word = serde_json::to_value(kind(&event).unwrap().0).unwrap();
            assert_eq!(word, event.kind());
        }
    }
}
