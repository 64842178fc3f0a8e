use std::collections::BTreeMap;

use memtide_planner::{Action, StepId};
use memtide_topology::Zone;
use serde::{Deserialize, Serialize};

/// What an executor intends and has begun: all that has to outlive it.
///
/// Bounded by the nodes that there may be: a step has an entry for as long as it is under way, an instance for
/// as long as something may be left of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Of how it is written; another one is not read.
    format: Format,
    /// What the names of its instances begin with: random, so that no two records give the same name.
    pub prefix: String,
    /// How many names it has given.
    pub named: u64,
    /// Plans that had steps.
    pub plans: u64,
    /// What is under way, in the order in which it was planned.
    pub steps: Vec<Kept>,
    /// Nodes that were ordered, by their names.
    pub instances: BTreeMap<String, Instance>,
    /// Nodes that its instances have been before they came as another, as those do that were killed and started anew
    /// under their names; as long as the topology has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former: BTreeMap<u64, String>,
}

/// The only one so far. A field that may not be passed over by who does not know it, and what else would have
/// such a one do something wrong, gets another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[default]
    #[serde(rename = "memtide scaling 1")]
    One,
}

/// A step that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which.
    #[serde(with = "crate::action::id")]
    pub id: StepId,
    /// Of which plan, by [`Record::plans`].
    pub plan: u64,
    /// What is to be done.
    #[serde(with = "crate::action")]
    pub action: Action,
    /// Of a step that adds nodes, where they come from.
    pub source: Option<Source>,
    /// The names of the nodes that it adds and that have neither joined nor failed.
    pub instances: Vec<String>,
    /// The planner waits for it no longer.
    pub is_given_up: bool,
}

/// Where nodes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// They are started.
    Provisioner,
    /// They were started before, and wait to be taken.
    Spares,
}

/// A node that was ordered, or taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Whether it is the provisioner that ends it. Spares that others have started end by themselves.
    pub is_provisioned: bool,
    /// What the provisioner tells it from others of the zone by.
    pub kind: String,
    /// Where.
    #[serde(with = "crate::action::zone")]
    pub zone: Zone,
    /// Bytes that it begins with.
    pub memory: u64,
    /// The slot that it was added for alone.
    pub slot: Option<u16>,
    /// The provisioner has accepted the order.
    pub is_started: bool,
    /// It waits to be taken.
    pub is_spare: bool,
    /// The node that it is, or was last.
    pub node: Option<u64>,
    /// That node drains.
    pub is_leaving: bool,
    /// It is to be ended.
    pub is_unwanted: bool,
}

impl Instance {
    /// One that was started already.
    #[must_use]
    pub const fn running(kind: String, zone: Zone, memory: u64) -> Self {
        Self {
            is_provisioned: true,
            kind,
            zone,
            memory,
            slot: None,
            is_started: true,
            is_spare: false,
            node: None,
            is_leaving: false,
            is_unwanted: false,
        }
    }
}

impl Instance {
    /// One of which no more is known than its name.
    pub(crate) fn late() -> Self {
        Self::running(String::new(), Zone::new("late").expect("it is a word"), 0)
    }
}

impl Record {
    /// One without anything, whose instances will be named by a random number.
    #[must_use]
    pub fn new(random: u64) -> Self {
        // Short enough to be read aloud; 32 bits are enough to tell the records of one operator apart.
        Self { prefix: format!("m{:08x}", random >> 32), ..Self::default() }
    }

    /// As it is written down: JSON, a line.
    ///
    /// # Panics
    /// Never: it has no keys but text, and no step that is not kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has text for keys, and only actions that are kept")
    }

    /// Reads what was written, also by another version. Fields that this one does not know are passed over;
    /// steps and formats are not, for who does not know what is under way cannot carry it on.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    /// Whether that is a name that it has given: to no other one, ever.
    pub(crate) fn gave(&self, name: &str) -> bool {
        let number = name.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix('-'));
        number.and_then(|it| it.parse().ok()).is_some_and(|it: u64| (1..=self.named).contains(&it))
    }

    pub(crate) fn next_name(&mut self) -> String {
        self.named += 1;
        format!("{}-{}", self.prefix, self.named)
    }
}

#[cfg(test)]
mod tests {
    use memtide_planner::Action;
    use memtide_topology::{Epoch, NodeId};

    use super::*;

    fn record() -> Record {
        let kept = Kept {
            id: StepId { parent: Epoch::new(9), number: 1 },
            plan: 3,
            action: Action::Drain { node: NodeId::new(4) },
            source: Some(Source::Spares),
            instances: vec!["m0-1".to_owned()],
            is_given_up: false,
        };
        let zone = Zone::new("a").unwrap();
        let instance = Instance::running("large".to_owned(), zone, 5);
        let mut record = Record::new(1 << 40);
        record.steps.push(kept);
        record.instances.insert("m0-1".to_owned(), instance);
        record
    }

    /// Scalers of two versions lead in turn in an upgrade: what the newer one adds and the older one can do
    /// without must not stop it.
    #[test]
    fn what_a_later_version_has_added_is_passed_over() {
        let text = String::from_utf8(record().encode()).unwrap();
        let added = [
            (r#""named":"#, r#""later":{"a":[1]},"named":"#),
            (r#""is_given_up":"#, r#""later":1,"is_given_up":"#),
            (r#""is_leaving":"#, r#""later":null,"is_leaving":"#),
        ];
        let later = added.into_iter().fold(text, |text, (from, to)| text.replacen(from, to, 1));
        assert_eq!(later.matches("later").count(), 3, "{later}");
        assert_eq!(Record::decode(later.as_bytes()), Ok(record()));
    }

    #[test]
    fn a_step_or_a_format_of_a_later_version_is_refused() {
        let text = String::from_utf8(record().encode()).unwrap();
        let check = |from: &str, to: &str, expected: &str| {
            assert!(text.contains(from), "{text}");
            let refused = Record::decode(text.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(refused.starts_with(expected), "{refused}");
        };
        check("memtide scaling 1", "memtide scaling 2", "unknown variant `memtide scaling 2`");
        check(r#""do":"drain""#, r#""do":"repaint""#, "unknown variant `repaint`");
        check(r#""do":"drain""#, r#""do":"drain","slowly":true"#, "unknown field `slowly`");
    }

    /// As those before have written it, and those that will go back to this one have to.
    #[test]
    fn what_is_written_stays_as_it_is() {
        let text = String::from_utf8(record().encode()).unwrap();
        let expected = concat!(
            r#"{"format":"memtide scaling 1","prefix":"m00000100","named":0,"plans":0,"#,
            r#""steps":[{"id":[9,1],"plan":3,"action":{"do":"drain","node":4},"source":"spares","#,
            r#""instances":["m0-1"],"is_given_up":false}],"instances":{"m0-1":{"is_provisioned":true,"#,
            r#""kind":"large","zone":"a","memory":5,"slot":null,"is_started":true,"is_spare":false,"#,
            r#""node":null,"is_leaving":false,"is_unwanted":false}}}"#,
        );
        assert_eq!(text, expected);
    }
}
