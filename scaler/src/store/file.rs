//! A topology as a file.
//!
//! ```text
//! "memtide topology\n", format (u32), length of the topology (u64), the topology as it is encoded,
//! SipHash-1-3 of all before it under a key of zeros (u64)
//! ```
//! Numbers are little-endian. The hash is against torn and rotten files, not against forgers.

use std::hash::Hasher as _;
use std::path::Path;

use memtide_topology::{DecodeError, Topology};
use siphasher::sip::SipHasher13;

use super::{Damage, StoreError};

const MAGIC: &[u8] = b"memtide topology\n";

/// Another way to write it gets another number.
const FORMAT: u32 = 1;

/// Before the topology.
const HEAD_BYTES: usize = MAGIC.len() + 4 + 8;

/// After it.
const SUM_BYTES: usize = 8;

/// Bytes of a file that can be one.
pub const FILE_BYTES_MAX: u64 =
    (HEAD_BYTES + memtide_topology::ENCODED_BYTES_MAX + SUM_BYTES) as u64;

/// What the file of a topology is made of.
pub fn encode(topology: &Topology) -> Vec<u8> {
    let encoded = topology.encode();
    let mut file = Vec::with_capacity(HEAD_BYTES + encoded.len() + SUM_BYTES);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&FORMAT.to_le_bytes());
    file.extend_from_slice(&(encoded.len() as u64).to_le_bytes());
    file.extend_from_slice(&encoded);
    file.extend_from_slice(&sum(&file).to_le_bytes());
    file
}

/// The topology that a file has, of any origin; `path` is for messages.
pub fn decode(path: &Path, file: &[u8]) -> Result<Topology, StoreError> {
    let damaged = |fault| StoreError::Damaged { path: path.to_owned(), fault };
    let is_begun = MAGIC.starts_with(&file[..file.len().min(MAGIC.len())]);
    let found = file.len() as u64;
    let Some((head, rest)) = file.split_first_chunk::<HEAD_BYTES>().filter(|_| is_begun) else {
        return Err(match is_begun {
            true => damaged(Damage::Length { found, wanted: (HEAD_BYTES + SUM_BYTES) as u64 }),
            false => StoreError::Foreign { path: path.to_owned() },
        });
    };
    let (format, length) = numbers(head);
    if format != FORMAT {
        return Err(StoreError::Version { path: path.to_owned(), found: format, known: FORMAT });
    }
    let wanted = length.saturating_add((HEAD_BYTES + SUM_BYTES) as u64);
    let Some((encoded, last)) = rest.split_last_chunk::<SUM_BYTES>().filter(|_| found == wanted)
    else {
        return Err(damaged(Damage::Length { found, wanted }));
    };
    if u64::from_le_bytes(*last) != sum(&file[..file.len() - SUM_BYTES]) {
        return Err(damaged(Damage::Checksum));
    }
    Topology::decode(encoded).map_err(|error| match error {
        // Its checksum is right: a later version has written it.
        DecodeError::UnknownFormat { found, known } => {
            let (found, known) = (found.into(), known.into());
            StoreError::Version { path: path.to_owned(), found, known }
        }
        error => damaged(Damage::Topology(error)),
    })
}

fn numbers(head: &[u8; HEAD_BYTES]) -> (u32, u64) {
    let (_, numbers) = head.split_at(MAGIC.len());
    let (format, length) = numbers.split_at(4);
    let format = format.try_into().expect("it has 4 bytes");
    let length = length.try_into().expect("it has 8 bytes");
    (u32::from_le_bytes(format), u64::from_le_bytes(length))
}

fn sum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use memtide_topology::{CacheId, HashSeed};

    use super::*;

    fn topology() -> Topology {
        Topology::new(CacheId::default(), HashSeed::new(1, 2), 1).unwrap()
    }

    fn error(file: &[u8]) -> String {
        decode(Path::new("t"), file).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        assert_eq!(decode(Path::new("t"), &encode(&topology())).unwrap(), topology());
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_damaged() {
        let file = encode(&topology());
        for length in 0..file.len() {
            assert!(error(&file[..length]).contains("t is damaged: "), "{length}");
        }
        let longer = [&file[..], b"x"].concat();
        let expected = format!("t is damaged: {} bytes instead of {}", longer.len(), file.len());
        assert!(error(&longer).starts_with(&expected));
    }

    #[test]
    fn a_file_with_any_bit_flipped_is_refused() {
        let file = encode(&topology());
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << (at % 8);
            let error = error(&flipped);
            let expected = match at {
                0..17 => "t is no topology of memtide",
                17..21 => "t is of format ",
                21..29 => "t is damaged: ",
                _ => "t is damaged: its checksum does not match",
            };
            assert!(error.starts_with(expected), "{at}: {error}");
        }
    }

    #[test]
    fn a_file_of_a_later_version_is_not_damaged() {
        let mut file = encode(&topology());
        file[HEAD_BYTES] += 1;
        let sums_at = file.len() - SUM_BYTES;
        let sum = sum(&file[..sums_at]);
        file[sums_at..].copy_from_slice(&sum.to_le_bytes());
        let error = error(&file);
        assert!(error.starts_with("t is of format 2"), "{error}");
    }

    #[test]
    fn what_is_no_topology_is_foreign() {
        assert!(error(b"[Unit]\nDescription=x").starts_with("t is no topology of memtide"));
    }
}
