//! Items and replies, and their bytes between nodes.

use std::sync::Arc;

use memtide_loadtest::verify::{History, Outcome, Token};

use crate::heap::Nanos;

/// An item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// In the order of the bytes; a counter's number alone.
    pub tokens: Vec<Token>,
    /// The slot's version when its value changed last.
    pub cas: u64,
    /// By the wall clock.
    pub gone_from: Nanos,
}

impl Item {
    pub const fn is_expired(&self, wall: Nanos) -> bool {
        self.gone_from <= wall
    }
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Hit {
        tokens: Vec<Token>,
        cas: u64,
    },
    /// The same, and of all who ask this one is to store the item anew.
    Won {
        tokens: Vec<Token>,
        cas: u64,
    },
    Number {
        number: u64,
        cas: u64,
    },
    NotFound,
    Stored {
        cas: u64,
    },
    NotStored,
    Exists,
    Done,
    /// An error of the server's: nothing was stored.
    Failed,
}

impl Reply {
    /// As a node sends it.
    pub fn encode(&self) -> Arc<[u8]> {
        let words = match self {
            Self::Hit { tokens, cas } => [&[0, *cas], tokens.as_slice()].concat(),
            Self::Number { number, cas } => vec![1, *cas, *number],
            Self::NotFound => vec![2],
            Self::Stored { cas } => vec![3, *cas],
            Self::NotStored => vec![4],
            Self::Exists => vec![5],
            Self::Done => vec![6],
            Self::Won { tokens, cas } => [&[7, *cas], tokens.as_slice()].concat(),
            Self::Failed => vec![8],
        };
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// What [`Reply::encode`] wrote.
    ///
    /// # Panics
    /// On anything else: no node sends it.
    pub fn decode(bytes: &[u8]) -> Self {
        let words: Vec<u64> = words(bytes).collect();
        match words[..] {
            [0, cas, ref tokens @ ..] => Self::Hit { tokens: tokens.to_vec(), cas },
            [1, cas, number] => Self::Number { number, cas },
            [2] => Self::NotFound,
            [3, cas] => Self::Stored { cas },
            [4] => Self::NotStored,
            [5] => Self::Exists,
            [6] => Self::Done,
            [7, cas, ref tokens @ ..] => Self::Won { tokens: tokens.to_vec(), cas },
            [8] => Self::Failed,
            _ => panic!("{words:?} is no reply"),
        }
    }

    /// The CAS unique that it tells, 0 where it tells none.
    pub const fn cas(&self) -> u64 {
        match self {
            Self::Hit { cas, .. }
            | Self::Won { cas, .. }
            | Self::Number { cas, .. }
            | Self::Stored { cas } => *cas,
            _ => 0,
        }
    }

    /// For the checker.
    pub fn outcome(&self, history: &mut History) -> Outcome {
        match self {
            Self::Hit { tokens, cas } | Self::Won { tokens, cas } => {
                Outcome::Hit { value: history.seen(tokens), cas: *cas }
            }
            Self::Number { number, cas } => Outcome::Number { number: *number, cas: *cas },
            Self::NotFound => Outcome::NotFound,
            Self::Stored { cas } => Outcome::Stored { cas: *cas },
            Self::NotStored => Outcome::NotStored,
            Self::Exists => Outcome::Exists,
            Self::Done => Outcome::Done,
            Self::Failed => Outcome::Refused,
        }
    }
}

/// Writes a key's item, or that it has none.
pub fn encode_item(out: &mut Vec<u8>, key: u32, item: Option<&Item>) {
    let mut word = |word: u64| out.extend_from_slice(&word.to_le_bytes());
    word(u64::from(key));
    let Some(Item { tokens, cas, gone_from }) = item else { return word(u64::MAX) };
    word(tokens.len() as u64);
    word(*cas);
    word(*gone_from);
    tokens.iter().for_each(|token| word(*token));
}

/// Reads what [`encode_item`] wrote, any number of times.
///
/// # Panics
/// On anything else: no node sends it.
pub fn decode_items(bytes: &[u8]) -> Vec<(u32, Option<Item>)> {
    let mut words = words(bytes);
    let mut items = Vec::new();
    while let Some(key) = words.next() {
        let key = u32::try_from(key).expect("a key has 32 bits");
        let mut next = || words.next().expect("an item is whole");
        let item = match next() {
            u64::MAX => None,
            count => {
                let (cas, gone_from) = (next(), next());
                Some(Item { tokens: (0..count).map(|_| next()).collect(), cas, gone_from })
            }
        };
        items.push((key, item));
    }
    items
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().expect("words of 8 bytes")))
}
