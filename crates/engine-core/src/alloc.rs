/// Bytes that the allocator gives for a block of `len` bytes; at least `len`.
///
/// mimalloc's size classes, which are no finer than glibc's: multiples of 16 up to 64 bytes, four
/// for each doubling up to 128 KiB, whole pages above (mimalloc's `_mi_bin`).
pub(crate) const fn charge(len: usize) -> u64 {
    const PAGE: usize = 4096;
    const CLASS_MAX: usize = 128 * 1024;
    let given = if len == 0 {
        0
    } else if len <= 64 {
        len.next_multiple_of(16)
    } else if len <= CLASS_MAX {
        let step = 1 << ((len - 1).ilog2() - 2);
        len.next_multiple_of(step)
    } else {
        len.next_multiple_of(PAGE)
    };
    given as u64
}

#[cfg(test)]
mod tests {
    use super::charge;

    #[test]
    fn a_block_is_rounded_up_to_its_class() {
        let check = |len, expected| assert_eq!(charge(len), expected, "block of {len}");
        check(0, 0);
        check(1, 16);
        check(64, 64);
        check(65, 80);
        check(128, 128);
        check(129, 160);
        check(161, 192);
        check(8 * 1024, 8 * 1024);
        check(8 * 1024 + 1, 10 * 1024);
        check(128 * 1024, 128 * 1024);
        check(128 * 1024 + 1, 132 * 1024);
    }
}
