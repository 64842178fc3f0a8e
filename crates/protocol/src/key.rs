use crate::base64;
use crate::limits::DECODED_KEY_BYTES_MAX;

/// The key of a meta command as it stands on the line: plain, or base64 with the `b` flag.
///
/// Valid by construction: at most 250 bytes on the line, and base64 that decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    token: &'a [u8],
    is_base64: bool,
}

impl<'a> Key<'a> {
    pub(crate) const fn plain(token: &'a [u8]) -> Self {
        Self { token, is_base64: false }
    }

    /// `None` where the token does not decode.
    pub(crate) fn base64(token: &'a [u8]) -> Option<Self> {
        let mut decoded = [0; DECODED_KEY_BYTES_MAX];
        base64::decode(token, &mut decoded).map(|_| Self { token, is_base64: true })
    }

    /// The text on the line.
    #[must_use]
    pub const fn token(self) -> &'a [u8] {
        self.token
    }

    /// Whether the client wrote the key in base64 (the `b` flag).
    #[must_use]
    pub const fn is_base64(self) -> bool {
        self.is_base64
    }

    /// The key itself: the bytes that are hashed, stored and compared.
    #[must_use]
    pub fn bytes(self) -> KeyBytes<'a> {
        if !self.is_base64 {
            return KeyBytes(Repr::Borrowed(self.token));
        }
        let mut bytes = [0; DECODED_KEY_BYTES_MAX];
        let len = base64::decode(self.token, &mut bytes).expect("decoded when it was parsed");
        KeyBytes(Repr::Decoded { len, bytes })
    }
}

/// The bytes of a [`Key`], borrowed from the line or decoded in place; derefs to `[u8]`.
#[derive(Clone, Copy)]
pub struct KeyBytes<'a>(Repr<'a>);

#[derive(Clone, Copy)]
enum Repr<'a> {
    Borrowed(&'a [u8]),
    Decoded { len: usize, bytes: [u8; DECODED_KEY_BYTES_MAX] },
}

impl core::ops::Deref for KeyBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Borrowed(bytes) => bytes,
            Repr::Decoded { len, bytes } => &bytes[..*len],
        }
    }
}

impl AsRef<[u8]> for KeyBytes<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl core::fmt::Debug for KeyBytes<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}
