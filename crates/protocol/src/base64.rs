//! Base64 as memcached decodes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::limits::{DECODED_KEY_BYTES_MAX, KEY_BYTES_MAX};

/// Longest text of a decoded key, in bytes.
const TEXT_BYTES_MAX: usize = DECODED_KEY_BYTES_MAX / 3 * 4;

/// Decodes `text` to the start of `out` and returns the length, never 0.
///
/// memcached's rules, which are laxer than RFC 4648: bytes outside the alphabet are skipped, what
/// follows the padded group is ignored, and so are the bits of the last group that carry nothing.
/// `None` where the rest is empty, no whole groups of four, or has a group that is mostly padding.
pub(crate) fn decode(text: &[u8], out: &mut [u8; DECODED_KEY_BYTES_MAX]) -> Option<usize> {
    let symbols = text.iter().filter(|&&byte| value(byte).is_some()).count();
    if symbols % 4 != 0 || text.len() > KEY_BYTES_MAX {
        return None;
    }
    let mut len = 0;
    let (mut group, mut group_len, mut padding) = (0u32, 0, 0);
    for &byte in text {
        let Some(bits) = value(byte) else { continue };
        padding += usize::from(byte == b'=');
        group = group << 6 | u32::from(bits);
        group_len += 1;
        if group_len == 4 {
            let [_, bytes @ ..] = group.to_be_bytes();
            out[len..len + 3].copy_from_slice(&bytes);
            len += 3;
            if padding > 0 {
                len = if padding > 2 { 0 } else { len - padding };
                break;
            }
            (group, group_len) = (0, 0);
        }
    }
    (len > 0).then_some(len)
}

/// Appends the base64 text of a key.
///
/// # Panics
/// Where `bytes` is longer than any decoded key, [`DECODED_KEY_BYTES_MAX`].
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let mut text = [0; TEXT_BYTES_MAX];
    let len = STANDARD.encode_slice(bytes, &mut text).expect("a decoded key fits its text");
    out.extend_from_slice(&text[..len]);
}

/// The six bits of a symbol; padding has none.
const fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        b'=' => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_memcached_decodes() {
        for (text, bytes) in [
            ("Zm9v", Some("foo")),
            ("Zm8=", Some("fo")),
            ("Zg==", Some("f")),
            ("Z!m9v", Some("foo")),
            ("Zh==", Some("f")),
            ("Zg==Zm9v", Some("f")),
            ("", None),
            ("!", None),
            ("Zm9", None),
            ("Zm9vZ", None),
            ("Z===", None),
            ("====", None),
        ] {
            let mut out = [0; DECODED_KEY_BYTES_MAX];
            let len = decode(text.as_bytes(), &mut out);
            assert_eq!(len.map(|len| &out[..len]), bytes.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn the_longest_text_fits() {
        let mut out = [0; DECODED_KEY_BYTES_MAX];
        assert_eq!(decode(&[b'A'; 248], &mut out), Some(186));
        assert_eq!(decode(&[b'A'; 252], &mut out), None, "longer than a key");
        let mut text = Vec::new();
        encode(&out, &mut text);
        assert_eq!(text, [b'A'; 248]);
    }
}
