//! The meta commands, their flags parsed once.
//!
//! A flag that memcached accepts and a command has no use for is accepted and does nothing.

use crate::{Direction, Exptime, Key};

/// The flags of a meta command as text, to be answered in request order.
#[derive(Clone, Copy)]
pub struct FlagTokens<'a> {
    pub(crate) text: &'a [u8],
}

impl<'a> FlagTokens<'a> {
    /// Flags with their arguments in the order of the line, such as `v`, `Oabc`, `T30`.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.text.split(|&byte| byte == b' ').filter(|token| !token.is_empty())
    }
}

/// The same flags in the same order; spaces make no difference.
impl PartialEq for FlagTokens<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for FlagTokens<'_> {}

impl core::fmt::Debug for FlagTokens<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// `mg`: fetch one item, or what is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaGet<'a> {
    /// The key.
    pub key: Key<'a>,
    /// All flags, for the reply.
    pub flags: FlagTokens<'a>,
    /// `q`: no line for a miss.
    pub is_quiet: bool,
    /// `v`: the value is wanted; see also [`MetaGet::wants_value_of`].
    pub wants_value: bool,
    /// `u`: the access leaves recency, last access and hit-before alone.
    pub is_unbumped: bool,
    /// `C`: an item with this CAS unique is answered without its value.
    pub known_cas: Option<u64>,
    /// `E`: the CAS unique of an item that `N` makes.
    pub new_cas: Option<u64>,
    /// `T`: the item's new exptime.
    pub touch: Option<Exptime>,
    /// `N`: on a miss make an empty item with this exptime; the maker wins.
    pub vivify: Option<Exptime>,
    /// `R`: win where the item expires before this does, and nobody has won yet. Nothing expires
    /// before [`Exptime::Never`] or [`Exptime::Immediate`], and an item that never expires is never
    /// recached.
    pub recache: Option<Exptime>,
}

impl MetaGet<'_> {
    /// Whether the reply for an item with this CAS unique carries the value.
    #[must_use]
    pub fn wants_value_of(&self, cas: u64) -> bool {
        self.wants_value && self.known_cas != Some(cas)
    }
}

/// The `M` flag of `ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetMode {
    /// `S`, and where there is no `M`: store.
    #[default]
    Set,
    /// `E`: store where there is none.
    Add,
    /// `R`: store where there is one.
    Replace,
    /// `A`: add to the end of the present value.
    Append,
    /// `P`: add to the front of the present value.
    Prepend,
}

/// `ms`: store one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaSet<'a> {
    /// The key.
    pub key: Key<'a>,
    /// All flags, for the reply.
    pub flags: FlagTokens<'a>,
    /// The data block without its `\r\n`.
    pub value: &'a [u8],
    /// `q`: no line when stored.
    pub is_quiet: bool,
    /// `M`.
    pub mode: SetMode,
    /// `F`: the client's own 32 bits, 0 where absent.
    pub client_flags: u32,
    /// `T`: the new item's, never where absent; append and prepend ignore it.
    pub exptime: Exptime,
    /// `N`: append and prepend to a missing item make it, with this exptime.
    pub vivify: Option<Exptime>,
    /// `C`: only where the present CAS unique is this one. Always `None` for add, which ignores it,
    /// and for append and prepend with 0, which is their "any".
    pub compare_cas: Option<u64>,
    /// `E`: the CAS unique that the item gets.
    pub new_cas: Option<u64>,
    /// `I`: where `C` is lower than the present CAS unique, store all the same and mark the item
    /// stale. For set and replace with `C` only.
    pub invalidate: bool,
}

/// `md`: delete one item, or mark it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaDelete<'a> {
    /// The key.
    pub key: Key<'a>,
    /// All flags, for the reply.
    pub flags: FlagTokens<'a>,
    /// `q`: no line when done.
    pub is_quiet: bool,
    /// `C`: only where the present CAS unique is this one.
    pub compare_cas: Option<u64>,
    /// `E`: the CAS unique of the item that `I` or `x` leaves. Without it `I` gives a new one and
    /// `x` alone keeps the old one.
    pub new_cas: Option<u64>,
    /// `I`: mark it stale instead, with a new CAS unique and nobody having won.
    pub invalidate: bool,
    /// `x`: put an empty item in its place, with these client flags and this exptime.
    pub removes_value: bool,
    /// `F`: the client flags of the item that `x` leaves, 0 where absent.
    pub client_flags: u32,
    /// `T`: the exptime of the item that `I` or `x` leaves. Where absent, `x` means never and `I`
    /// alone keeps the old one.
    pub exptime: Option<Exptime>,
}

/// `ma`: count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaArithmetic<'a> {
    /// The key.
    pub key: Key<'a>,
    /// All flags, for the reply.
    pub flags: FlagTokens<'a>,
    /// `q`: no line when done, the number neither.
    pub is_quiet: bool,
    /// `v`: the number is wanted.
    pub wants_value: bool,
    /// `M`.
    pub direction: Direction,
    /// `D`, 1 where absent.
    pub delta: u64,
    /// `J`: the number that `N` starts with, 0 where absent.
    pub initial: u64,
    /// `N`: on a miss make the item, with this exptime.
    pub vivify: Option<Exptime>,
    /// `T`: the item's new exptime.
    pub touch: Option<Exptime>,
    /// `C`: only where the present CAS unique is this one. 0 on the line is "any", `None` here.
    pub compare_cas: Option<u64>,
    /// `E`: the CAS unique that the item gets.
    pub new_cas: Option<u64>,
}
