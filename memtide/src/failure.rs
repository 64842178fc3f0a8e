use std::process::ExitCode;

use memtide_service::config::ConfigError;

/// Exit codes after sysexits(3), so that a supervisor can tell a mistake from a mishap.
const CONFIGURATION: u8 = 64;
const ENVIRONMENT: u8 = 69;
/// Of a node whose drain ran out of time: it ended with slots.
pub const DRAIN_CUT: u8 = 1;
/// Of a node that cannot go on as who it is: its process is to be started anew.
pub const START_ANEW: u8 = 75;
/// Of a node that its fleet does not take with these settings: EX_CONFIG.
pub const REFUSED: u8 = 78;
/// A bug of ours.
pub const INTERNAL: u8 = 70;

/// Why the program ends without having done its work: one line, and whose turn it is.
#[derive(Debug)]
pub enum Failure {
    /// What memtide was told must change: exit 64.
    Configuration(String),
    /// Something around memtide must change, such as a port or a file: exit 69.
    Environment(String),
}

impl Failure {
    /// Of the environment, from an error that says what, where and what to do.
    pub fn environment(error: impl std::fmt::Display) -> Self {
        Self::Environment(error.to_string())
    }

    /// Tells the user, once.
    #[expect(clippy::print_stderr, reason = "the one line that a user of the command line sees")]
    pub fn report(self) -> ExitCode {
        let (line, code) = match self {
            Self::Configuration(line) => (line, CONFIGURATION),
            Self::Environment(line) => (line, ENVIRONMENT),
        };
        eprintln!("memtide: {line}");
        ExitCode::from(code)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error.to_string())
    }
}

impl From<memtide_loadtest::program::Failure> for Failure {
    fn from(failure: memtide_loadtest::program::Failure) -> Self {
        use memtide_loadtest::program::Failure as OfLoadTest;
        match failure {
            OfLoadTest::Arguments(error) => Self::Configuration(format!("{error:#}")),
            OfLoadTest::Environment(error) => Self::Environment(format!("{error:#}")),
        }
    }
}
