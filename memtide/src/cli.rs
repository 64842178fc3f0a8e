//! The command line: subcommands, and a flag for every setting.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Args as _, FromArgMatches as _};
use memtide_loadtest::arguments::Arguments as LoadTestArguments;

use crate::cache;
use crate::failure::Failure;
use crate::settings::Role;
use crate::top;

/// The flags that were given, by the setting's name.
pub type Flags = Vec<(&'static str, String)>;

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// `memtide serve`, `proxy`, `engine`, `scaler`; `memtide` alone serves.
    Run(Role, Flags),
    /// `memtide config check`, of a role.
    ConfigCheck(Role, Flags),
    /// `memtide healthcheck`, of readiness or else of health.
    Healthcheck { role: Role, flags: Flags, is_of_readiness: bool },
    /// `memtide cache`.
    Cache(Box<cache::Arguments>, Flags),
    /// `memtide top`.
    Top(top::Arguments, Flags),
    /// `memtide tls init`, into this directory.
    TlsInit(PathBuf),
    /// `memtide loadtest`.
    LoadTest(Box<LoadTestArguments>),
    /// `--help`, `--version`: this text.
    Print(String),
}

/// Reads the command line.
///
/// # Errors
/// A mistake in it, in one line.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, Failure> {
    match command().try_get_matches_from(words) {
        Ok(matches) => Ok(of_matches(&matches)),
        Err(error) if error.use_stderr() => Err(Failure::Configuration(mistake(&error))),
        Err(error) => Ok(Command::Print(error.to_string())),
    }
}

/// What clap says in several lines and a usage, in one.
fn mistake(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let hint = context(ContextKind::SuggestedArg)
        .or_else(|| context(ContextKind::SuggestedSubcommand))
        .map_or_else(
            || "--help lists what there is".to_owned(),
            |it| format!("did you mean {it}?"),
        );
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let roles =
                argument.strip_prefix("--").and_then(|it| Role::Serve.schema().roles_of(it));
            match roles {
                Some(roles) => format!("{argument}: is for {roles}; leave it out"),
                None => format!("unknown argument {argument}; {hint}"),
            }
        }
        ErrorKind::InvalidSubcommand => {
            let name = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("unknown subcommand {name}; {hint}")
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let given = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            missing_subcommand(&given, error)
        }
        ErrorKind::MissingRequiredArgument => format!("{argument}: what was given needs it too"),
        ErrorKind::InvalidValue => match context(ContextKind::InvalidValue) {
            Some(value) if !value.is_empty() => {
                format!("{}: \"{value}\": give one of: {}", flag_of(&argument), valid(error))
            }
            // One that is missing; a flag is either given with one, or not.
            _ => format!("{argument}: a value must follow"),
        },
        ErrorKind::ValueValidation => {
            let value = context(ContextKind::InvalidValue).unwrap_or_default();
            let why = std::error::Error::source(error).map(ToString::to_string);
            let why = why.unwrap_or_else(|| "no such value".to_owned());
            format!("{}: \"{value}\": {why}", flag_of(&argument))
        }
        ErrorKind::ArgumentConflict => match context(ContextKind::InvalidSubcommand) {
            Some(name) => format!("{name}: its flags stand behind it; move those before it"),
            None => {
                let flag = flag_of(&argument);
                format!("{flag}: given more than once; give it once")
            }
        },
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    }
}

/// `--flag <VALUE>` without its value.
fn flag_of(argument: &str) -> &str {
    argument.split(' ').next().unwrap_or_default()
}

fn valid(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => values.join(", "),
        _ => "--help lists what there is".to_owned(),
    }
}

/// Only some subcommands need another one behind them.
fn missing_subcommand(given: &str, error: &clap::Error) -> String {
    let valid = match error.get(ContextKind::ValidSubcommand) {
        Some(ContextValue::Strings(names)) => {
            let names: Vec<_> =
                names.iter().map(String::as_str).filter(|it| *it != "help").collect();
            names.join(", ")
        }
        _ => "--help lists what there is".to_owned(),
    };
    let given = given.trim_start_matches("memtide ");
    format!("{given}: what to do? give one of: {valid}")
}

fn of_matches(matches: &ArgMatches) -> Command {
    match matches.subcommand() {
        Some(("config", config)) => {
            let check = config.subcommand().map_or(config, |(_, check)| check);
            let (role, matches) = of_role(check);
            Command::ConfigCheck(role, flags(role, matches))
        }
        Some(("healthcheck", matches)) => {
            let (role, matches) = of_role(matches);
            let is_of_readiness = matches.get_flag(READY);
            Command::Healthcheck { role, flags: flags(role, matches), is_of_readiness }
        }
        Some((CACHE, matches)) => {
            let arguments = cache::Arguments::from_arg_matches(matches);
            let arguments = Box::new(arguments.expect("clap has checked them"));
            Command::Cache(arguments, flags(Role::Cache, matches))
        }
        Some((TOP, matches)) => {
            let arguments = top::Arguments::from_arg_matches(matches);
            Command::Top(arguments.expect("clap has checked them"), flags(Role::Cache, matches))
        }
        Some((TLS, matches)) => {
            let init = matches.subcommand().map_or(matches, |(_, init)| init);
            let dir = init.get_one::<PathBuf>(DIR).expect("it has a default");
            Command::TlsInit(dir.clone())
        }
        Some((LOADTEST, matches)) => {
            let arguments = LoadTestArguments::from_arg_matches(matches);
            Command::LoadTest(Box::new(arguments.expect("clap has checked them")))
        }
        _ => {
            let (role, matches) = of_role(matches);
            Command::Run(role, flags(role, matches))
        }
    }
}

