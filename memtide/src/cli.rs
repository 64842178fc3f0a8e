//! The command line: subcommands, and a flag for every setting.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Args as _, FromArgMatches as _};
use memtide_loadtest::arguments::Arguments;

use crate::failure::Failure;
use crate::settings::SETTINGS;

/// The flags that were given, by the setting's name.
pub type Flags = Vec<(&'static str, String)>;

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// `memtide serve`, and `memtide` alone.
    Serve(Flags),
    /// `memtide config check`.
    ConfigCheck(Flags),
    /// `memtide healthcheck`, of readiness or else of health.
    Healthcheck { flags: Flags, is_of_readiness: bool },
    /// `memtide loadtest`.
    LoadTest(Box<Arguments>),
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
        ErrorKind::UnknownArgument => format!("unknown argument {argument}; {hint}"),
        ErrorKind::InvalidSubcommand => {
            let name = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("unknown subcommand {name}; {hint}")
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "config: what to do with it? give: memtide config check".to_owned()
        }
        ErrorKind::MissingRequiredArgument => format!("{argument}: what was given needs it too"),
        // A value that is missing; a flag is either given with one, or not.
        ErrorKind::InvalidValue => format!("{argument}: a value must follow"),
        ErrorKind::ArgumentConflict => match context(ContextKind::InvalidSubcommand) {
            Some(name) => format!("{name}: its flags stand behind it; move those before it"),
            None => {
                let flag = argument.split(' ').next().unwrap_or_default();
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

fn of_matches(matches: &ArgMatches) -> Command {
    match matches.subcommand() {
        Some(("config", config)) => {
            Command::ConfigCheck(config.subcommand().map_or_else(Vec::new, |(_, m)| flags(m)))
        }
        Some(("healthcheck", matches)) => {
            Command::Healthcheck { flags: flags(matches), is_of_readiness: matches.get_flag(READY) }
        }
        Some((LOADTEST, matches)) => {
            let arguments = Arguments::from_arg_matches(matches);
            Command::LoadTest(Box::new(arguments.expect("clap has checked them")))
        }
        Some((_, matches)) => Command::Serve(flags(matches)),
        None => Command::Serve(flags(matches)),
    }
}

const READY: &str = "ready";
const LOADTEST: &str = "loadtest";

fn flags(matches: &ArgMatches) -> Flags {
    let given = |name| matches.get_one::<String>(name).map(|value| (name, value.clone()));
    SETTINGS.iter().filter_map(|setting| given(setting.name)).collect()
}

fn command() -> clap::Command {
    clap::Command::new("memtide")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A self-hosted serverless Memcached: one TLS endpoint, metered, in one program")
        .after_help(
            "Every flag of serve is also a variable (--read-port: MEMTIDE_READ_PORT) and a key of \
             the configuration file (read_port). Flags win over variables, and those over the file.",
        )
        .args(arguments())
        .args_conflicts_with_subcommands(true)
        .subcommand(
            clap::Command::new("serve")
                .about("All in one process: proxy and engine (the default)")
                .args(arguments()),
        )
        .subcommand(Arguments::augment_args(clap::Command::new(LOADTEST)))
        .subcommand(
            clap::Command::new("config")
                .about("Look at the configuration")
                .subcommand_required(true)
                .subcommand(
                    clap::Command::new("check")
                        .about("Check flags, environment, file and certificates, and print them")
                        .args(arguments()),
                ),
        )
        .subcommand(
            clap::Command::new("healthcheck")
                .about("Ask the memtide at --admin whether it is healthy: exit 0 or 1")
                .arg(
                    Arg::new(READY)
                        .long(READY)
                        .action(ArgAction::SetTrue)
                        .help("Ask whether it is ready for new clients (/readyz, not /healthz)"),
                )
                // All of them, so that it can be given the flags and the file of the server.
                .args(arguments().map(|argument| {
                    let is_used = ["admin", "config"].contains(&argument.get_id().as_str());
                    argument.hide(!is_used)
                })),
        )
}

fn arguments() -> impl Iterator<Item = Arg> {
    SETTINGS.iter().map(|setting| {
        let default = setting.default.map(|value| format!(" [default: {value}]"));
        Arg::new(setting.name).long(setting.name).value_name(setting.value_name).help(format!(
            "{}{}",
            setting.help,
            default.unwrap_or_default()
        ))
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
            let Command::Serve(flags) = parsed(line) else { panic!("{line:?}") };
            assert_eq!(flags, [("port", "1".to_owned())]);
        }
        assert!(matches!(parsed(&[]), Command::Serve(flags) if flags.is_empty()));
        assert!(matches!(parsed(&["config", "check"]), Command::ConfigCheck(_)));
        let ready = parsed(&["healthcheck", "--ready"]);
        assert!(matches!(ready, Command::Healthcheck { is_of_readiness: true, .. }));
        let healthy = parsed(&["healthcheck", "--admin", "x"]);
        assert!(matches!(healthy, Command::Healthcheck { is_of_readiness: false, .. }));
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
        check(&["config"], expect!["config: what to do with it? give: memtide config check"]);
        check(&["config", "chekc"], expect!["unknown subcommand chekc; did you mean check?"]);
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }
}
