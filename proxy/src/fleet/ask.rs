use std::ops::Range;
use std::rc::Rc;

use memtide_protocol::Command;
use memtide_routing::Kind;
use memtide_topology::KeyHash;
use memtide_wire::Reach;

/// A command on one key on its way to a node, and the same in every try: a part of the bytes that
/// it shares with the commands that came with it.
#[derive(Clone, Debug)]
pub struct Ask {
    pub batch: Rc<[u8]>,
    pub range: Range<usize>,
    pub hash: KeyHash,
    pub reach: Reach,
}

impl Ask {
    /// As memcached's protocol has it.
    pub fn command(&self) -> &[u8] {
        &self.batch[self.range.clone()]
    }
}

/// Who may answer a command on an item, a get by any copy where it may, and whether it may be repeated.
///
/// A meta get is a mutation whatever its flags: it takes the token of a stale item.
pub const fn route(command: &Command<'_>, is_any_copy: bool) -> (Kind, Reach) {
    match command {
        Command::Retrieve(get) if get.touch.is_none() => {
            if is_any_copy {
                (Kind::ReadAnyCopy, Reach::Copy)
            } else {
                (Kind::Read, Reach::Primary)
            }
        }
        _ => (Kind::Mutation, Reach::Primary),
    }
}
