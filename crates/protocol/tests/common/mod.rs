//! What the table tests share.

use expect_test::Expect;
use memtide_protocol::fuzzing;

/// Parses a stream of commands and compares its steps, one a line; then byte by byte, for the same.
///
/// The item limit is [`fuzzing::LIMITS`].
pub fn check(stream: impl AsRef<[u8]>, expected: &Expect) {
    let stream = stream.as_ref();
    let steps = fuzzing::walk(stream, |_| stream.len());
    let bytewise = fuzzing::walk(stream, |arrived| arrived + 1);
    assert_eq!(steps, bytewise, "a split changes what is read");
    let steps: Vec<_> = steps.iter().map(fuzzing::describe).collect();
    expected.assert_eq(&readable(&steps.join("\n")));
}

/// Prints byte strings as text, `[97, 98]` as `"ab"`, and leaves out what is `None` or `false`.
fn readable(debug: &str) -> String {
    let mut text = String::new();
    let mut rest = debug;
    while let Some((before, list)) = rest.split_once('[') {
        text.push_str(before);
        (text, rest) =
            match list.split_once(']').and_then(|(list, rest)| Some((bytes(list)?, rest))) {
                Some((bytes, rest)) => (text + &format!("\"{}\"", bytes.escape_ascii()), rest),
                None => (text + "[", list),
            };
    }
    text.push_str(rest);
    let is_told = |field: &&str| {
        field.contains('{') || !field.ends_with(": None") && !field.ends_with(": false")
    };
    text.split(", ").filter(is_told).collect::<Vec<_>>().join(", ")
}

fn bytes(list: &str) -> Option<Vec<u8>> {
    list.split(", ").filter(|byte| !byte.is_empty()).map(|byte| byte.parse().ok()).collect()
}
