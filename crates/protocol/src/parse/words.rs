/// The words of a line: what is between spaces. Tabs are part of words.
#[derive(Clone)]
pub(super) struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// What the walk has not come to, leading spaces included.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|&byte| byte != b' ')?;
        let text = &self.rest[start..];
        let len = memchr::memchr(b' ', text).unwrap_or(text.len());
        let word;
        (word, self.rest) = text.split_at(len);
        Some(word)
    }
}

/// The last word of `text`; empty where there is none.
pub(super) fn last(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte != b' ').map_or(0, |at| at + 1);
    let start = memchr::memrchr(b' ', &text[..end]).map_or(0, |at| at + 1);
    &text[start..end]
}

/// Whether `text` ends in the word `noreply`.
///
/// memcached looks at a line's last word only, and ignores words between it and the last that the
/// command knows.
pub(super) fn is_noreply(text: &[u8]) -> bool {
    last(text) == b"noreply"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_separate_words_and_nothing_else_does() {
        let words = |text: &'static str| -> Vec<&[u8]> { Words::new(text.as_bytes()).collect() };
        assert_eq!(words(""), [b""; 0]);
        assert_eq!(words("  "), [b""; 0]);
        assert_eq!(words(" a  b\tc "), [&b"a"[..], b"b\tc"]);
    }

    #[test]
    fn noreply_is_the_last_word() {
        assert!(is_noreply(b"noreply"));
        assert!(is_noreply(b" x noreply  "));
        for text in [&b""[..], b"  ", b"noreply x", b"xnoreply", b"noreply\r", b"noreplyx"] {
            assert!(!is_noreply(text), "{}", text.escape_ascii());
        }
    }
}
