use crate::draft::Draft;
use crate::{Action, Observation, Past, Plan, Policy, Resource, Why, back, full, hot, out};

/// What is to be done now, and what to remember until the next time.
///
/// ```text
/// give up what is overdue -> too little of something: out
///                              and where no more memory can be had: slots that are hotter than others move
///                         -> else it fills: memory in place
///                         -> else slots that are hotter than others: move, isolate
///                         -> else a node that is fuller than others: memory in place
///                         -> else too much: back
/// ```
/// The same observation with the same past gives the same plan.
#[must_use]
pub fn plan(seen: &Observation, policy: &Policy, past: Past) -> (Plan, Past) {
    let mut draft = Draft::new(seen, policy, past);
    give_up(&mut draft);
    match shortage(&mut draft) {
        Shortage::Now(why) => {
            out::go_out(&mut draft, why);
            if draft.is_empty() && is_memory_alone(&draft) && is_all_there_is(&draft) {
                hot::spread(&mut draft, hot::Room::None);
            }
        }
        Shortage::NotSure(why) => out::grow(&mut draft, Some(why)),
        Shortage::No => {
            out::grow(&mut draft, None);
            if draft.is_empty() {
                hot::spread(&mut draft, hot::Room::Some);
            }
            if draft.is_empty() {
                full::even_out(&mut draft);
            }
            if draft.is_empty() {
                back::go_back(&mut draft);
            }
        }
    }
    draft.finish()
}

enum Shortage {
    No,
    /// It may be over in a moment.
    NotSure(Why),
    Now(Why),
}

/// Whether nothing but memory is short. Where work is, all are hot, and nobody takes a slot.
fn is_memory_alone(draft: &Draft) -> bool {
    let needs = Resource::ALL.into_iter().zip(draft.figures.needs.iter());
    needs.filter(|(_, need)| need.is_short()).all(|(it, _)| it == Resource::Memory)
}

/// Whether no more can be had than there is. What has failed lately is asked for again soon.
fn is_all_there_is(draft: &Draft) -> bool {
    let at = draft.seen.at;
    let mut offers = draft.seen.offers.iter().filter(|it| it.nodes > 0);
    let mut nodes = draft.fleet.members.iter().filter_map(|it| it.node);
    (draft.nodes_left() == 0 || !offers.any(|it| draft.past.is_offer_off(at, it.id)))
        && !nodes.any(|node| draft.past.is_growth_off(at, node))
}

/// Whether there is too little of something, and for long enough.
fn shortage(draft: &mut Draft) -> Shortage {
    let needs = || Resource::ALL.into_iter().zip(draft.figures.needs.iter());
    let short = needs().find(|(_, need)| need.is_short());
    let is_few = draft.fleet.members.len() < draft.nodes_floor() || out::lacks_zones(draft);
    let (why, is_sure) = match short {
        Some((it, need)) if need.least <= need.promised => (Why::Promised(it), true),
        Some((it, need)) if need.is_saturated => (Why::Saturated(it), true),
        Some((it, _)) => (Why::Above(it), false),
        None if is_few => (Why::TooFew, false),
        None => {
            draft.past.short_since = None;
            return Shortage::No;
        }
    };
    let since = *draft.past.short_since.get_or_insert(draft.seen.at);
    let is_long = since + draft.policy.confirm <= draft.seen.at;
    if is_sure || is_long { Shortage::Now(why) } else { Shortage::NotSure(why) }
}

/// Steps that take too long are not waited for; a node that drains takes as long as its slots do.
fn give_up(draft: &mut Draft) {
    for it in draft.seen.expected() {
        let ready_in = match it.action {
            Action::Drain { .. } => continue,
            Action::Add { offer, .. } | Action::Isolate { offer, .. } => {
                let offer = draft.seen.offers.iter().find(|known| known.id == offer);
                offer.map(|offer| offer.ready_in).unwrap_or_default()
            }
            _ => core::time::Duration::ZERO,
        };
        let after = draft.seen.at.saturating_sub(it.since);
        if after > ready_in + draft.policy.overdue {
            draft.past.fails(draft.seen.at, &it.action, draft.policy);
            draft.step(Action::GiveUp { step: it.id }, Why::Overdue { after });
        }
    }
}
