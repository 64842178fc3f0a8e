use anyhow::{Context as _, bail};

use crate::arguments::WorkArguments;
use crate::drive::{Nanos, nanos};
use crate::verify::OPERATIONS_MAX;
use crate::workload::quantity;

/// Keys, if not said otherwise: few enough for several operations to meet on one.
const KEYS_DEFAULT: u32 = 1_000;
/// More keys than these make no more histories, only shorter ones.
const KEYS_MAX: u64 = 1_000_000;
/// Bytes of a value.
const VALUE_BYTES_MAX: u64 = 512 * 1024;

/// What `--verify` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyPlan {
    /// Keys in all.
    pub keys: u32,
    /// Bytes of a value, at least and at most.
    pub value_bytes: (u32, u32),
    /// Operations that are recorded at most.
    pub operations_max: usize,
    /// The longest that a reply may take.
    pub reply_within: Option<Nanos>,
}

impl VerifyPlan {
    /// Takes the flags that the checker's own traffic has a use for.
    ///
    /// # Errors
    /// A flag that makes no sense with `--verify`.
    pub fn resolve(work: &WorkArguments) -> anyhow::Result<Self> {
        let without_use = [
            ("key-size", work.key_size.is_some()),
            ("popularity", work.popularity.is_some()),
            ("mix", work.mix.is_some()),
            ("multiget", work.multiget.is_some()),
            ("ttl", work.ttl.is_some()),
            ("look-aside", work.look_aside),
            ("fill", work.fill),
            ("shape", work.shape.is_some()),
            ("any-reply", work.any_reply),
        ];
        if let Some((flag, _)) = without_use.iter().find(|(_, is_given)| *is_given) {
            bail!("--{flag}: not with --verify, which asks what finds faults");
        }
        let keys = match &work.keys {
            None => KEYS_DEFAULT,
            Some(text) => {
                let keys = quantity::count(text).with_context(|| format!("--keys {text}"))?;
                match u32::try_from(keys) {
                    Ok(fitting) if (1..=KEYS_MAX).contains(&keys) => fitting,
                    _ => bail!("--keys {text}: with --verify give 1 to {KEYS_MAX}"),
                }
            }
        };
        let value_bytes = work.value_size.as_deref().map_or(Ok((64, 256)), sizes)?;
        let reply_within = work.reply_within.as_deref();
        let reply_within =
            reply_within.map(|text| super::time("reply-within", text)).transpose()?;
        let reply_within = reply_within.map(nanos);
        Ok(Self { keys, value_bytes, operations_max: OPERATIONS_MAX, reply_within })
    }

    /// As pairs to be shown.
    pub fn described(&self) -> impl Iterator<Item = (String, String)> {
        let (min, max) = self.value_bytes;
        [
            ("mode", "verify".to_owned()),
            ("keys", self.keys.to_string()),
            ("value size", format!("{min}-{max}")),
        ]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text))
    }
}

fn sizes(text: &str) -> anyhow::Result<(u32, u32)> {
    let span = quantity::Span::parse(text, quantity::size)
        .with_context(|| format!("--value-size {text}: with --verify give 100 or 10-4k"))?;
    if span.max > VALUE_BYTES_MAX {
        bail!("--value-size {text}: with --verify at most {VALUE_BYTES_MAX} bytes");
    }
    let fitting = |bytes| u32::try_from(bytes).expect("at most half a MiB");
    Ok((fitting(span.min), fitting(span.max)))
}
