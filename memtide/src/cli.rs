//! The command line: subcommands, and a flag for every setting.

use clap::{Arg, ArgMatches};

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
    /// `memtide healthcheck`.
    Healthcheck(Flags),
}

/// Reads the command line; ends the program for `--help`, `--version` and mistakes (exit 64).
pub fn parse() -> Command {
    match command().try_get_matches() {
        Ok(matches) => of_matches(&matches),
        Err(error) => {
            let is_mistake = error.use_stderr();
            // Nothing is left to do where even this cannot be written.
            let _ = error.print();
            std::process::exit(if is_mistake { 64 } else { 0 });
        }
    }
}

fn of_matches(matches: &ArgMatches) -> Command {
    match matches.subcommand() {
        Some(("config", config)) => {
            Command::ConfigCheck(config.subcommand().map_or_else(Vec::new, |(_, m)| flags(m)))
        }
        Some(("healthcheck", matches)) => Command::Healthcheck(flags(matches)),
        Some((_, matches)) => Command::Serve(flags(matches)),
        None => Command::Serve(flags(matches)),
    }
}

fn flags(matches: &ArgMatches) -> Flags {
    let given = |name| matches.get_one::<String>(name).map(|value| (name, value.clone()));
    SETTINGS.iter().filter_map(|setting| given(setting.name)).collect()
}

fn command() -> clap::Command {
    clap::Command::new("memtide")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A self-hosted serverless Memcached: one TLS endpoint, metered, in one program")
        .after_help(
            "Every flag is also a variable (--read-port: MEMTIDE_READ_PORT) and a key of the \
             configuration file (read_port). Flags win over variables, and those over the file.",
        )
        .args(arguments())
        .args_conflicts_with_subcommands(true)
        .subcommand(
            clap::Command::new("serve")
                .about("All in one process: proxy and engine (the default)")
                .args(arguments()),
        )
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
                .about("Ask a running memtide on this host whether it is healthy (exit 0 or 1)")
                .args(arguments()),
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
    use super::*;

    fn parsed(line: &[&str]) -> Command {
        let words = std::iter::once("memtide").chain(line.iter().copied());
        of_matches(&command().try_get_matches_from(words).unwrap())
    }

    #[test]
    fn serve_is_the_default() {
        for line in [&["--port", "1"][..], &["serve", "--port", "1"]] {
            let Command::Serve(flags) = parsed(line) else { panic!("{line:?}") };
            assert_eq!(flags, [("port", "1".to_owned())]);
        }
        assert!(matches!(parsed(&[]), Command::Serve(flags) if flags.is_empty()));
        assert!(matches!(parsed(&["config", "check"]), Command::ConfigCheck(_)));
        assert!(matches!(parsed(&["healthcheck"]), Command::Healthcheck(_)));
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }
}
