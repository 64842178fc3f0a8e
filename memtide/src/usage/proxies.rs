//! What proxies have counted that join a scaler, for who keeps the usage.

use memtide_control::Counted;
use memtide_records::usage::{Counts, SOURCES_MAX, SourceId};
use memtide_scaler::ProxyCounts;
use memtide_scaler::limits::COUNTED_MAX;

use super::owed::{counted_of, counts_of, source_of};

// One that is heard is never forgotten, nor is that of this process.
const _: () = assert!(COUNTED_MAX < SOURCES_MAX);

/// What each of them said last.
pub fn said(proxies: &ProxyCounts) -> Vec<(SourceId, Counts)> {
    let all = proxies.all();
    all.iter().map(|counted| (source_of(counted), counts_of(counted))).collect()
}

/// So much outlives the host.
pub fn wrote(proxies: &ProxyCounts, kept: &[(SourceId, Counts)]) {
    let kept: Vec<Counted> = kept.iter().map(|(source, it)| counted_of(*source, *it)).collect();
    proxies.wrote(&kept);
}
