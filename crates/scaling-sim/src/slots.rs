use core::time::Duration;
use std::collections::BTreeMap;

use memtide_topology::{Epoch, NodeId, SLOTS, Topology};

use crate::Skew;
use crate::rng::Rng;

/// How load and data are over the slots: parts of 1.
#[derive(Debug)]
pub(crate) struct Weights {
    even: Vec<f64>,
    bytes: Vec<f64>,
    ecpu: Vec<f64>,
    seed: u64,
    /// Which slots are hot by now.
    turn: Option<u64>,
}

impl Weights {
    /// As keys fall: a deviation of a tenth.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut scattered = || {
            let all: Vec<f64> = (0..SLOTS).map(|_| (1.0 + 0.1 * rng.normal()).max(0.2)).collect();
            let sum: f64 = all.iter().sum();
            all.into_iter().map(|it| it / sum).collect::<Vec<f64>>()
        };
        let (even, bytes) = (scattered(), scattered());
        Self { ecpu: even.clone(), even, bytes, seed, turn: None }
    }

    pub(crate) fn follow(&mut self, skew: &Skew, now: Duration) {
        let (slots, part, turn) = match *skew {
            Skew::Even => return,
            Skew::Hot { slots, part, moves_every } => {
                (slots, part, Some(now.as_secs() / moves_every.as_secs().max(1)))
            }
            Skew::Lone { part, from, until } => {
                (1, part, (from <= now && now < until).then_some(0))
            }
        };
        if self.turn == turn {
            return;
        }
        self.turn = turn;
        self.ecpu.clone_from(&self.even);
        let Some(turn) = turn else { return };
        self.ecpu.iter_mut().for_each(|it| *it *= 1.0 - part);
        let mut rng = Rng::new(self.seed ^ turn.wrapping_mul(0x9e37_79b9));
        for _ in 0..slots {
            self.ecpu[rng.below(usize::from(SLOTS))] += part / f64::from(slots);
        }
    }

    /// A slot's part of the load.
    pub(crate) fn ecpu(&self, slot: usize) -> f64 {
        self.ecpu[slot]
    }

    /// Bytes of each slot.
    pub(crate) fn bytes(&self, data: f64) -> Vec<f64> {
        self.bytes.iter().map(|it| it * data).collect()
    }
}

/// The nodes' parts of the load and of the data, as long as nothing moves.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    /// Of what: the topology, and which slots are hot.
    of: Option<(Epoch, Option<u64>)>,
    /// By primary.
    pub(crate) ecpu: BTreeMap<NodeId, f64>,
    /// By who holds all of a slot.
    pub(crate) bytes: BTreeMap<NodeId, f64>,
}

impl Spread {
    pub(crate) fn follow(&mut self, topology: &Topology, weights: &Weights) {
        let of = Some((topology.epoch(), weights.turn));
        if self.of == of {
            return;
        }
        *self = Self { of, ..Self::default() };
        for (slot, config) in topology.slots() {
            let at = usize::from(slot.number());
            if let Some(primary) = config.primary {
                *self.ecpu.entry(primary).or_default() += weights.ecpu(at);
            }
            for node in config.complete() {
                *self.bytes.entry(node).or_default() += weights.bytes[at];
            }
        }
    }
}
