use crate::time::Expiry;

/// What get, gets, gat, gats and mg ask of one key.
///
/// `Lookup::default()` is a get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// Give a hit this expiry: gat, gats, mg T. Ignored when the item is vivified here, so a
    /// caller whose mg has T after N passes T's expiry as `vivify`.
    pub touch: Option<Expiry>,
    /// Create an empty item with this expiry on a miss: mg N.
    pub vivify: Option<Expiry>,
    /// Let this command win the right to recache an item that is near its end: mg R.
    pub recache: Option<Recache>,
    /// CAS unique of the item that `vivify` creates: mg E.
    pub cas_override: Option<u64>,
    /// Leave recency, hit mark and last access alone: mg u.
    pub no_bump: bool,
    /// Take part in win and stale tokens: any mg, no classic command. A stale item whose token
    /// was not handed out yet is won by the first command with this set.
    pub takes_token: bool,
}

/// mg R: the command wins when the item's expiry lies before `before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recache {
    /// The token resolved as an exptime. [`Expiry::Never`] (R0) and [`Expiry::Immediately`]
    /// never win; nor does an item without expiry lose its token.
    pub before: Expiry,
    /// Judge the expiry that `touch` gave, as memcached does for T before R in the command; with
    /// `false` the one before.
    pub after_touch: bool,
}

/// How a [`Put`] treats what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PutMode {
    /// Store: set, ms S; with `cas_compare` cas.
    #[default]
    Set,
    /// Only where there is no item: add, ms E. An item that is there counts as used; a
    /// `cas_compare` is ignored.
    Add,
    /// Only where there is an item: replace, ms R; with `cas_compare` the same as cas.
    Replace,
    /// After the value that is there, keeping client flags and expiry: append, ms A.
    Append,
    /// Before the value that is there, keeping client flags and expiry: prepend, ms P.
    Prepend,
}

/// What set, add, replace, append, prepend, cas and ms ask.
///
/// `Put { value, ..Put::default() }` is a set without client flags and expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Put<'a> {
    /// How to treat what is there.
    pub mode: PutMode,
    /// The data block without its line end.
    pub value: &'a [u8],
    /// Client flags of a new item; 0 takes no room.
    pub client_flags: u32,
    /// Expiry of a new item.
    pub expiry: Expiry,
    /// Store only over an item with this CAS unique: cas, ms C. As in memcached, a 0 matches no
    /// item in a set or replace, and compares nothing in an append or prepend.
    pub cas_compare: Option<u64>,
    /// CAS unique of the item instead of the slot's version: ms E.
    pub cas_override: Option<u64>,
    /// With `cas_compare` lower than the item's CAS unique: store all the same, marked stale,
    /// with the expiry and token of the item that was there: ms I. Only for set and replace.
    pub invalidate: bool,
    /// Append or prepend to a missing item stores the value with this expiry: ms N.
    pub vivify: Option<Expiry>,
    /// Remove the item that is there when the new one is too large or there is no memory, so
    /// that nobody reads the old value: the classic set, and ms in every mode.
    pub failure_removes: bool,
}

impl Put<'_> {
    /// Whether it adds to a value that is there: append and prepend.
    pub(crate) fn extends(&self) -> bool {
        matches!(self.mode, PutMode::Append | PutMode::Prepend)
    }
}

/// What incr, decr and ma ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// Subtract instead of add; stops at 0, while adding wraps at 2^64.
    pub is_decrement: bool,
    /// By how much: 1 for ma without D.
    pub delta: u64,
    /// Create the item on a miss: ma N and J.
    pub vivify: Option<VivifyNumber>,
    /// Only where the item has this CAS unique; 0 compares nothing: ma C.
    pub cas_compare: Option<u64>,
    /// CAS unique of the item instead of the slot's version: ma E.
    pub cas_override: Option<u64>,
    /// Give a hit this expiry: ma T. Ignored when the item is created here, so a caller whose ma
    /// has T after N passes T's expiry in `vivify`.
    pub touch: Option<Expiry>,
}

impl Arithmetic {
    /// Adds `delta`, nothing else: incr.
    #[must_use]
    pub const fn incr(delta: u64) -> Self {
        Self {
            is_decrement: false,
            delta,
            vivify: None,
            cas_compare: None,
            cas_override: None,
            touch: None,
        }
    }

    /// Subtracts `delta`, nothing else: decr.
    #[must_use]
    pub const fn decr(delta: u64) -> Self {
        Self { is_decrement: true, ..Self::incr(delta) }
    }
}

/// The item that arithmetic creates on a miss: without client flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VivifyNumber {
    /// Its value, not yet added to: ma J.
    pub initial: u64,
    /// Its expiry: ma N.
    pub expiry: Expiry,
}

/// What delete and md ask.
///
/// `Delete::default()` is a delete. Without `invalidate` and `remove_value` only `cas_compare`
/// matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delete {
    /// Only where the item has this CAS unique, 0 included: md C.
    pub cas_compare: Option<u64>,
    /// CAS unique that the remaining item gets: md E. Otherwise `invalidate` gives it the
    /// slot's version, and `remove_value` alone leaves the CAS unique as it was.
    pub cas_override: Option<u64>,
    /// Keep the item, mark it stale and let the next mg win it: md I.
    pub invalidate: bool,
    /// Keep the item with an empty value; client flags become `client_flags`, the expiry
    /// `touch` or never, and its marks are cleared: md x.
    pub remove_value: bool,
    /// Expiry of the remaining item: md T.
    pub touch: Option<Expiry>,
    /// Client flags of the item that `remove_value` leaves: md F.
    pub client_flags: u32,
}
