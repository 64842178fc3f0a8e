use super::*;

/// Of each two ranges, whether or not they meet.
#[test]
fn the_newest_version_of_both_is_spoken_and_both_choose_the_same() {
    let ranges = || (1..5).flat_map(|min| (min..5).map(move |max| Versions { min, max }));
    for (ours, theirs) in ranges().flat_map(|ours| ranges().map(move |theirs| (ours, theirs))) {
        let of_both = (ours.min..=ours.max).filter(|it| (theirs.min..=theirs.max).contains(it));
        let agreed = ours.agree(theirs);
        assert_eq!(agreed.clone().ok(), of_both.max(), "{ours} and {theirs}");
        assert_eq!(theirs.agree(ours).ok(), agreed.ok(), "{ours} and {theirs}");
    }
}

#[test]
fn who_shares_no_version_is_told_what_to_do() {
    let said = Versions::KNOWN.agree(Versions { min: 3, max: 3 }).unwrap_err().to_string();
    let expected = "the peer speaks the node protocol in version 3, this process in versions 1 to 2: \
                    upgrade the older one, and then have none held to an old version (--wire-version-max)";
    assert_eq!(said, expected);
}

#[test]
fn a_process_is_held_to_a_version_that_it_knows_and_to_no_other() {
    assert_eq!(Versions::up_to(1), Some(Versions { min: 1, max: 1 }));
    assert_eq!(Versions::up_to(VERSION_MAX), Some(Versions::KNOWN));
    assert_eq!([0, VERSION_MAX + 1, u16::MAX].map(Versions::up_to), [None; 3]);
}

fn decode(kind: u8, body: &[u8]) -> Result<Greeting, WireError> {
    Greeting::decode(&Frame { kind, body })
}

#[test]
fn a_greeting_arrives_as_it_was_sent_and_nothing_else_is_one() {
    let (greeting, mut bytes) = (Greeting { fleet: 7 << 40 }, Vec::new());
    greeting.encode(&mut bytes);
    assert_eq!(bytes.len(), Greeting::BYTES_MAX);
    let Frame { kind, body } = only(&bytes);
    assert_eq!(Greeting::decode(&Frame { kind, body }), Ok(greeting));
    assert_eq!(decode(kind, &body[1..]), Err(WireError::Cut("a fleet")));
    assert_eq!(decode(kind, &[body, b"x"].concat()), Err(WireError::Rest(1)));
    assert_eq!(decode(1, body), Err(WireError::Kind(1)));
    for (one, other, fits) in [(1, 1, true), (1, 2, false), (0, 2, true), (1, 0, true)] {
        assert_eq!(Greeting { fleet: one }.fits(Greeting { fleet: other }), fits, "{one}, {other}");
    }
}
