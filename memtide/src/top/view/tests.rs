#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::time::Duration;

use expect_test::{Expect, expect};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::*;
use crate::top::page::{Event, Range, Running, Slots};
use crate::top::screen::{Bounded, Latency, Load, Moves, Node, Quantiles, Section, Title, Traffic};

fn controls() -> Controls {
    Controls::new(Duration::from_secs(1))
}

fn drawn(screen: &Screen, controls: &mut Controls, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(screen, controls, true, frame.buffer_mut())).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
    (0..height).map(|y| format!("{}\n", row(y).trim_end())).collect()
}

fn check(screen: &Screen, size: (u16, u16), expected: &Expect) {
    expected.assert_eq(&drawn(screen, &mut controls(), size));
}

fn title() -> Title {
    Title {
        cache: Some("default".to_owned()),
        role: "serve, with node processes",
        address: "127.0.0.1:9150".to_owned(),
        endpoint: Some("localhost:11211".to_owned()),
        uptime: Some(Duration::from_secs(3_725)),
        at_ms: Some(1_795_246_260_001),
        span: Some(Duration::from_millis(1_004)),
        epoch: Some(1_234),
        replicas: Some(1),
    }
}

fn node(number: u32, zone: &str, used: Option<u64>) -> Node {
    Node {
        id: format!("n{number}"),
        zone: zone.to_owned(),
        state: "up".to_owned(),
        address: format!("127.0.0.1:{}", 40_000 + number),
        slots: [5_461, 5_461, 12],
        items: used.map(|used| used / 200),
        memory_used: used,
        memory_max: 1 << 30,
        requests: used.map(|_| 4_321.0 / f64::from(number)),
        cpu: used.map(|_| 0.614 / f64::from(number)),
        ..Node::default()
    }
}

fn event(at_ms: u64, kind: &str, text: &str) -> Event {
    let source = "scaler".to_owned();
    Event { at_ms, source, kind: kind.to_owned(), text: text.to_owned() }
}

fn told<T>(body: T) -> Section<T> {
    Section { body: Some(body), lack: None }
}

/// A fleet of three under load, from which one is taken.
fn fleet() -> Screen {
    let mut leaving = node(2, "b", Some(600 << 20));
    leaving.is_draining = true;
    let mut lost = node(3, "b", None);
    lost.state = "silent".to_owned();
    let quantiles = |p50, p99, p999| Quantiles {
        count: Some(8_642.0),
        p50: Some(p50),
        p99: Some(p99),
        p999: Some(p999),
    };
    let pair = |from: &str, to: &str, slots, oldest_ms| Running {
        from: from.to_owned(),
        to: to.to_owned(),
        slots,
        oldest_ms,
    };
    Screen {
        title: title(),
        troubles: vec!["12 slots short of replicas".to_owned(), "silent: n3".to_owned()],
        data: Bounded {
            used: Some(6_600 << 20),
            limit: Some(Range { min: 1 << 30, max: 10 << 30 }),
        },
        ecpu: Load {
            now: Some(78_900.0),
            limit: Some(Range { min: 0, max: 100_000 }),
            history: (0..100).map(|it| Some(f64::from(it % 10))).collect(),
            of: "",
        },
        traffic: Traffic {
            commands: Some(8_642.0),
            hit_ratio: Some(0.987_6),
            delayed: Some(0.0),
            throttled: Some(0.0),
            overloaded: None,
            evicted: Some(3.2),
            connections: Some((120, 10_000)),
        },
        latency: Latency::Measured {
            read: quantiles(0.000_12, 0.000_81, 0.002_1),
            write: quantiles(0.000_2, 0.012, f64::INFINITY),
        },
        slots: Some(Slots { complete: 16_372, short_of_replicas: 12, unowned: 0, unserved: 0 }),
        nodes: told(vec![node(1, "a", Some(900 << 20)), leaving, lost]),
        migrations: told(Moves {
            remaining: 1_365,
            began: 5_461,
            rate: Some(210.0),
            running: vec![pair("n2", "n1", 24, 1_800), pair("n2", "n3", 1, 61_000)],
        }),
        events: told(vec![
            event(1_795_246_200_000, "listening", "on port 11211"),
            event(1_795_246_230_000, "node_draining", "n2 is to give up its slots"),
            event(1_795_246_259_000, "node_silent", "n3\u{1b}[31m: nothing was heard for 750 ms"),
        ]),
    }
}

