use crate::error::WireError;

/// Bytes before a frame's kind: its length.
pub const FRAME_HEADER_LEN: usize = 4;

/// A frame that came whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What its body is.
    pub kind: u8,
    /// As the kind has it.
    pub body: &'a [u8],
}

/// How many bytes the frame at the start of `bytes` has, header included, as soon as its header is
/// there; so that a receiver knows what to wait for.
///
/// # Errors
/// Longer than `frame_bytes_max`, or without a kind.
pub fn frame_len(bytes: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, WireError> {
    let Some(header) = bytes.first_chunk() else { return Ok(None) };
    let len = u32::from_le_bytes(*header);
    let whole = u64::from(len) + FRAME_HEADER_LEN as u64;
    match usize::try_from(whole) {
        _ if len == 0 => Err(WireError::Empty),
        Ok(whole) if whole <= frame_bytes_max => Ok(Some(whole)),
        _ => Err(WireError::TooLong { len: whole, max: frame_bytes_max as u64 }),
    }
}

impl<'a> Frame<'a> {
    /// Takes the first frame of `bytes`, once it is there whole; the frame, and what follows it.
    ///
    /// # Errors
    /// As [`frame_len`].
    pub fn split(
        bytes: &'a [u8],
        frame_bytes_max: usize,
    ) -> Result<Option<(Self, &'a [u8])>, WireError> {
        let Some(len) = frame_len(bytes, frame_bytes_max)? else { return Ok(None) };
        let Some((frame, rest)) = bytes.split_at_checked(len) else { return Ok(None) };
        let (kind, body) = frame[FRAME_HEADER_LEN..].split_first().expect("it has a kind");
        Ok(Some((Self { kind: *kind, body }, rest)))
    }
}

/// Appends a frame whose body `write` appends.
///
/// # Panics
/// With a body of 4 GiB and more: nothing that is sent is that large.
pub(crate) fn put_frame(out: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_LEN]);
    out.push(kind);
    write(out);
    let len = u32::try_from(out.len() - start - FRAME_HEADER_LEN).expect("frames are below 4 GiB");
    out[start..start + FRAME_HEADER_LEN].copy_from_slice(&len.to_le_bytes());
}

/// Appends bytes after their count.
pub(crate) fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    let count = u32::try_from(bytes.len()).expect("no part is 4 GiB");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(bytes);
}
