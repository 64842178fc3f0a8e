//! What proxies have counted that join a scaler, for who keeps the usage.

use std::cell::Cell;

use memtide_control::Counted;
use memtide_records::usage::{Counts, SOURCES_MAX, SourceId};
use memtide_scaler::ProxyCounts;
use memtide_scaler::limits::COUNTED_MAX;

use super::Usage;
use super::owed::{counted_of, counts_of, source_of};

// One that is heard is never forgotten, nor is that of this process.
const _: () = assert!(COUNTED_MAX < SOURCES_MAX);

/// What each of them said last.
pub fn said(proxies: &ProxyCounts) -> Vec<(SourceId, Counts)> {
    of_proxies(&proxies.all())
}

/// The same to a scaler that may be one of several, which led since this as it was seen last: where it leads anew, its
/// usage is told that others may have kept it until then.
pub fn said_by_turns(
    proxies: &ProxyCounts,
    usage: &Usage,
    led_since: &Cell<Option<u64>>,
) -> Vec<(SourceId, Counts)> {
    let (leads_since, all) = proxies.all_since();
    if led_since.replace(leads_since) != leads_since
        && let Some(until_ms) = leads_since
    {
        usage.missed(until_ms);
    }
    of_proxies(&all)
}

fn of_proxies(all: &[Counted]) -> Vec<(SourceId, Counts)> {
    all.iter().map(|counted| (source_of(counted), counts_of(counted))).collect()
}

/// So much outlives the host.
pub fn wrote(proxies: &ProxyCounts, kept: &[(SourceId, Counts)]) {
    let kept: Vec<Counted> = kept.iter().map(|(source, it)| counted_of(*source, *it)).collect();
    proxies.wrote(&kept);
}
