#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::Path;

use super::super::sample::{Sample, checked, distrusted, mark, with_resets};
use super::super::{Ended, Latency, MarkSource, NamedReports, Report};
use super::{comparison, escape, render};

/// Every page that there is.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> = samples().iter().map(|(_, report)| render(report)).collect();
    pages.push(comparison("peers", &peers()));
    pages.push(comparison("nothing", &[]));
    pages
}

/// The page without its style and script.
fn body(page: &str) -> &str {
    let begin = page.find("<body>").unwrap();
    &page[begin..page.find("<script>").unwrap()]
}

#[test]
fn a_page_needs_nothing_from_elsewhere() {
    for page in pages() {
        for word in ["http:", "https:", "src=", "<link", "@import", "<iframe", "fetch("] {
            assert!(!page.contains(word), "{word}");
        }
        assert_eq!(page.matches("url(").count(), page.matches("url(#").count());
    }
}

#[test]
fn every_element_is_closed() {
    for page in pages() {
        let mut open = Vec::new();
        for tag in body(&page).split('<').skip(1) {
            let (tag, _) = tag.split_once('>').unwrap();
            let name = tag.split([' ', '\n']).next().unwrap();
            if let Some(closed) = name.strip_prefix('/') {
                assert_eq!(open.pop(), Some(closed));
            } else if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert_eq!(open, ["body"]);
    }
}

#[test]
fn no_figure_is_nonsense() {
    for page in pages() {
        let body = body(&page);
        assert!(!body.contains("NaN") && !body.contains("inf"), "{body}");
    }
}

/// A report in which everything that comes from outside tries to be more than text.
fn hostile() -> Report {
    let evil = "</title></script><script>alert(1)</script>\"'><img onerror=x>".to_owned();
    let mut report = with_resets(Sample::eventful().report(1));
    report.version.clone_from(&evil);
    report.endpoint.name.clone_from(&evil);
    report.endpoint.address = format!("{evil}:1");
    report.endpoint.transport.clone_from(&evil);
    report.endpoint.server_version.clone_from(&evil);
    report.plan = vec![(evil.clone(), evil.clone())];
    report.errors[0].line.clone_from(&evil);
    report.troubles[0].example.clone_from(&evil);
    report.marks.push(mark(20.0, MarkSource::Hook, "<b>\"'&"));
    report.marks.push(mark(50.0, MarkSource::Endpoint, &evil));
    report.ended = Ended::Failed(evil.clone());
    let mut report = checked(report, true);
    let violation = &mut report.verdict.as_mut().unwrap().examples[0];
    violation.key.clone_from(&evil);
    violation.what.clone_from(&evil);
    violation.excerpt.push(evil);
    report
}

#[test]
fn nothing_from_outside_is_markup() {
    let report = hostile();
    let evil = report.endpoint.name.clone();
    let mut late = report.clone();
    late.distrust = vec![evil.clone()];
    let named = NamedReports { name: evil.clone(), reports: vec![report.clone(), late.clone()] };
    for page in [render(&report), render(&late), comparison(&evil, &[named.clone(), named])] {
        assert_eq!(page.matches("<script>").count(), 1);
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(!page.contains("<img") && !page.contains("<b>\""), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)"), "it is still told");
    }
}

/// `report` with a latency of 77.7 ms wherever it has one.
fn with_one_latency(mut report: Report) -> Report {
    let us = 77_700.0;
    let all = Latency {
        count: 9,
        min_us: us,
        mean_us: us,
        p50_us: us,
        p90_us: us,
        p99_us: us,
        p999_us: us,
        p9999_us: us,
        max_us: us,
    };
    report.latency = all;
    report.connecting = all;
    report.commands.iter_mut().for_each(|row| row.latency = all);
    report.timeline.iter_mut().for_each(|second| second.latency = all);
    report.percentiles.iter_mut().for_each(|point| point.1 = us);
    report
}

#[test]
fn a_latency_that_is_not_to_be_believed_is_nowhere_on_the_page() {
    let good = with_one_latency(Sample::eventful().report(1));
    assert!(render(&good).contains("77.7 ms"));
    let mut late = distrusted(good);
    late.timeline.iter_mut().for_each(|second| second.is_trusted = true);
    let page = render(&late);
    assert!(!page.contains("77.7"), "{}", body(&page));
    assert!(page.contains("not to be believed, and so it is not shown"));
    assert!(page.contains("The throughput is a lower bound"));
    late.distrust.iter().for_each(|why| assert!(page.contains(&escape(why)), "{why}"));
}

#[test]
fn a_second_that_is_not_to_be_believed_shows_no_latency() {
    let mut report = Sample::quiet("late", 20, 90.0).report(1);
    report.timeline[9].latency = with_one_latency(report.clone()).latency;
    assert!(render(&report).contains("77.7 ms"));
    report.timeline[9].is_trusted = false;
    let page = render(&report);
    assert!(!page.contains("77.7 ms"));
    assert!(page.contains("Hatched: the generator was late"));
}

#[test]
fn every_mark_is_in_the_list_and_those_with_room_are_labelled() {
    let (_, many) = samples().into_iter().find(|(name, _)| *name == "many").unwrap();
    let page = render(&many);
    for mark in &many.marks {
        assert!(page.contains(&format!("<td class=\"wrap\">{}</td>", mark.text)), "{}", mark.text);
    }
    let labelled = page.matches("class=\"flag").count();
    assert!(labelled > 20 && labelled < 2 * many.marks.len(), "{labelled}");
}

#[test]
fn each_chart_says_in_words_what_it_shows() {
    let page = render(&Sample::eventful().report(1));
    assert_eq!(page.matches("role=\"img\"").count(), page.matches("aria-label=\"").count());
    assert!(page.contains("aria-label=\"Latency by percentile: p50 "), "{page}");
    assert!(page.contains("The highest p99 of a second is "), "{page}");
}

#[test]
fn a_verdict_is_marked_as_an_alarm_unless_everything_passed() {
    let [violated, passed] = [true, false].map(|is_violated| {
        render(&checked(Sample::quiet("memtide", 5, 80.0).report(1), is_violated))
    });
    assert!(violated.contains("<p class=\"alarm\">VIOLATED on 3 keys: stale read (3)</p>"));
    assert!(violated.contains("&gt; 3012.008-3012.120 ms worker 2"), "{}", body(&violated));
    let place = |page: &str, heading: &str| page.find(&format!("<h2>{heading}</h2>")).unwrap();
    assert!(place(&violated, "Consistency") < place(&violated, "Over time"));
    assert!(place(&passed, "Consistency") > place(&passed, "Over time"));
    assert!(violated.contains("<b>3 violated</b>") && passed.contains("<b>passed</b>"));
    assert!(passed.contains("<p class=\"note\">no violation found</p>"), "{}", body(&passed));
}

#[test]
fn a_ratio_is_that_within_the_rounds() {
    let round = |us: f64| Sample::quiet("x", 5, us).report(1);
    let named = |name: &str, us: [f64; 3]| NamedReports {
        name: name.to_owned(),
        reports: us.map(round).to_vec(),
    };
    let base = named("base", [100.0, 200.0, 400.0]);
    let mut other = named("other", [300.0, 600.0, 400.0]);
    let row = |page: &str| {
        let p99 = page.split("<td class=\"name\">p99 (less is better)<").nth(1).unwrap();
        p99[..p99.find("</tr>").unwrap()].to_owned()
    };
    let told = row(&comparison("t", &[base.clone(), other.clone()]));
    assert!(told.contains("<b>x3.00</b>"), "3, 3 and 1: {told}");
    other.reports[0].ended = Ended::Interrupted;
    let told = row(&comparison("t", &[base, other]));
    assert!(told.contains("<b>x2.00</b>"), "3 and 1: {told}");
}

#[test]
fn rounds_that_are_not_to_be_believed_count_for_no_latency() {
    let round = |us: f64| Sample::quiet("x", 5, us).report(1);
    let wild = distrusted(with_one_latency(round(100.0)));
    let named = |name: &str, reports| NamedReports { name: name.to_owned(), reports };
    let base = named("base", vec![round(100.0), round(100.0)]);
    let page = comparison("t", &[base, named("other", vec![round(200.0), round(200.0), wild])]);
    let p99 = page.split("<td class=\"name\">p99 (less is better)<").nth(1).unwrap();
    let row = &p99[..p99.find("</tr>").unwrap()];
    assert!(row.contains("<b>x2.00</b>"), "{row}");
    assert!(!page.contains("77.7 ms"), "{page}");
    let curves = page.matches("class=\"s-b thin\"").count();
    assert_eq!(curves, 4, "two rounds in two sizes");
    assert!(page.contains("other, 1 of 3 rounds: "), "{page}");
}

/// Pages of all kinds are whole. They are kept where `MEMTIDE_PAGES` says, to be looked at with a
/// browser.
#[test]
fn pages_of_all_kinds_are_whole() {
    let kept = std::env::var_os("MEMTIDE_PAGES");
    let check = |name: &str, page: String| {
        assert!(page.starts_with("<!doctype html>"), "{name}");
        assert!(page.trim_end().ends_with("</html>"), "{name}");
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count(), "{name}");
        if let Some(directory) = &kept {
            std::fs::write(Path::new(directory).join(name), page).unwrap();
        }
    };
    for (name, report) in samples() {
        check(&format!("{name}.html"), render(&report));
    }
    check("compared.html", comparison("memtide and its peers", &peers()));
}

