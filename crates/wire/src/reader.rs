use crate::error::WireError;

/// Reads a frame's body from its begin to its end.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub(crate) fn bytes(
        &mut self,
        count: usize,
        what: &'static str,
    ) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(WireError::Cut(what))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(WireError::Cut(what))?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, WireError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            number => Err(WireError::Number { what, number: number.into() }),
        }
    }

    /// Bytes after their count.
    pub(crate) fn counted(&mut self, what: &'static str) -> Result<&'a [u8], WireError> {
        let count = self.u32(what)?;
        self.bytes(usize::try_from(count).unwrap_or(usize::MAX), what)
    }

    /// How many of something follow, each of which takes at least so many bytes.
    pub(crate) fn count(
        &mut self,
        bytes_min: usize,
        what: &'static str,
    ) -> Result<usize, WireError> {
        let count = usize::try_from(self.u32(what)?).unwrap_or(usize::MAX);
        if count > self.0.len() / bytes_min {
            return Err(WireError::Cut(what));
        }
        Ok(count)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    pub(crate) fn finish(&self) -> Result<(), WireError> {
        match self.0.len() {
            0 => Ok(()),
            rest => Err(WireError::Rest(rest)),
        }
    }
}
