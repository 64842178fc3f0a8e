//! Waiting for what an order leads to.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::ask::{Ask, Asked, ask};
use crate::failure::Failure;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(200);

/// Waits until a node has left the topology.
///
/// # Errors
/// With what it still has, once the time is over.
pub fn until_left(admin: &Asked, node: &str, wait: Duration) -> Result<(), Failure> {
    let far = Duration::from_secs(365 * 24 * 3600);
    let deadline = Instant::now() + wait.min(far);
    loop {
        let look = Ask::get("/v1/nodes".to_owned());
        let answer = ask(admin, &look)?;
        let unclear = || {
            Failure::Environment(format!(
                "the answer to /v1/nodes is not understood: {answer:.200}"
            ))
        };
        let Some(slots) = slots_of(&answer, node).ok_or_else(unclear)? else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(Failure::Environment(format!(
                "{node} still holds {slots} slots after {} s; they go on moving: memtide cache migrations shows how far they are",
                wait.as_secs()
            )));
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Slots and copies that a node has: `Some(None)` of one that is not there, and `None` where that cannot
/// be read.
fn slots_of(nodes: &str, node: &str) -> Option<Option<u64>> {
    let nodes: Value = serde_json::from_str(nodes).ok()?;
    let Some(node) = nodes["nodes"].as_array()?.iter().find(|it| it["id"] == node) else {
        return Some(None);
    };
    let parts = ["primary_slots", "in_sync_slots", "learner_slots"];
    let counts = parts.iter().map(|part| node[*part].as_u64());
    counts.sum::<Option<u64>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_holds_all_that_it_has_any_part_in() {
        let nodes =
            r#"{"nodes":[{"id":"n3","primary_slots":5,"in_sync_slots":2,"learner_slots":1}]}"#;
        assert_eq!(slots_of(nodes, "n3"), Some(Some(8)));
        assert_eq!(slots_of(nodes, "n4"), Some(None));
        for unclear in ["", "{}", r#"{"nodes":[{"id":"n3"}]}"#] {
            assert_eq!(slots_of(unclear, "n3"), None, "{unclear}");
        }
    }
}
