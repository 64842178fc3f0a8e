use std::collections::BTreeMap;

/// How far two clocks that tick once a second, read one after the other, may be apart on a machine
/// that has other work: seconds.
const TTL_TOLERANCE_SECS: u64 = 9;

/// Compares the replies of two servers, byte for byte except for what must differ: CAS uniques,
/// which must map one to one for each key, and times.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// The CAS uniques last named by either server, by key.
    pub seen: [BTreeMap<String, u64>; 2],
    /// Whether a line of less than two bytes may be answered as a bad format too, as newer memcached
    /// does.
    pub allows_short_lines: bool,
    pairs: BTreeMap<String, CasPairs>,
}

#[derive(Clone, Debug, Default)]
struct CasPairs {
    to_second: BTreeMap<u64, u64>,
    to_first: BTreeMap<u64, u64>,
}

/// What two servers answered differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement(pub String);

impl Agreement {
    /// Compares the replies to a command about `key`.
    ///
    /// # Errors
    /// Where they say different things.
    pub fn check(&mut self, key: &str, first: &[u8], second: &[u8]) -> Result<(), Disagreement> {
        let (mut left, mut right) = (first, second);
        while !left.is_empty() || !right.is_empty() {
            let (left_line, right_line) = (take_line(&mut left), take_line(&mut right));
            let value_len = self.check_line(key, left_line, right_line)?;
            if let Some(len) = value_len {
                let (left_value, right_value) = (take(&mut left, len), take(&mut right, len));
                if left_value != right_value {
                    return Err(disagree("values differ", left_value, right_value));
                }
            }
        }
        Ok(())
    }

    /// Returns the length of the data block that follows, its `\r\n` included.
    fn check_line(
        &mut self,
        key: &str,
        left: &[u8],
        right: &[u8],
    ) -> Result<Option<usize>, Disagreement> {
        if self.allows_short_lines
            && left == b"ERROR\r\n"
            && right == b"CLIENT_ERROR bad command line format\r\n"
        {
            return Ok(None);
        }
        let (left_words, right_words) = (words(left), words(right));
        if left_words.len() != right_words.len() {
            return Err(disagree("lines differ", left, right));
        }
        let kind = left_words[0];
        for (at, (one, other)) in left_words.iter().zip(&right_words).enumerate() {
            let is_meta = matches!(kind, b"HD" | b"VA" | b"EN" | b"NF" | b"NS" | b"EX") && at > 0;
            let holds = match (numbered(one), numbered(other)) {
                _ if kind == b"VALUE" && at == 4 => {
                    let item = String::from_utf8_lossy(left_words[1]).into_owned();
                    self.pair(&item, number(one), number(other))
                }
                (Some((b'c', first)), Some((b'c', second))) if is_meta => {
                    self.pair(key, Some(first), Some(second))
                }
                (Some((b't', first)), Some((b't', second))) if is_meta => {
                    first.abs_diff(second) <= TTL_TOLERANCE_SECS
                }
                // memcached 1.6 leaves the time of an item's first access alone.
                (Some((b'l', _)), Some((b'l', _))) if is_meta => true,
                _ => one == other,
            };
            if !holds {
                return Err(disagree("lines differ", left, right));
            }
        }
        let len_at = match kind {
            b"VALUE" => 3,
            b"VA" => 1,
            _ => return Ok(None),
        };
        let len = left_words.get(len_at).and_then(|len| number(len));
        Ok(len.and_then(|len| usize::try_from(len + 2).ok()))
    }

    /// Notes what both servers call one state of an item; false where they did not before.
    fn pair(&mut self, key: &str, first: Option<u64>, second: Option<u64>) -> bool {
        let (Some(first), Some(second)) = (first, second) else { return false };
        self.seen[0].insert(key.to_owned(), first);
        self.seen[1].insert(key.to_owned(), second);
        let pairs = self.pairs.entry(key.to_owned()).or_default();
        *pairs.to_second.entry(first).or_insert(second) == second
            && *pairs.to_first.entry(second).or_insert(first) == first
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(len.min(rest.len()));
    *rest = left;
    taken
}

fn take_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let len = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
    take(rest, len)
}

fn words(line: &[u8]) -> Vec<&[u8]> {
    line.strip_suffix(b"\r\n").unwrap_or(line).split(|&byte| byte == b' ').collect()
}

/// A meta flag with a number, such as `t30`.
fn numbered(word: &[u8]) -> Option<(u8, u64)> {
    let (&flag, digits) = word.split_first()?;
    Some((flag, number(digits)?))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn disagree(what: &str, first: &[u8], second: &[u8]) -> Disagreement {
    let show = |bytes: &[u8]| bytes[..bytes.len().min(300)].escape_ascii().to_string();
    Disagreement(format!("{what}:\n  {}\n  {}", show(first), show(second)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(replies: &[(&str, &str)]) -> bool {
        let mut agreement = Agreement::default();
        replies.iter().all(|(first, second)| {
            agreement.check("a", first.as_bytes(), second.as_bytes()).is_ok()
        })
    }

    #[test]
    fn cas_uniques_map_one_to_one() {
        assert!(agrees(&[
            ("HD c5\r\n", "HD c90\r\n"),
            ("VALUE a 0 1 5\r\nx\r\n", "VALUE a 0 1 90\r\nx\r\n")
        ]));
        assert!(!agrees(&[("HD c5\r\n", "HD c90\r\n"), ("HD c5\r\n", "HD c91\r\n")]));
        assert!(!agrees(&[("HD c5\r\n", "HD c90\r\n"), ("HD c6\r\n", "HD c90\r\n")]));
        assert!(agrees(&[
            ("VALUE a 0 0 5\r\n\r\n", "VALUE a 0 0 1\r\n\r\n"),
            ("VALUE b 0 0 6\r\n\r\n", "VALUE b 0 0 1\r\n\r\n"),
        ]));
    }

    #[test]
    fn times_may_be_apart_a_little() {
        assert!(agrees(&[("HD t30 l0\r\n", "HD t28 l5\r\n")]));
        assert!(!agrees(&[("HD t30\r\n", "HD t20\r\n")]));
        assert!(!agrees(&[("HD t-1\r\n", "HD t1\r\n")]));
    }

    #[test]
    fn everything_else_is_compared_as_it_is() {
        assert!(agrees(&[("VA 3 s3\r\nc12\r\nEN\r\n", "VA 3 s3\r\nc12\r\nEN\r\n")]));
        assert!(!agrees(&[("VA 3\r\nc12\r\n", "VA 3\r\nc13\r\n")]));
        assert!(!agrees(&[("HD h1\r\n", "HD h0\r\n")]));
        assert!(!agrees(&[("STORED\r\n", "")]));
        assert!(!agrees(&[("EN\r\n", "EN\r\nEN\r\n")]));
    }
}