/// One process with its node in it.
fn alone() -> Screen {
    let row = Node { slots: [16_384, 0, 0], id: "this".to_owned(), ..node(1, "", Some(5 << 20)) };
    let lack = ("not told by a process of this role".to_owned(), None);
    Screen {
        title: Title { role: "serve", epoch: None, replicas: None, ..title() },
        data: Bounded { used: Some(5 << 20), limit: Some(Range::default()) },
        ecpu: Load { limit: Some(Range::default()), ..Load::default() },
        nodes: told(vec![row]),
        migrations: Section { body: None, lack: Some(lack) },
        ..fleet()
    }
}

#[test]
fn a_fleet_at_80_by_24() {
    check(
        &fleet(),
        (80, 24),
        &expect![[r#"
            memtide default  serve, with node processes  up 1h02m  07:31:00Z
            ! 12 slots short of replicas
            ! silent: n3
            data     ██████████░░░░░░  6.4 GiB of 10 GiB  64.5%  at least 1 GiB
            ECPU/s   █████████████░░░  78.9k of 100k  78.9%  █▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█
            commands 8642/s  hits 98.8%  throttled 0/s  evicted 3.2/s
            read   p50    120 µs  p99    810 µs  p99.9    2.1 ms  of 8642
            write  p50    200 µs  p99     12 ms  p99.9 over 10 s  of 8642
            slots 16,372 complete  12 short  0 unowned  0 unserved  replicas 1  epoch 1,234
            zone a  1 of 1 nodes up  5,461 slots  900 MiB of 1 GiB  4321 requests/s
            zone b  1 of 2 nodes up  10,922 slots  600 MiB of 2 GiB  2160 requests/s
            NODES 3, by memory
            id  zone  state     primary  replica     used  granted  memory  req/s    CPU
            n1  a     up          5,461    5,461  900 MiB    1 GiB   87.9%   4321  61.4%
            n2  b     draining    5,461    5,461  600 MiB    1 GiB   58.6%   2160  30.7%
            n3  b     silent      5,461    5,461        -    1 GiB       -      -      -
            MIGRATIONS 1,365 of 5,461 slots remain  ████████████░░░░ 75.0%  210/s, about 6s…
            n2 -> n1  24 slots at once, the oldest for 1s
            n2 -> n3  1 slot at once, the oldest for 1m01s
            EVENTS
            07:30:59Z node_silent        n3[31m: nothing was heard for 750 ms
            07:30:30Z node_draining      n2 is to give up its slots
            07:30:00Z listening          on port 11211
            q quit  p pause  s sort: memory  +/- every 1s  ↑↓ nodes  ? help
        "#]],
    );
}

#[test]
fn a_fleet_at_120_by_40() {
    check(
        &fleet(),
        (120, 40),
        &expect![[r#"
            memtide default  serve, with node processes  up 1h02m  07:31:00Z  clients localhost:11211  admin 127.0.0.1:9150
            ! 12 slots short of replicas
            ! silent: n3
            data     ██████████░░░░░░  6.4 GiB of 10 GiB  64.5%  at least 1 GiB
            ECPU/s   █████████████░░░  78.9k of 100k  78.9%  ▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█
            commands 8642/s  hits 98.8%  throttled 0/s  evicted 3.2/s  connections 120 of 10,000  over 1.0 s
            read   p50    120 µs  p99    810 µs  p99.9    2.1 ms  of 8642
            write  p50    200 µs  p99     12 ms  p99.9 over 10 s  of 8642
            slots 16,372 complete  12 short  0 unowned  0 unserved  replicas 1  epoch 1,234
            zone a  1 of 1 nodes up  5,461 slots  900 MiB of 1 GiB  4321 requests/s
            zone b  1 of 2 nodes up  10,922 slots  600 MiB of 2 GiB  2160 requests/s
            NODES 3, by memory
            id  zone  state     primary  replica  learning     used  granted  memory            req/s    CPU  address
            n1  a     up          5,461    5,461        12  900 MiB    1 GiB   87.9%  ███████░   4321  61.4%  127.0.0.1:40001
            n2  b     draining    5,461    5,461        12  600 MiB    1 GiB   58.6%  █████░░░   2160  30.7%  127.0.0.1:40002
            n3  b     silent      5,461    5,461        12        -    1 GiB       -  ░░░░░░░░      -      -  127.0.0.1:40003
            MIGRATIONS 1,365 of 5,461 slots remain  ████████████░░░░ 75.0%  210/s, about 6s left
            n2 -> n1  24 slots at once, the oldest for 1s
            n2 -> n3  1 slot at once, the oldest for 1m01s
            EVENTS
            07:30:59Z node_silent        n3[31m: nothing was heard for 750 ms
            07:30:30Z node_draining      n2 is to give up its slots
            07:30:00Z listening          on port 11211
















            q quit  p pause  s sort: memory  +/- every 1s  ↑↓ nodes  ? help
        "#]],
    );
}

#[test]
fn one_process() {
    let screen = Screen { slots: None, troubles: Vec::new(), ..alone() };
    check(
        &screen,
        (100, 20),
        &expect![[r#"
            memtide default  serve  up 1h02m  07:31:00Z  clients localhost:11211  admin 127.0.0.1:9150
            data     5 MiB  no limit
            ECPU/s   -  no limit
            commands 8642/s  hits 98.8%  throttled 0/s  evicted 3.2/s  connections 120 of 10,000  over 1.0 s
            read   p50    120 µs  p99    810 µs  p99.9    2.1 ms  of 8642
            write  p50    200 µs  p99     12 ms  p99.9 over 10 s  of 8642
            NODES 1, by memory
            id    zone  state  primary  replica  learning   used  granted  memory  req/s    CPU  address
            this        up      16,384        0         0  5 MiB    1 GiB      0%   4321  61.4%  127.0.0.1:40001
            EVENTS
            07:30:59Z node_silent        n3[31m: nothing was heard for 750 ms
            07:30:30Z node_draining      n2 is to give up its slots
            07:30:00Z listening          on port 11211






            q quit  p pause  s sort: memory  +/- every 1s  ↑↓ nodes  ? help
        "#]],
    );
}

#[test]
fn a_scaler_before_its_second_look_and_with_a_part_that_cannot_be_had() {
    let lack = |age| Some(("no answer within 3s".to_owned(), age));
    let screen = Screen {
        title: Title { role: "scaler", endpoint: None, span: None, ..title() },
        troubles: Vec::new(),
        ecpu: Load { of: "all proxies", ..Load::default() },
        traffic: Traffic::default(),
        latency: Latency::NotMeasured,
        nodes: Section { lack: lack(Some(Duration::from_secs(4))), ..fleet().nodes },
        migrations: Section { body: None, lack: lack(None) },
        ..fleet()
    };
    check(
        &screen,
        (100, 22),
        &expect![[r#"
        memtide default  scaler  up 1h02m  07:31:00Z  admin 127.0.0.1:9150
        data     ██████████░░░░░░  6.4 GiB of 10 GiB  64.5%  at least 1 GiB
        ECPU/s   -  limit not known  all proxies
        commands -/s  hits -  throttled -/s  evicted -/s
        no latency is measured here; ask the admin HTTP of a proxy
        slots 16,372 complete  12 short  0 unowned  0 unserved  replicas 1  epoch 1,234
        zone a  1 of 1 nodes up  5,461 slots  900 MiB of 1 GiB  4321 requests/s
        zone b  1 of 2 nodes up  10,922 slots  600 MiB of 2 GiB  2160 requests/s
        NODES 3, by memory  not there now, 4s old: no answer within 3s
        id  zone  state     primary  replica  learning     used  granted  memory  req/s    CPU
        n1  a     up          5,461    5,461        12  900 MiB    1 GiB   87.9%   4321  61.4%
        n2  b     draining    5,461    5,461        12  600 MiB    1 GiB   58.6%   2160  30.7%
        n3  b     silent      5,461    5,461        12        -    1 GiB       -      -      -
        MIGRATIONS  not there now: no answer within 3s
        EVENTS
        07:30:59Z node_silent        n3[31m: nothing was heard for 750 ms
        07:30:30Z node_draining      n2 is to give up its slots
        07:30:00Z listening          on port 11211



        q quit  p pause  s sort: memory  +/- every 1s  ↑↓ nodes  ? help
    "#]],
    );
}

#[test]
fn at_very_small_sizes_the_most_important_is_there() {
    check(
        &fleet(),
        (40, 8),
        &expect![[r#"
            memtide default
            ! 12 slots short of replicas
            ! silent: n3
            data     ██████████░░░░░░  6.4 GiB of 1…
            ECPU/s   █████████████░░░  78.9k of 100…
            commands 8642/s  hits 98.8%
            read   p50    120 µs  p99    810 µs  p9…
            q quit  p pause  s sort: memory  +/- ev…
        "#]],
    );
    check(
        &fleet(),
        (12, 3),
        &expect![[r#"
            memtide def…
            ! 12 slots …
            q quit  p p…
        "#]],
    );
    for (width, height) in [(1, 1), (2, 1), (1, 30), (3, 2), (200, 1), (7, 60)] {
        let shown = drawn(&fleet(), &mut controls(), (width, height));
        assert_eq!(shown.lines().count(), usize::from(height));
        let empty = drawn(&Screen::default(), &mut controls(), (width, height));
        assert_eq!(empty.lines().count(), usize::from(height));
    }
    draw(&fleet(), &mut controls(), true, &mut Buffer::empty(Rect::new(0, 0, 0, 0)));
}

#[test]
fn help_and_pause_are_shown() {
    let mut controls = controls();
    controls.press(KeyEvent::from(KeyCode::Char('p')), 3);
    let paused = drawn(&fleet(), &mut controls, (80, 24));
    assert!(paused.starts_with("[paused] memtide default"), "{paused}");
    assert!(paused.contains("p go on"), "{paused}");
    controls.press(KeyEvent::from(KeyCode::Char('?')), 3);
    expect![[r#"
        KEYS
        q, Esc, Ctrl-C  quit
        p               pause: looks no more, and goes on with another p
        s               sort nodes by memory, requests, CPU or id
        +, -            look more or less often
        up, down, j, k  scroll the nodes
        Home, g         to the first node
        ?               this, and back

        Rates and latencies are of the time between two looks; - is not known.
        Latency is from the read of a command to the write of its reply, in memtide.
        CPU: 100% is one core. Slots: as primary, as a copy, being copied.

    "#]]
    .assert_eq(&drawn(&fleet(), &mut controls, (80, 13)));
}

/// Forty nodes where a few have room.
#[test]
fn nodes_are_scrolled_to_the_last_and_back() {
    let nodes = (1..=40).map(|number| node(number, "a", Some(u64::from(1_000 - number) << 20)));
    let screen = Screen { nodes: told(nodes.collect()), ..fleet() };
    let mut controls = controls();
    let shown = |controls: &mut Controls| -> Vec<String> {
        let shown = drawn(&screen, controls, (80, 24));
        let nodes = shown.lines().skip_while(|line| !line.starts_with("NODES"));
        let ids = nodes.filter(|line| line.starts_with('n') || line.starts_with("NODES"));
        ids.map(|line| line.split("  ").next().unwrap().to_owned())
            .take_while(|line| !line.contains("->"))
            .collect()
    };
    assert_eq!(shown(&mut controls)[..2], ["NODES 1-6 of 40, by memory", "n1"]);
    for _ in 0..60 {
        controls.press(KeyEvent::from(KeyCode::Down), 40);
    }
    let last = shown(&mut controls);
    assert_eq!(
        (last[0].as_str(), last.last().unwrap().as_str()),
        ("NODES 35-40 of 40, by memory", "n40")
    );
    controls.press(KeyEvent::from(KeyCode::Up), 40);
    assert_eq!(shown(&mut controls)[0], "NODES 34-39 of 40, by memory");
}

#[test]
fn without_colours_the_same_is_said() {
    let styles = |has_colours| {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 120, 40));
        draw(&fleet(), &mut controls(), has_colours, &mut buffer);
        let has_one = |it: &&ratatui::buffer::Cell| it.fg != Color::Reset || it.bg != Color::Reset;
        let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
        (text, buffer.content.iter().filter(has_one).count())
    };
    let (with, coloured) = styles(true);
    let (without, none) = styles(false);
    assert_eq!(with, without);
    assert!(coloured > 0 && none == 0, "{coloured} and {none} cells with a colour");
}

#[test]
fn as_text_all_nodes_and_events_are_told() {
    let text = plain(&fleet(), &mut controls(), 120);
    expect![[r#"
        memtide default  serve, with node processes  up 1h02m  07:31:00Z  clients localhost:11211  admin 127.0.0.1:9150
        ! 12 slots short of replicas
        ! silent: n3
        data     ██████████░░░░░░  6.4 GiB of 10 GiB  64.5%  at least 1 GiB
        ECPU/s   █████████████░░░  78.9k of 100k  78.9%  ▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█▁▂▃▃▄▅▆▆▇█
        commands 8642/s  hits 98.8%  throttled 0/s  evicted 3.2/s  connections 120 of 10,000  over 1.0 s
        read   p50    120 µs  p99    810 µs  p99.9    2.1 ms  of 8642
        write  p50    200 µs  p99     12 ms  p99.9 over 10 s  of 8642
        slots 16,372 complete  12 short  0 unowned  0 unserved  replicas 1  epoch 1,234
        zone a  1 of 1 nodes up  5,461 slots  900 MiB of 1 GiB  4321 requests/s
        zone b  1 of 2 nodes up  10,922 slots  600 MiB of 2 GiB  2160 requests/s
        NODES 3, by memory
        id  zone  state     primary  replica  learning     used  granted  memory            req/s    CPU  address
        n1  a     up          5,461    5,461        12  900 MiB    1 GiB   87.9%  ███████░   4321  61.4%  127.0.0.1:40001
        n2  b     draining    5,461    5,461        12  600 MiB    1 GiB   58.6%  █████░░░   2160  30.7%  127.0.0.1:40002
        n3  b     silent      5,461    5,461        12        -    1 GiB       -  ░░░░░░░░      -      -  127.0.0.1:40003
        MIGRATIONS 1,365 of 5,461 slots remain  ████████████░░░░ 75.0%  210/s, about 6s left
        n2 -> n1  24 slots at once, the oldest for 1s
        n2 -> n3  1 slot at once, the oldest for 1m01s
        EVENTS
        07:30:59Z node_silent        n3[31m: nothing was heard for 750 ms
        07:30:30Z node_draining      n2 is to give up its slots
        07:30:00Z listening          on port 11211
    "#]].assert_eq(&text);
    assert!(!text.contains('\u{1b}'), "{text:?}");
}
