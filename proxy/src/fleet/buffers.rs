use crate::limits::{BUFFERS_SPARE_MAX, SCRATCH_BYTES_KEPT};

/// Empty buffers that the lanes of a core use in turn, so that an idle connection owns none and a
/// busy one allocates none.
#[derive(Debug, Default)]
pub struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    /// Gives memory to a buffer that has none.
    pub fn lend(&mut self, buffer: &mut Vec<u8>) {
        if buffer.capacity() == 0
            && let Some(spare) = self.0.pop()
        {
            *buffer = spare;
        }
    }

    /// Takes the memory of an empty buffer.
    pub fn give_back(&mut self, buffer: &mut Vec<u8>) {
        let spare = std::mem::take(buffer);
        let is_kept = (1..=SCRATCH_BYTES_KEPT).contains(&spare.capacity());
        if is_kept && self.0.len() < BUFFERS_SPARE_MAX {
            self.0.push(spare);
        }
    }
}
