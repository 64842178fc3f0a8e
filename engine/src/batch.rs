//! Requests that came together.

use memtide_engine_core::PREFETCH_MAX;
use memtide_wire::{Ask, Frame, WireError, decode_ask};

/// The first requests of what a link has brought, as many as are worth to be prepared together.
///
/// Most of what a request costs a node is waiting for memory; the waits of a batch overlap.
#[derive(Debug)]
pub struct Batch<'a> {
    asks: [Option<(Ask<'a>, &'a [u8])>; PREFETCH_MAX],
    len: usize,
    broken: Option<WireError>,
}

impl<'a> Batch<'a> {
    /// Reads the whole frames that `bytes` begins with.
    pub fn of(bytes: &'a [u8], frame_bytes_max: usize) -> Self {
        let mut batch = Self { asks: [const { None }; PREFETCH_MAX], len: 0, broken: None };
        let mut rest = bytes;
        while let Some(place) = batch.asks.get_mut(batch.len) {
            match split(rest, frame_bytes_max) {
                Ok(Some((ask, after))) => {
                    *place = Some((ask, after));
                    batch.len += 1;
                    rest = after;
                }
                Ok(None) => break,
                Err(error) => {
                    batch.broken = Some(error);
                    break;
                }
            }
        }
        batch
    }

    /// Each request, with the bytes that follow it.
    pub fn asks(&self) -> impl Iterator<Item = &(Ask<'a>, &'a [u8])> {
        self.asks[..self.len].iter().flatten()
    }

    /// How many they are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Why there are no more.
    ///
    /// # Errors
    /// Where a frame that no proxy sends follows them.
    pub fn end(&self) -> Result<(), WireError> {
        self.broken.clone().map_or(Ok(()), Err)
    }
}

fn split(bytes: &[u8], frame_bytes_max: usize) -> Result<Option<(Ask<'_>, &[u8])>, WireError> {
    let Some((frame, after)) = Frame::split(bytes, frame_bytes_max)? else { return Ok(None) };
    Ok(Some((decode_ask(&frame)?, after)))
}
