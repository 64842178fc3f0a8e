use crate::item::Header;
use crate::segment::{SegmentId, Segments};
use core::fmt;
use std::borrow::Cow;

/// The value of an item, borrowed under the lock of its shard.
///
/// Mostly one slice; in several where the item lies in several segments: every value of about
/// 64 KiB and more, and a few others.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    first: &'a [u8],
    rest: Option<Rest<'a>>,
}

/// The slices after the first.
#[derive(Clone, Copy)]
struct Rest<'a> {
    segments: &'a Segments,
    /// The rest of what is in the record; may be empty.
    second: &'a [u8],
    extent: Option<SegmentId>,
    len: usize,
}

impl<'a> Value<'a> {
    /// The value of the record that starts here.
    #[inline]
    pub(crate) fn of(
        segments: &'a Segments,
        (id, offset): (SegmentId, usize),
        header: &Header,
    ) -> Self {
        let segment = segments.at(id);
        let start = offset + header.value_start();
        let first_len = header.inline_len().min(segment.used as usize - start);
        let first = &segment.data[start..][..first_len];
        let len = header.value_len as usize - first_len;
        if len == 0 {
            return Self { first, rest: None };
        }
        let second_len = header.inline_len() - first_len;
        let second = match segments.next_part(id) {
            Some(next) if second_len > 0 => &segments.at(next).data[..second_len],
            _ => &[],
        };
        let extent = SegmentId::some(header.extents.first);
        Self { first, rest: Some(Rest { segments, second, extent, len }) }
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len() + self.rest.map_or(0, |rest| rest.len)
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slices that make up the value, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let rest = self.rest;
        let second = rest.map(|rest| rest.second).filter(|second| !second.is_empty());
        let extents = rest.into_iter().flat_map(|Rest { segments, extent, .. }| {
            let all = core::iter::successors(extent, move |id| segments.next_part(*id));
            all.map(move |id| &*segments.at(id).data)
        });
        core::iter::once(self.first).chain(second).chain(extents)
    }

    /// The value as one slice; copied where it is in several.
    #[must_use]
    pub fn contiguous(&self) -> Cow<'a, [u8]> {
        match self.rest {
            None => Cow::Borrowed(self.first),
            Some(_) => Cow::Owned(self.chunks().flatten().copied().collect()),
        }
    }
}

impl Default for Value<'_> {
    fn default() -> Self {
        Self::from(&[][..])
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(first: &'a [u8]) -> Self {
        Self { first, rest: None }
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.contiguous() == other.contiguous()
    }
}

impl Eq for Value<'_> {}

impl PartialEq<[u8]> for Value<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        *self.contiguous() == *other
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.len())
    }
}
