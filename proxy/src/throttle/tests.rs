//! Sessions at a limit, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::sync::Arc;
use std::task::{Context, Waker};

use memtide_execute::Executed;
use memtide_protocol::{Command, Step};

use super::*;
use crate::execute::Executor;
use crate::session::tests::Bench;
use crate::session::{Progress, Session};

const NOW_SECS: u32 = 1_800_000_000;
const REFUSED: &str = "SERVER_ERROR throttled: ECPU limit exceeded";

/// A core with connections, whose clients send all at once.
struct Site {
    shared: Arc<Shared>,
    throttle: Rc<Throttle>,
    now: Instant,
    clients: Vec<Client>,
}

struct Client {
    session: Session,
    standing: Standing,
    carry: Vec<u8>,
    replies: Vec<u8>,
}

impl Site {
    fn new(per_second: u64) -> Self {
        let shared = Arc::new(Bench::new().shared);
        let rate = Some(per_second * 1024);
        shared.ecpu_limit.set(rate, rate);
        let throttle = Rc::new(Throttle::new(Arc::clone(&shared), 0));
        // What is set begins without a burst: wait for one.
        let now = Instant::now() + Duration::from_secs(1);
        Self { shared, throttle, now, clients: Vec::new() }
    }

    fn client(&mut self) -> usize {
        let standing = self.throttle.standing();
        let (carry, replies) = (Vec::new(), Vec::new());
        self.clients.push(Client { session: Session::default(), standing, carry, replies });
        self.clients.len() - 1
    }

    fn send(&mut self, client: usize, bytes: &[u8]) {
        let client = &mut self.clients[client];
        client.carry.extend_from_slice(bytes);
        client.standing.has_read();
        self.turns();
    }

    /// Lets this much time pass, in steps of a millisecond.
    fn wait(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now += Duration::from_millis(1);
            self.throttle.look(self.now);
            self.turns();
        }
    }

    fn replies(&mut self, client: usize) -> Vec<String> {
        let replies = std::mem::take(&mut self.clients[client].replies);
        String::from_utf8(replies).unwrap().lines().map(str::to_owned).collect()
    }

    fn turns(&mut self) {
        let cx = Context::from_waker(Waker::noop());
        for client in 0..self.clients.len() {
            while !self.clients[client].carry.is_empty()
                && !self.clients[client].standing.is_held(&cx)
            {
                self.turn(client);
            }
        }
    }

    fn turn(&mut self, client: usize) {
        let Client { session, standing, carry, replies } = &mut self.clients[client];
        let counters = &self.shared.counters[0];
        let mut batch = Executed::default();
        let before = counters.traffic.ecpu_units.load();
        let (toll, _) = standing.toll(self.now);
        let mut executor =
            Executor::new(&self.shared, counters, NOW_SECS, &mut batch).with_toll(toll);
        let mut out = Vec::new();
        let (consumed, progress) = session.advance(carry, &mut out, &mut executor);
        standing.bill(counters.traffic.ecpu_units.load() - before, self.now);
        carry.drain(..consumed);
        replies.extend_from_slice(&out);
        let is_whole = matches!(progress, Progress::NeedsMore { .. });
        assert!(!is_whole || carry.is_empty(), "whole commands");
    }

    fn used(&self) -> u64 {
        self.shared.totals().traffic.ecpu_units / 1024
    }
}

#[test]
fn what_is_over_the_limit_is_delayed_and_then_refused_in_step() {
    let mut site = Site::new(1000);
    let client = site.client();
    let line: String = (0..1000).map(|i| format!("mg k{i} k\r\nmn\r\n")).collect();
    site.send(client, line.as_bytes());
    let first = site.replies(client);
    let at_once = first.len() / 2;
    assert!((20..100).contains(&at_once), "a burst of 50 ms: {at_once}");
    site.wait(150);
    let delayed = site.replies(client);
    assert!(
        delayed.iter().all(|reply| reply.starts_with("EN") || reply == "MN"),
        "none is refused yet: {delayed:?}"
    );
    assert!((40..80).contains(&(delayed.len() / 2)), "the rate: {}", delayed.len());
    site.wait(100);
    let all = [first, delayed, site.replies(client)].concat();
    assert_eq!(all.len(), 2000, "an answer to each command");
    let (asked, ends): (Vec<_>, Vec<_>) = all.chunks(2).map(|two| (&two[0], &two[1])).unzip();
    assert!(
        ends.iter().all(|end| *end == "MN"),
        "in step, and the end of a pipeline is not refused"
    );
    let refused = asked.iter().filter(|reply| **reply == REFUSED).count();
    assert!(refused > 700, "{refused}");
    assert_eq!(site.shared.totals().traffic.throttled_commands, refused as u64);
    site.wait(2000);
    site.send(client, b"mg k0 k\r\n");
    assert_eq!(site.replies(client), ["EN kk0"], "it is over");
}