/// Three endpoints, the last with a round that is not to be believed.
fn peers() -> Vec<NamedReports> {
    let peers = [("memtide", 90.0), ("memcached --tls", 140.0), ("haproxy + memcached", 260.0)];
    let mut peers: Vec<NamedReports> = peers
        .into_iter()
        .map(|(name, quiet_us)| NamedReports {
            name: name.to_owned(),
            reports: (0..5u8)
                .map(|round| {
                    let quiet_us = quiet_us * (1.0 + f64::from(round * 7 % 5) / 20.0);
                    Sample::quiet(name, 10, quiet_us).report(u64::from(round))
                })
                .collect(),
        })
        .collect();
    let late = peers[2].reports.remove(0);
    peers[2].reports.push(distrusted(late));
    peers
}

fn samples() -> Vec<(&'static str, Report)> {
    let mut many = Sample::quiet("many marks", 120, 90.0);
    many.marks = (0..90)
        .map(|i| {
            let source = if i % 9 == 0 { MarkSource::Hook } else { MarkSource::Endpoint };
            mark(f64::from(i) * 1.3, source, &format!("slot {} moved to node {}", i * 7, i % 5))
        })
        .collect();
    let closed = Sample { is_open_loop: false, ..Sample::quiet("closed loop", 5, 60.0) };
    let mut hour = Sample::eventful();
    hour.measured_s = 3600;
    hour.marks.push(mark(1800.0, MarkSource::Endpoint, "node 9 joined in zone a"));
    let mut late = Sample::quiet("late", 60, 90.0).report(3);
    late.timeline[20..24].iter_mut().for_each(|second| second.is_trusted = false);
    late.ended = Ended::Interrupted;
    vec![
        ("eventful", with_resets(Sample::eventful().report(1))),
        ("distrusted", distrusted(with_resets(Sample::eventful().report(1)))),
        ("short", Sample::quiet("localhost:11211", 5, 90.0).report(2)),
        ("closed", closed.report(2)),
        ("hour", hour.report(4)),
        ("many", many.report(5)),
        ("late", late),
        ("violated", checked(Sample::eventful().report(6), true)),
        ("passed", checked(Sample::quiet("passed", 30, 90.0).report(6), false)),
        ("empty", empty()),
    ]
}

fn empty() -> Report {
    let mut report = Sample::quiet("gone", 0, 80.0).report(1);
    report.timeline.clear();
    report.totals = Default::default();
    report.latency = Default::default();
    report.commands.clear();
    report.measured_s = 0.0;
    report.server = None;
    report.ended = Ended::Failed("cache.example:11211: connection refused".to_owned());
    report
}

#[test]
fn failures_are_in_a_warning_colour_where_there_are_any() {
    let quiet = render(&Sample::quiet("quiet", 5, 90.0).report(1));
    let troubled = render(&with_resets(Sample::quiet("troubled", 5, 90.0).report(1)));
    let tile =
        |count: &str, class: &str| format!("<dt>Broken connections</dt><dd><b{class}>{count}</b>");
    assert!(quiet.contains(&tile("0", "")), "{}", body(&quiet));
    assert!(quiet.contains("<p>None: no error reply"), "{}", body(&quiet));
    assert!(troubled.contains(&tile("18", " class=\"alarm\"")), "{}", body(&troubled));
    assert!(troubled.contains("<p>18 requests without reply.</p>"), "{}", body(&troubled));
}
