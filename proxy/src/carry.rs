//! What a connection keeps of its input between two executions.

use crate::limits;

/// Bytes of an unfinished command, or that wait until the client has read its replies. Empty while
/// the connection idles, and then it owns no memory.
#[derive(Debug, Default)]
pub struct Carry {
    bytes: Vec<u8>,
    /// How many bytes there must be before parsing can get further.
    needed: usize,
}

impl Carry {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether what there is can be parsed further.
    pub fn is_ready(&self) -> bool {
        self.bytes.len() >= self.needed.max(1)
    }

    /// Appends what has come to what there was; `None` where that is not enough yet. Otherwise
    /// whether [`Carry::input`] is the carry, and not `plain`.
    pub fn merge(&mut self, plain: &mut Vec<u8>) -> Option<bool> {
        let is_carried = !self.bytes.is_empty();
        if is_carried {
            take_in(&mut self.bytes, plain, self.needed);
            plain.clear();
            if self.bytes.len() < self.needed {
                return None;
            }
        }
        Some(is_carried)
    }

    /// What is to be parsed, after [`Carry::merge`].
    pub fn input<'a>(&'a self, is_carried: bool, plain: &'a [u8]) -> &'a [u8] {
        if is_carried { &self.bytes } else { plain }
    }

    /// Keeps what is left of the input after so many bytes, until there are `needed`.
    pub fn keep_rest(
        &mut self,
        (is_carried, consumed): (bool, usize),
        needed: usize,
        plain: &mut Vec<u8>,
    ) {
        self.needed = needed;
        if !is_carried {
            let rest = &plain[consumed..];
            if !rest.is_empty() {
                take_in(&mut self.bytes, rest, needed);
            }
            plain.clear();
        } else if consumed == self.bytes.len() {
            self.bytes = Vec::new();
        } else {
            self.bytes.drain(..consumed);
            // A large command must not leave its memory to a short rest behind it.
            self.bytes.shrink_to(limits::READ_BYTES_MAX);
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Appends `bytes` to a command that is to be `needed` bytes long.
///
/// The capacity doubles up to that length and no further, instead of being there at once: a line
/// that announces a large value must not take memory for what the client may never send.
fn take_in(carry: &mut Vec<u8>, bytes: &[u8], needed: usize) {
    let len = carry.len() + bytes.len();
    if len > carry.capacity() {
        let capacity = needed.min(2 * carry.capacity()).max(len);
        carry.reserve_exact(capacity - carry.len());
    }
    carry.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_with_the_bytes_and_not_with_their_announcement() {
        let (line, needed) = (b"set k 0 0 1000000\r\n", 1_000_021);
        let mut carry = Vec::new();
        take_in(&mut carry, line, needed);
        assert!(carry.capacity() < 1024, "{}", carry.capacity());
        let (mut moves, mut capacity) = (0, carry.capacity());
        while carry.len() < needed {
            let missing = needed - carry.len();
            take_in(&mut carry, &vec![b'x'; missing.min(4096)], needed);
            moves += usize::from(carry.capacity() != capacity);
            capacity = carry.capacity();
        }
        assert!(moves < 20, "{moves} moves");
        assert_eq!(carry.capacity(), needed);
    }
}