#[test]
fn a_refused_set_changes_nothing_and_its_data_is_no_command() {
    let mut site = Site::new(1000);
    let client = site.client();
    let set = |key: &str| format!("set {key} 0 0 11\r\nflush_all\r\n\r\n");
    site.send(client, format!("{}{}", set("k"), "get k\r\n".repeat(2000)).as_bytes());
    site.wait(300);
    let replies = site.replies(client);
    assert_eq!((replies[0].as_str(), replies.last().unwrap().as_str()), ("STORED", REFUSED));
    let quiet = "set q 0 0 2 noreply\r\nxx\r\nms m 2 q\r\nyy\r\n";
    let all = format!("{}{quiet}{}", "mg k\r\n".repeat(600), set("late"));
    site.send(client, all.as_bytes());
    site.wait(300);
    let replies = site.replies(client);
    // noreply swallows the refusal; a quiet meta command tells errors.
    assert_eq!(replies.len(), 600 + 2, "{replies:?}");
    assert_eq!(replies[600..], [REFUSED, REFUSED]);
    site.wait(3000);
    site.send(client, b"get k q m late\r\n");
    let replies = site.replies(client);
    assert_eq!(replies.len(), 4, "k alone is there: {replies:?}");
    assert!(replies[0].starts_with("VALUE k"));
}

#[test]
fn a_retrieval_that_has_begun_waits_and_is_told_to_its_end() {
    let mut site = Site::new(1000);
    let client = site.client();
    let value = "v".repeat(100_000);
    site.send(client, format!("set k 0 0 100000\r\n{value}\r\n").as_bytes());
    site.wait(2000);
    site.replies(client);
    let before = site.used();
    site.send(client, format!("get{}\r\n", " k".repeat(40)).as_bytes());
    assert!(site.replies(client).len() < 20, "4 MB are four seconds of the limit");
    site.wait(1000);
    let used = site.used() - before;
    assert!(used < 1300, "{used} ECPUs in a second");
    site.wait(4000);
    let other = site.client();
    site.send(other, b"mg k\r\n");
    site.wait(2000);
    let replies = site.replies(client);
    assert_eq!(replies.last().unwrap(), "END");
    assert_eq!(site.replies(other), ["HD"]);
    assert_eq!(site.used() - before, 40 * 100_000 / 1024 + 2, "metered once");
}

#[test]
fn a_limit_that_is_lifted_lets_all_go_and_one_that_is_set_holds() {
    let mut site = Site::new(1000);
    let client = site.client();
    site.send(client, &b"mg k\r\n".repeat(500));
    site.wait(10);
    assert!(site.replies(client).len() < 200);
    site.shared.ecpu_limit.set(None, None);
    site.wait(60);
    assert_eq!(site.replies(client).iter().filter(|reply| *reply == "EN").count() + 60, 500);
}

/// Between the two moments in which a batch asks the limit and pays.
#[test]
fn who_is_held_back_while_the_limit_is_lifted_is_woken() {
    let mut site = Site::new(1000);
    let client = site.client();
    let Client { session, standing, .. } = &mut site.clients[client];
    let mut batch = Executed::default();
    let counters = &site.shared.counters[0];
    let executor = Executor::new(&site.shared, counters, NOW_SECS, &mut batch);
    let mut executor = executor.with_toll(standing.toll(site.now).0);
    let input = b"mg k\r\n".repeat(500);
    let (_, progress) = session.advance(&input, &mut Vec::new(), &mut executor);
    assert_eq!(progress, Progress::Held);
    site.shared.ecpu_limit.set(None, None);
    standing.bill(counters.traffic.ecpu_units.load(), site.now);
    let due = site.throttle.alarm.due().unwrap();
    site.throttle.look(due);
    assert!(!standing.is_held(&Context::from_waker(Waker::noop())));
}

#[test]
fn who_goes_away_while_he_waits_leaves_nothing() {
    let mut site = Site::new(1000);
    let client = site.client();
    site.send(client, &b"mg k\r\n".repeat(500));
    assert_eq!(site.throttle.held.borrow().by_id.len(), 1);
    site.clients.clear();
    let Held { by_id, deadlines } = &*site.throttle.held.borrow();
    assert!(by_id.is_empty() && deadlines.is_empty());
    assert_eq!(site.throttle.gate.borrow().held(), 0);
}

/// A node has been asked, and its reply is large: until it is here its command has cost what the last one did.
#[test]
fn what_a_node_has_not_answered_stays_charged() {
    let mut site = Site::new(2000);
    let (large, small) = (98 * 1024, 1024);
    let step = Step::Command { consumed: 8, command: Command::Version };
    for (cost, goes_on) in [(large, false), (large - 1024, false), (small, true)] {
        let mut all = [site.throttle.standing(), site.throttle.standing()];
        site.now += Duration::from_secs(10);
        let mut now = site.now;
        // Each has had a large reply, and both together more than there is; then one of what is lent.
        for standing in &mut all {
            standing.bill(large, now);
        }
        for standing in &mut all {
            while standing.toll(now).0.unwrap().admit(&step, false) == Admission::Go {
                standing.bill(large, now);
            }
        }
        // What they owe is paid, and little more.
        let until = now + Duration::from_nanos(HELD_NS_MAX);
        while all.iter_mut().all(|it| !is_released(it)) {
            now += Duration::from_millis(1);
            assert!(now < until, "it is not refused");
            site.throttle.look(now);
        }
        let is_second = is_released(&mut all[1]);
        all.rotate_left(usize::from(is_second));
        let [first, second] = &mut all;
        assert_eq!(first.toll(now).0.unwrap().admit(&step, false), Admission::Go);
        first.pay(now);
        now += Duration::from_millis(2);
        site.throttle.look(now);
        assert!(!is_released(second), "what is under way is taken to be large");
        first.bill(cost, now);
        assert_eq!(is_released(second), goes_on, "{cost}");
    }
}

fn is_released(standing: &mut Standing) -> bool {
    !standing.is_held(&Context::from_waker(Waker::noop()))
}
