#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
use super::*;
use crate::reply::{Found, read};

const SECOND: Nanos = 1_000_000_000;
const AS_RECORDED: TraceTiming = TraceTiming::Recorded { speed: 1.0 };

fn traffic(trace: &str, timing: TraceTiming, look_aside: bool) -> TraceTraffic<&[u8]> {
    share(trace, timing, look_aside, (0, 1))
}

fn share(
    trace: &str,
    timing: TraceTiming,
    look_aside: bool,
    thread: (u32, u32),
) -> TraceTraffic<&[u8]> {
    let reader = TraceReader::new("trace.csv".to_owned(), trace.as_bytes());
    TraceTraffic::new(TraceSettings::new(timing, look_aside), reader, thread, 3)
}

fn asked(traffic: &mut TraceTraffic<&[u8]>, lane: Lane) -> Option<(TraceRequest, String)> {
    let mut out = Vec::new();
    let asked = traffic.next(lane, 0, &mut out)?;
    Some((asked.request, String::from_utf8_lossy(&out).into_owned()))
}

fn followed_up(traffic: &mut TraceTraffic<&[u8]>, lane: Lane) -> Option<(TraceRequest, String)> {
    let mut out = Vec::new();
    let asked = traffic.follow_up(lane, 0, &mut out)?;
    Some((asked.request, String::from_utf8_lossy(&out).into_owned()))
}

fn hear(
    traffic: &mut TraceTraffic<&[u8]>,
    lane: Lane,
    request: &mut TraceRequest,
    reply: &str,
) -> Progress {
    let mut bytes = reply.as_bytes();
    let mut last = Progress::More;
    while !bytes.is_empty() {
        let Ok(Found::Event(consumed, event)) = read(bytes) else { panic!("no reply: {reply}") };
        last = traffic.heard(lane, request, &event, 0);
        bytes = &bytes[consumed..];
    }
    last
}

fn done(outcome: Outcome, hits: u32, misses: u32) -> Progress {
    Progress::Done { outcome, hits, misses }
}

/// All that is left, with the times.
fn rest(mut traffic: TraceTraffic<&[u8]>) -> Vec<(Option<Nanos>, String)> {
    let mut all = Vec::new();
    loop {
        let due = traffic.due();
        match asked(&mut traffic, 0) {
            Some((_, text)) => all.push((due, text)),
            None => return all,
        }
    }
}

#[test]
fn every_operation_is_asked_with_its_key_filled_up_and_its_sizes() {
    let trace = "3,k1,4,5,1,get,0\n3,k2,2,5,1,gets,0\n3,k3,1,5,1,set,60\n3,k4,2,0,1,add,9999999\n\
                 3,k5,2,1,1,replace,0\n3,k6,2,1,1,append,0\n3,k7,2,2,1,prepend,0\n\
                 3,k8,2,0,1,delete,0\n3,k9,2,0,1,incr,0\n3,k0,2,0,1,decr,0\n3,ka,2,0,1,cas,0\n";
    let texts: Vec<String> =
        rest(traffic(trace, AS_RECORDED, false)).into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        texts,
        [
            "get k1--\r\n",
            "gets k2\r\n",
            "set k3 0 60 5\r\n10000\r\n",
            "add k4 0 2592000 0\r\n\r\n",
            "replace k5 0 0 1\r\n1\r\n",
            "append k6 0 0 1\r\n1\r\n",
            "prepend k7 0 0 2\r\n10\r\n",
            "delete k8\r\n",
            "incr k9 1\r\n",
            "decr k0 1\r\n",
            "gets ka\r\n",
        ]
    );
    let mut large = traffic("0,k,1,5000,1,set,0\n", AS_RECORDED, false);
    assert_eq!(asked(&mut large, 0).unwrap().1.split("\r\n").next().unwrap(), "set k 0 0 5000");
}

