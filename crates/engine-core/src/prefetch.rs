//! Memory asked for ahead of its use, so that the waits for several places overlap.
//!
//! A hint of the processor's; nothing that the program can see depends on it.

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks for the cache lines of these bytes, by their starts: the last one may be left out.
#[inline]
pub(crate) fn lines(bytes: &[u8]) {
    bytes.chunks(LINE).for_each(prefetch);
}

/// Asks for the cache lines of a value itself, without reading it.
#[inline]
pub(crate) fn whole<T>(value: &T) {
    let start = core::ptr::from_ref(value).cast::<i8>();
    (0..size_of::<T>()).step_by(LINE).for_each(|offset| line(start.wrapping_add(offset)));
}

/// Asks for the cache line where this starts.
#[inline]
pub(crate) fn prefetch<T>(place: &[T]) {
    line(place.as_ptr().cast());
}

#[inline]
#[cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "the only name of the instruction; docs/design/0005 has its worth"
    )
)]
fn line(address: *const i8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction is part of SSE, which every x86_64 has, and neither faults nor
        // changes memory, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
