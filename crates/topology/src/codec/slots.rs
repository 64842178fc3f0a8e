use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bytes::{Reader, put_count, put_number};
use super::{DecodeError, put_ids, take_ids};
use crate::limits::COPIES_MAX;
use crate::{CopyConfig, Epoch, NodeId, SLOTS, SlotConfig, SlotId};

/// Appends who holds some slots, in a topology of epoch `to`.
pub(super) fn put(out: &mut Vec<u8>, slots: &[(SlotId, Arc<SlotConfig>)], to: Epoch) {
    let runs = runs(slots);
    let holders: BTreeSet<NodeId> = runs.iter().flat_map(|run| run.config.holders()).collect();
    put_ids(out, &holders);
    let holders: BTreeMap<NodeId, usize> = holders.into_iter().zip(0..).collect();
    put_count(out, runs.len());
    let mut known: BTreeMap<&SlotConfig, usize> = BTreeMap::new();
    let mut end = 0;
    for run in runs {
        put_number(out, u64::from(run.start - end));
        put_number(out, u64::from(run.len - 1));
        end = run.start + run.len;
        let next = known.len();
        let index = *known.entry(run.config).or_insert(next);
        put_count(out, index);
        if index == next {
            put_config(out, run.config, &holders, to);
        }
    }
}

pub(super) fn take(
    reader: &mut Reader<'_>,
    to: Epoch,
) -> Result<Vec<(SlotId, Arc<SlotConfig>)>, DecodeError> {
    let holders = take_ids(reader)?;
    let mut known: Vec<Arc<SlotConfig>> = Vec::new();
    let mut slots = Vec::new();
    let mut at = 0;
    for _ in 0..reader.count(usize::from(SLOTS), "number of runs")? {
        let last = usize::from(SLOTS) - 1;
        let left = last.checked_sub(at).ok_or(DecodeError::SlotsMax)?;
        let start = at + reader.count(left, "skipped slots")?;
        at = start + 1 + reader.count(last - start, "run of slots")?;
        let index = reader.count(known.len(), "config")?;
        if index == known.len() {
            known.push(Arc::new(take_config(reader, &holders, to)?));
        }
        let run = (start..at).filter_map(|slot| SlotId::new(u16::try_from(slot).ok()?));
        slots.extend(run.map(|slot| (slot, Arc::clone(&known[index]))));
    }
    Ok(slots)
}

/// Neighbouring slots that are held alike.
struct Run<'a> {
    start: u16,
    len: u16,
    config: &'a Arc<SlotConfig>,
}

fn runs(slots: &[(SlotId, Arc<SlotConfig>)]) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (slot, config) in slots {
        match runs.last_mut() {
            // Of an allocation with itself that is one comparison.
            Some(run) if run.start + run.len == slot.number() && run.config == config => {
                run.len += 1;
            }
            _ => runs.push(Run { start: slot.number(), len: 1, config }),
        }
    }
    runs
}

/// Epochs are written as how far they are below the topology's: few bytes for what is recent.
fn put_config(
    out: &mut Vec<u8>,
    config: &SlotConfig,
    holders: &BTreeMap<NodeId, usize>,
    to: Epoch,
) {
    put_number(out, to.number().wrapping_sub(config.epoch.number()));
    put_number(out, config.epoch.number().wrapping_sub(config.born.number()));
    put_count(out, config.primary.map_or(0, |primary| holders[&primary] + 1));
    put_count(out, config.copies.len());
    for copy in &config.copies {
        put_count(out, 2 * holders[&copy.node] + usize::from(copy.is_in_sync));
        put_number(out, to.number().wrapping_sub(copy.since.number()));
    }
}

fn take_config(
    reader: &mut Reader<'_>,
    holders: &[NodeId],
    to: Epoch,
) -> Result<SlotConfig, DecodeError> {
    let epoch = take_epoch(reader, to)?;
    let born = take_epoch(reader, epoch)?;
    let primary = reader.count(holders.len(), "primary")?;
    let primary = primary.checked_sub(1).map(|index| holders[index]);
    let mut copies = Vec::new();
    for _ in 0..reader.count(COPIES_MAX, "number of copies")? {
        let number = reader.number()?;
        let node = usize::try_from(number / 2).ok().and_then(|index| holders.get(index));
        let max = (2 * holders.len()).saturating_sub(1);
        let node = *node.ok_or(DecodeError::AboveMax { what: "copy", number, max })?;
        let since = take_epoch(reader, to)?;
        copies.push(CopyConfig { node, since, is_in_sync: number % 2 == 1 });
    }
    Ok(SlotConfig { epoch, born, primary, copies })
}

fn take_epoch(reader: &mut Reader<'_>, to: Epoch) -> Result<Epoch, DecodeError> {
    Ok(Epoch::new(to.number().wrapping_sub(reader.number()?)))
}