#[test]
fn the_requests_of_a_second_are_spread_evenly_over_it() {
    let mut trace = String::new();
    for (second, lines) in [(100, 4), (101, 1), (105, 100), (106, 2)] {
        for line in 0..lines {
            trace += &format!("{second},k{line},2,5,1,get,0\n");
        }
    }
    for (speed, timing) in [(1, AS_RECORDED), (5, TraceTiming::Recorded { speed: 5.0 })] {
        let times: Vec<Nanos> =
            rest(traffic(&trace, timing, false)).iter().map(|(due, _)| due.unwrap()).collect();
        let mut expected: Vec<Nanos> = (0..4).map(|line| line * SECOND / 4).collect();
        expected.push(SECOND);
        expected.extend((0..100).map(|line| 5 * SECOND + line * SECOND / 100));
        expected.extend([6 * SECOND, 6 * SECOND + SECOND / 2]);
        assert_eq!(times.len(), expected.len());
        for (time, expected) in times.iter().zip(&expected) {
            assert!(time.abs_diff(expected / speed) <= 1, "{time} {expected} {speed}");
        }
    }
    let by_plan = rest(traffic(&trace, TraceTiming::ByPlan, false));
    assert_eq!(by_plan.len(), 107);
    assert!(by_plan.iter().all(|(due, _)| due.is_none()));
}

/// Every line goes to one thread, all lines of a key to the same one and in order, and the times
/// are those of one thread.
#[test]
fn threads_share_the_trace_by_key() {
    let mut trace = String::new();
    for line in 0..3000 {
        trace += &format!("{},k{},3,{},1,set,{line}\n", line / 500, line % 97, line % 7);
    }
    let whole = rest(traffic(&trace, AS_RECORDED, false));
    for threads in [2, 5] {
        let shares: Vec<Vec<(Option<Nanos>, String)>> = (0..threads)
            .map(|thread| rest(share(&trace, AS_RECORDED, false, (thread, threads))))
            .collect();
        assert!(shares.iter().all(|share| !share.is_empty()));
        let key = |text: &str| text.split(' ').nth(1).unwrap().to_owned();
        for (index, share) in shares.iter().enumerate() {
            let keys: std::collections::HashSet<String> =
                share.iter().map(|(_, text)| key(text)).collect();
            let own: Vec<_> =
                whole.iter().filter(|(_, text)| keys.contains(&key(text))).cloned().collect();
            assert_eq!(share, &own, "thread {index} of {threads}");
        }
        assert_eq!(shares.iter().map(Vec::len).sum::<usize>(), whole.len());
    }
}

#[test]
fn replies_are_heard_by_key() {
    let trace = "0,k1,2,5,1,get,0\n0,k2,2,5,1,get,0\n0,k3,2,5,1,delete,0\n0,k4,2,5,1,get,0\n";
    let mut traffic = traffic(trace, AS_RECORDED, false);
    let (mut hit, _) = asked(&mut traffic, 1).unwrap();
    let (mut miss, _) = asked(&mut traffic, 1).unwrap();
    let (mut delete, _) = asked(&mut traffic, 1).unwrap();
    let (mut other, _) = asked(&mut traffic, 1).unwrap();
    let heard = hear(&mut traffic, 1, &mut hit, "VALUE k1 0 1\r\nx\r\nEND\r\n");
    assert_eq!(heard, done(Outcome::Hit, 1, 0));
    assert_eq!(hear(&mut traffic, 1, &mut miss, "END\r\n"), done(Outcome::Miss, 0, 1));
    assert!(followed_up(&mut traffic, 1).is_none());
    assert_eq!(hear(&mut traffic, 1, &mut delete, "STORED\r\n"), Progress::OutOfStep);
    traffic.lost(1, delete);
    let heard = hear(&mut traffic, 1, &mut other, "VALUE k3 0 1\r\nx\r\n");
    assert_eq!(heard, Progress::OutOfStep, "the key of the lost one");
    let heard = hear(&mut traffic, 1, &mut other, "VALUE k4 0 1\r\nx\r\nSERVER_ERROR x\r\n");
    assert_eq!(heard, done(Outcome::Error, 0, 0));
}