const READY: &str = "ready";
const LOADTEST: &str = "loadtest";
const CACHE: &str = "cache";
const TOP: &str = "top";
const TLS: &str = "tls";
const DIR: &str = "dir";

/// The role whose subcommand was given, and what stands behind it.
fn of_role(matches: &ArgMatches) -> (Role, &ArgMatches) {
    let given = matches.subcommand();
    let role = given.and_then(|(name, of)| Some((Role::run().find(|r| r.name() == name)?, of)));
    role.unwrap_or((Role::Serve, matches))
}

fn flags(role: Role, matches: &ArgMatches) -> Flags {
    let given = |name| {
        let value = matches.try_get_one::<String>(name).ok().flatten();
        value.map(|value| (name, value.clone()))
    };
    role.schema().of_role().filter_map(|setting| given(setting.name)).collect()
}

fn command() -> clap::Command {
    let mut command = clap::Command::new("memtide")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A self-hosted serverless Memcached: one TLS endpoint, metered, in one program")
        .after_help(
            "Every flag of a role is also a variable (--read-port: MEMTIDE_READ_PORT) and a key of \
             the configuration file (read_port). Flags win over variables, and those over the file.",
        )
        .args(arguments(Role::Serve))
        .args_conflicts_with_subcommands(true);
    for role in Role::run() {
        command = command.subcommand(of(role, role.about()));
    }
    command
        .subcommand(LoadTestArguments::augment_args(clap::Command::new(LOADTEST)))
        .subcommand(
            cache::Arguments::augment_args(clap::Command::new(CACHE))
                // A missing word is a mistake like any other, and not a page of help.
                .arg_required_else_help(false)
                .mut_subcommand("node", |node| node.arg_required_else_help(false))
                .mut_subcommand("slots", |slots| slots.arg_required_else_help(false))
                .mut_subcommand("limits", |limits| limits.arg_required_else_help(false))
                .args(arguments(Role::Cache).map(|argument| argument.global(true))),
        )
        .subcommand(
            top::Arguments::augment_args(clap::Command::new(TOP)).args(arguments(Role::Cache)),
        )
        .subcommand(tls())
        .subcommand(
            clap::Command::new("config")
                .about("Look at the configuration")
                .subcommand_required(true)
                .subcommand(by_role(
                    clap::Command::new("check")
                        .about("Check flags, environment, file and certificates, and print them"),
                    |role| arguments(role).collect(),
                )),
        )
        .subcommand(by_role(
            clap::Command::new("healthcheck")
                .about("Ask the memtide at --admin whether it is healthy: exit 0 or 1"),
            |role| {
                let ready = Arg::new(READY)
                    .long(READY)
                    .action(ArgAction::SetTrue)
                    .help("Ask whether it is ready for new clients (/readyz, not /healthz)");
                // All of them, so that it can be given the flags and the file of the server.
                let settings = arguments(role).map(|argument| {
                    let is_used = ["admin", "config"].contains(&argument.get_id().as_str());
                    argument.hide(!is_used)
                });
                std::iter::once(ready).chain(settings).collect()
            },
        ))
}

/// A command that is of `serve` unless another role stands behind it.
fn by_role(command: clap::Command, arguments: impl Fn(Role) -> Vec<Arg>) -> clap::Command {
    let command = command.args(arguments(Role::Serve)).args_conflicts_with_subcommands(true);
    let others = Role::run().filter(|role| *role != Role::Serve);
    others.fold(command, |command, role| {
        let about = format!("Of memtide {}", role.name());
        command.subcommand(clap::Command::new(role.name()).about(about).args(arguments(role)))
    })
}

fn of(role: Role, about: &'static str) -> clap::Command {
    clap::Command::new(role.name()).about(about).args(arguments(role))
}

fn tls() -> clap::Command {
    let dir = Arg::new(DIR)
        .long(DIR)
        .value_name("DIR")
        .default_value("memtide-data/fleet/tls")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Where they go; what is there and good is kept");
    clap::Command::new(TLS)
        .about("Certificates that the roles of a fleet know each other by")
        .subcommand_required(true)
        .subcommand(
            clap::Command::new("init").about("Make a CA and a certificate for each role").arg(dir),
        )
}

