/// Meters traffic a second time, from what a client sent and got.
///
/// Knows only the published rule: a command costs 1 ECPU for each key that it names or 1 ECPU for
/// each KiB of its request and reply, whichever is more, and at least 1 ECPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recount {
    /// In 1/1024 ECPU.
    pub units: u64,
    /// How many commands.
    pub commands: u64,
}

impl Recount {
    /// Adds a command.
    pub fn add(&mut self, keys: u64, request_bytes: usize, reply_bytes: usize) {
        let bytes = u64::try_from(request_bytes + reply_bytes).expect("fits 64 bits");
        self.units += (keys * 1024).max(bytes).max(1024);
        self.commands += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the reference's price list.
    #[test]
    fn the_higher_of_items_and_kilobytes() {
        let mut recount = Recount::default();
        recount.add(1, 8, 32);
        assert_eq!(recount.units, 1024, "a small get");
        recount.add(1, 3_270, 8);
        assert_eq!(recount.units, 1024 + 3_278, "a set of 3.2 KB");
        recount.add(3, 48, 2_000);
        assert_eq!(recount.units, 1024 + 3_278 + 3 * 1024, "3 items of 2 KB in all");
        assert_eq!(recount.commands, 3);
    }
}
