//! The allocator, and how freed memory goes back to the system.

/// mimalloc keeps freed pages for the next allocation, and gives them back only when somebody
/// allocates again; a cache that went idle after a burst would keep the burst's memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives the memory that the calling thread has freed, and what ended threads left, back to the
/// system. Each core's ticker calls it.
#[expect(unsafe_code, reason = "the allocator's crate exports this call of C as it is")]
pub fn give_back() {
    // SAFETY: mi_collect has no precondition: it works on the heap of the calling thread, and on
    // what threads share under mimalloc's own synchronisation; no live allocation moves.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
