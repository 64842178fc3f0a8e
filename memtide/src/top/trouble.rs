//! What is wrong with a cache, in a line each.

use std::collections::BTreeMap;

use super::ask::Lack;
use super::model::Model;
use super::screen::Traffic;
use super::text;

/// The worst first.
pub fn of(model: &Model, nothing: Option<&Lack>, traffic: &Traffic) -> Vec<String> {
    let mut troubles = Vec::new();
    match nothing {
        None | Some(Lack::NotHere) => {}
        Some(Lack::Refused(why)) => troubles.push(format!("refused: {why}")),
        Some(Lack::Failed(why)) => troubles.push(format!("unreachable: {why}")),
    }
    of_slots(model, &mut troubles);
    of_nodes(model, &mut troubles);
    let counted =
        |name, words: &str| model.gauge(name).filter(|it| *it > 0.0).map(|_| words.to_owned());
    troubles.extend(counted(
        "memtide_topology_store_behind",
        "the scaler stands still: what it has stored is not the newest of its fleet",
    ));
    troubles.extend(counted(
        "memtide_topology_store_failing",
        "the topology cannot be stored: nothing changes hands until it can",
    ));
    troubles.extend(counted("memtide_usage_failing", "what is used cannot be written down"));
    of_traffic(traffic, &mut troubles);
    for line in model.ready.now.iter().flat_map(|heard| &heard.page) {
        if line.starts_with("not ready: ") || line.starts_with("ready without: ") {
            troubles.push(line.clone());
        }
    }
    troubles
}

fn of_slots(model: &Model, troubles: &mut Vec<String>) {
    let Some(nodes) = &model.nodes.now else { return };
    let slots = nodes.page.slots;
    let counts = [
        (slots.unserved, "unserved: all that had them are down"),
        (slots.unowned, "without a node"),
        (slots.short_of_replicas, "short of replicas"),
    ];
    for (count, words) in counts.into_iter().filter(|(count, _)| *count > 0) {
        let slots = if count == 1 { "slot" } else { "slots" };
        troubles.push(format!("{count} {slots} {words}"));
    }
}

fn of_nodes(model: &Model, troubles: &mut Vec<String>) {
    let nodes = model.nodes.now.iter().flat_map(|heard| &heard.page.nodes);
    let mut down: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in nodes.filter(|node| node.state != "up") {
        down.entry(&node.state).or_default().push(&node.id);
    }
    for (state, ids) in down {
        troubles.push(match ids.len() {
            1..=4 => format!("{state}: {}", ids.join(", ")),
            many => format!("{state}: {many} nodes"),
        });
    }
}

fn of_traffic(traffic: &Traffic, troubles: &mut Vec<String>) {
    let rates = [
        (traffic.throttled, "throttling: {} commands/s refused for the limit of ECPUs"),
        (traffic.delayed, "throttling: {} commands/s wait for the limit of ECPUs"),
        (traffic.overloaded, "overloaded: nodes refuse {} requests/s"),
    ];
    for (rate, words) in rates {
        if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
            troubles.push(words.replace("{}", &text::rate(Some(rate))));
        }
    }
}