#[test]
fn a_miss_is_set_and_a_cas_uses_its_token() {
    let trace = "0,k1,4,3,1,get,60\n0,k2,2,4,1,cas,9\n0,k3,2,4,1,cas,9\n";
    let mut traffic = traffic(trace, AS_RECORDED, true);
    let (mut get, _) = asked(&mut traffic, 0).unwrap();
    let (mut cas, _) = asked(&mut traffic, 0).unwrap();
    hear(&mut traffic, 0, &mut get, "END\r\n");
    let (mut set, text) = followed_up(&mut traffic, 0).unwrap();
    assert_eq!(text, "set k1-- 0 60 3\r\n100\r\n");
    assert!(followed_up(&mut traffic, 0).is_none());
    hear(&mut traffic, 0, &mut cas, "VALUE k2 0 1 77\r\nx\r\nEND\r\n");
    let (mut cas, text) = followed_up(&mut traffic, 0).unwrap();
    assert_eq!(text, "cas k2 0 9 4 77\r\n1000\r\n");
    assert_eq!(hear(&mut traffic, 0, &mut set, "STORED\r\n"), done(Outcome::Stored, 0, 0));
    assert_eq!(hear(&mut traffic, 0, &mut cas, "EXISTS\r\n"), done(Outcome::Exists, 0, 0));
    let (mut missed, _) = asked(&mut traffic, 0).unwrap();
    hear(&mut traffic, 0, &mut missed, "END\r\n");
    assert_eq!(followed_up(&mut traffic, 0).unwrap().1, "set k3 0 9 4\r\n1000\r\n");
}

#[test]
fn a_bad_line_ends_the_traffic_after_those_before_it() {
    let trace = "0,k1,2,3,1,get,0\n1,k2,2,3,1,get,0\n2,k3,2,x,1,get,0\n3,k4,2,3,1,get,0\n";
    let mut traffic = traffic(trace, AS_RECORDED, false);
    assert!(traffic.failure().is_none());
    assert_eq!(asked(&mut traffic, 0).unwrap().1, "get k1\r\n");
    assert_eq!(asked(&mut traffic, 0).unwrap().1, "get k2\r\n");
    assert!(asked(&mut traffic, 0).is_none());
    assert_eq!(traffic.due(), Some(SECOND));
    let told = traffic.failure().unwrap().to_string();
    assert_eq!(told, "trace.csv:3: value_size is \"x\", not a whole number");
}

#[test]
fn an_empty_trace_is_told() {
    for trace in ["", "timestamp,key,key_size,value_size,client,op,ttl\n"] {
        let mut traffic = traffic(trace, AS_RECORDED, false);
        assert!(asked(&mut traffic, 0).is_none());
        assert_eq!(traffic.failure().unwrap().to_string(), "trace.csv: no requests in it");
    }
}

/// A second ahead is held, not the trace.
#[test]
fn memory_does_not_grow_with_the_trace() {
    let mut trace = String::new();
    for line in 0..50_000 {
        trace += &format!("{},key{line},9,3,1,get,0\n", line / 1000);
    }
    let mut traffic = traffic(&trace, AS_RECORDED, false);
    let mut asked_for = 0;
    while let Some((mut request, _)) = asked(&mut traffic, 0) {
        hear(&mut traffic, 0, &mut request, "END\r\n");
        asked_for += 1;
        assert!(traffic.schedule.held() <= 4000, "{} held", traffic.schedule.held());
    }
    assert_eq!(asked_for, 50_000);
}

#[test]
fn more_requests_of_a_second_than_are_held_are_due_at_its_end() {
    let mut trace = "0,k,1,3,1,get,0\n1,k,1,3,1,get,0\n".to_owned();
    trace += &"9,k,1,3,1,get,0\n".repeat(10);
    let mut traffic = traffic(&trace, AS_RECORDED, false);
    traffic.schedule.second_requests_max = 4;
    let times: Vec<Nanos> = rest(traffic).iter().map(|(due, _)| due.unwrap()).collect();
    let quarter = SECOND / 4;
    let spread = (0..4).map(|part| 9 * SECOND + part * quarter);
    let expected: Vec<Nanos> =
        [0, SECOND].into_iter().chain(spread).chain([10 * SECOND; 6]).collect();
    assert_eq!(times, expected);
}

#[test]
fn a_speed_is_above_0() {
    assert_eq!(TraceTiming::recorded(2.0), Ok(TraceTiming::Recorded { speed: 2.0 }));
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let told = TraceTiming::recorded(bad).unwrap_err().to_string();
        assert!(
            told.ends_with("is no speed: give a number above 0, 2 for twice as fast as recorded")
        );
    }
}
