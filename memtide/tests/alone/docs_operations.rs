//! What docs/operations.md and docs/operations/ name is there: metrics, flags, keys of the configuration, and what links lead to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// Where metrics are named.
const SOURCES: [&str; 5] =
    ["crates/service/src", "engine/src", "memtide/src", "proxy/src", "scaler/src"];

/// Flags of programs that the pages show beside memtide, and of cargo.
const FLAGS_OF_OTHERS: &[&str] = &[
    "--auto-compaction-mode",
    "--auto-compaction-retention",
    "--build",
    "--cacert",
    "--cert",
    "--collect",
    "--endpoints",
    "--features",
    "--from-file",
    "--initial-advertise-peer-urls",
    "--initial-cluster",
    "--initial-cluster-state",
    "--initial-cluster-token",
    "--key",
    "--namespace",
    "--no-block",
    "--no-legend",
    "--now",
    "--package",
    "--prefix",
    "--quiet",
    "--release",
    "--unit",
    "--values",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// All files below a directory that end so, with what is in them.
fn files(under: &Path, end: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_str().unwrap().ends_with(end) {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn pages() -> Vec<(PathBuf, String)> {
    let index = repository().join("docs/operations.md");
    let text = fs::read_to_string(&index).unwrap();
    let mut pages = files(&repository().join("docs/operations"), ".md");
    pages.push((index, text));
    pages
}

/// What begins so in a text, each with the rest of its word: letters, digits, `_`, `-` and braces.
fn words<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || "_-{},".contains(letter);
    let starts = text.match_indices(begin).map(|(at, _)| at);
    let starts = starts.filter(|at| !text[..*at].ends_with(is_of_word));
    let ends = |at: usize| text[at..].find(|it| !is_of_word(it)).map_or(text.len(), |end| at + end);
    starts.map(|at| text[at..ends(at)].trim_end_matches([',', '-'])).collect()
}

/// `a_{b,c}_d` is both `a_b_d` and `a_c_d`; `a_b{c,d}` is `a_b` with labels.
fn expanded(name: &str) -> Vec<String> {
    match name.split_once('{') {
        None => vec![name.to_owned()],
        Some((begin, rest)) => match rest.split_once('}') {
            Some((choices, end)) if !end.is_empty() || begin.ends_with('_') => {
                choices.split(',').map(|choice| format!("{begin}{choice}{end}")).collect()
            }
            _ => vec![begin.to_owned()],
        },
    }
}

fn help(words: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(words).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// All flags of all roles and subcommands.
fn flags() -> BTreeSet<String> {
    let commands = [
        "serve",
        "proxy",
        "engine",
        "scaler",
        "cache",
        "cache topology",
        "cache usage",
        "cache events",
        "cache node drain",
        "cache slots move",
        "cache limits set",
        "top",
        "loadtest",
        "healthcheck",
        "tls init",
    ];
    let texts = commands.map(|words| help(&words.split(' ').collect::<Vec<_>>()));
    let of = |text: &String| words(text, "--").into_iter().map(str::to_owned).collect::<Vec<_>>();
    texts.iter().flat_map(of).chain(["--help".to_owned()]).collect()
}

#[test]
fn metrics_that_are_named_are_exported() {
    let sources = SOURCES.iter().flat_map(|it| files(&repository().join(it), ".rs"));
    let exported: String = sources.map(|(_, text)| text).collect();
    let mut count = 0;
    for (page, text) in pages() {
        for name in words(&text, "memtide_").into_iter().flat_map(expanded) {
            let name = name.strip_suffix("_bucket").unwrap_or(&name);
            assert!(exported.contains(&format!("\"{name}\"")), "{}: {name}", page.display());
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn flags_that_are_named_are_taken() {
    let taken = flags();
    let mut others: BTreeSet<_> = FLAGS_OF_OTHERS.iter().copied().collect();
    for (page, text) in pages() {
        let named = words(&text, "--").into_iter().flat_map(expanded);
        for flag in named.filter(|flag| flag.len() > 2) {
            let is_known = taken.contains(&flag) || FLAGS_OF_OTHERS.contains(&flag.as_str());
            assert!(is_known, "{}: {flag}", page.display());
            others.remove(flag.as_str());
        }
    }
    assert!(others.is_empty(), "{others:?} are named nowhere");
}

#[test]
fn keys_of_files_that_are_shown_are_taken() {
    let taken: BTreeSet<_> =
        flags().iter().map(|flag| flag.trim_start_matches('-').replace('-', "_")).collect();
    let mut count = 0;
    for (page, text) in pages() {
        for block in text.split("```").skip(1).step_by(2) {
            // A file of memtide that is shown, or written by a shell.
            let shown = block.strip_prefix("toml\n").map(|text| (text, ""));
            let written =
                block.split(".toml <<END\n").skip(1).map(|it| it.split_once("\nEND\n").unwrap());
            for (file, _) in shown.into_iter().chain(written) {
                let lines = file.lines().filter(|line| !line.starts_with('#'));
                for key in lines.filter_map(|line| line.split_once(" = ")).map(|(key, _)| key) {
                    assert!(taken.contains(key), "{}: {key}", page.display());
                    count += 1;
                }
            }
        }
    }
    assert!(count > 20, "{count}");
}

/// How GitHub names the place of a heading.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let outside = text.split("```").step_by(2).flat_map(str::lines);
    let headings = outside.filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// Of all of the documentation.
#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let mut all = files(&repository().join("docs"), ".md");
    for name in ["README.md", "ARCHITECTURE.md"] {
        let path = repository().join(name);
        let text = fs::read_to_string(&path).unwrap();
        all.push((path, text));
    }
    let mut count = 0;
    for (page, text) in &all {
        let prose: String = text.split("```").step_by(2).collect();
        let targets = prose.split("](").skip(1).filter_map(|it| it.split_once(')'));
        for (target, _) in targets.filter(|(it, _)| !it.contains("://") && !it.contains(' ')) {
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(path.exists(), "{}: {target}", page.display());
            if !place.is_empty() {
                let there = anchors(&fs::read_to_string(&path).unwrap());
                assert!(there.contains(place), "{}: {target}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}