fn arguments(role: Role) -> impl Iterator<Item = Arg> {
    role.schema().of_role().map(|setting| {
        let default = setting.default.map(|value| format!(" [default: {value}]"));
        let help = format!("{}{}", setting.help, default.unwrap_or_default());
        let mut argument = Arg::new(setting.name).long(setting.name);
        if setting.is_switch() {
            argument = argument.num_args(0..=1).require_equals(true).default_missing_value("true");
        }
        argument.value_name(setting.value_name).hide(setting.help.is_empty()).help(help)
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn parsed(line: &[&str]) -> Command {
        let words = std::iter::once("memtide").chain(line.iter().copied());
        parse(words.map(OsString::from)).unwrap()
    }

    #[test]
    fn serve_is_the_default() {
        for line in [&["--port", "1"][..], &["serve", "--port", "1"]] {
            let Command::Run(Role::Serve, flags) = parsed(line) else { panic!("{line:?}") };
            assert_eq!(flags, [("port", "1".to_owned())]);
        }
        assert!(matches!(parsed(&[]), Command::Run(Role::Serve, flags) if flags.is_empty()));
        assert!(matches!(parsed(&["config", "check"]), Command::ConfigCheck(Role::Serve, _)));
        let ready = parsed(&["healthcheck", "--ready"]);
        assert!(matches!(ready, Command::Healthcheck { is_of_readiness: true, .. }));
        let healthy = parsed(&["healthcheck", "--admin", "x"]);
        assert!(matches!(healthy, Command::Healthcheck { is_of_readiness: false, .. }));
        for (role, line) in [(Role::Engine, "engine"), (Role::Proxy, "proxy")] {
            let Command::Run(its, flags) = parsed(&[line, "--join", "x"]) else { panic!("{line}") };
            assert_eq!((its, &flags[..]), (role, &[("join", "x".to_owned())][..]));
        }
        for (line, value) in [("--spare", "true"), ("--spare=false", "false")] {
            let Command::Run(_, flags) = parsed(&["engine", line, "--join", "x"]) else { panic!() };
            assert_eq!(flags[1], ("spare", value.to_owned()), "{line}");
        }
        let check = parsed(&["config", "check", "scaler", "--nodes-min", "3"]);
        assert!(matches!(check, Command::ConfigCheck(Role::Scaler, flags) if flags.len() == 1));
        let cache = parsed(&["cache", "node", "drain", "n3", "--admin", "127.0.0.1:1", "--json"]);
        assert!(matches!(cache, Command::Cache(_, flags) if flags[0].1 == "127.0.0.1:1"));
        let top = parsed(&["top", "--once", "--admin", "127.0.0.1:1"]);
        assert!(matches!(top, Command::Top(_, flags) if flags[0].1 == "127.0.0.1:1"));
        assert!(matches!(parsed(&["tls", "init", "--dir", "x"]), Command::TlsInit(_)));
        assert!(matches!(parsed(&["--help"]), Command::Print(text) if text.contains("--port")));
    }

    #[test]
    fn a_mistake_gets_one_line() {
        let check = |line: &[&str], expected: Expect| {
            let words = std::iter::once("memtide").chain(line.iter().copied());
            match parse(words.map(OsString::from)) {
                Err(Failure::Configuration(line)) => expected.assert_eq(&line),
                other => panic!("{line:?}: {other:?}"),
            }
        };
        check(&["--prot", "1"], expect!["unknown argument --prot; did you mean --port?"]);
        check(&["--zzz"], expect!["unknown argument --zzz; --help lists what there is"]);
        check(&["sevre"], expect!["unknown subcommand sevre; did you mean serve?"]);
        check(&["serve", "extra"], expect!["unknown argument extra; --help lists what there is"]);
        check(&["--port"], expect!["--port <PORT>: a value must follow"]);
        check(&["--port", "--read-port", "1"], expect!["--port <PORT>: a value must follow"]);
        check(
            &["--port", "1", "--port", "2"],
            expect!["--port: given more than once; give it once"],
        );
        check(
            &["loadtest", "--trace-speed", "2"],
            expect!["--trace <CSV>: what was given needs it too"],
        );
        check(
            &["--port", "1", "serve"],
            expect!["serve: its flags stand behind it; move those before it"],
        );
        check(
            &["cache", "usage", "--format", "xml"],
            expect![[r#"--format: "xml": give one of: table, json, csv"#]],
        );
        check(
            &["cache", "events", "--after", "abc"],
            expect![[r#"--after: "abc": give the sequence of an event, a whole number"#]],
        );
        check(
            &["cache", "usage", "--from", "noon"],
            expect![[
                r#"--from: "noon": give a UTC time such as 2026-11-21T07:00:00Z, a day, or seconds since 1970"#
            ]],
        );
        check(&["config"], expect!["config: what to do? give one of: check"]);
        check(&["tls"], expect!["tls: what to do? give one of: init"]);
        check(
            &["cache", "node"],
            expect!["cache node: what to do? give one of: drain, undrain, forget"],
        );
        check(
            &["engine", "--replicas", "1"],
            expect!["--replicas: is for scaler and serve; leave it out"],
        );
        check(
            &["scaler", "--read-port", "1"],
            expect!["--read-port: is for proxy and serve; leave it out"],
        );
        check(&["config", "chekc"], expect!["unknown subcommand chekc; did you mean check?"]);
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }
}
