//! Configuration: one table of settings, each of which is a flag, an environment variable and a key
//! of the file.
//!
//! ```text
//! flags > environment > file > default      (per setting)
//! ```
//! Everything is text until the program asks for a value by [`Layers::parse`], so that every
//! source has one syntax and an error can show what was written and where. Reading the file is the
//! only thing here that touches the system.

mod error;
mod file;
mod value;

use std::{collections::BTreeMap, path::PathBuf};

pub use self::{
    error::ConfigError,
    file::ConfigFile,
    value::{
        Memory, duration, filter, host, ips, log_format, memory, number, path, port, show_size,
        size, socket,
    },
};

/// One setting of a role.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The flag without its dashes, and the key in the file: `read-port`.
    pub name: &'static str,
    /// What the help shows for the value: `PORT`.
    pub value: &'static str,
    /// Its text where nobody gave one.
    pub default: &'static str,
    /// One sentence for the help.
    pub help: &'static str,
    /// The group of the help that it stands in.
    pub heading: &'static str,
}

impl Setting {
    /// The environment variable: `MEMTIDE_READ_PORT`.
    #[must_use]
    pub fn env(&self) -> String {
        format!("MEMTIDE_{}", self.name.to_uppercase().replace('-', "_"))
    }
}

/// Where a text came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// The environment.
    Env,
    /// The file.
    File {
        /// As it was given.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// Nobody gave one.
    Default,
}

/// A setting's text, and who is to blame for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The setting's name.
    pub name: &'static str,
    /// As it was written; the members of a list are joined by commas.
    pub text: String,
    /// Where.
    pub origin: Origin,
}

impl Given {
    /// As a user would point at it: `--port 0x`, `MEMTIDE_PORT=0x`, `memtide.toml:3: port = 0x`.
    #[must_use]
    pub fn place(&self) -> String {
        let Self { name, text, origin } = self;
        match origin {
            Origin::Flag | Origin::Default => format!("--{name} {text}"),
            Origin::Env => {
                let env = name.to_uppercase().replace('-', "_");
                format!("MEMTIDE_{env}={text}")
            }
            Origin::File { path, line } => {
                format!("{}:{line}: {name} = {text}", path.display())
            }
        }
    }
}

/// The settings of a role, each with the text that won.
#[derive(Clone, Debug)]
pub struct Layers(BTreeMap<&'static str, Given>);

impl Layers {
    /// Lays flags over environment over file over defaults.
    ///
    /// `flag` and `env` look a name and a variable up; an empty text is a text.
    pub fn merge(
        settings: &[Setting],
        flag: impl Fn(&str) -> Option<String>,
        env: impl Fn(&str) -> Option<String>,
        file: Option<&ConfigFile>,
    ) -> Self {
        let given = |setting: &Setting| {
            let name = setting.name;
            let env = || env(&setting.env()).filter(|text| !is_service_link(text));
            if let Some(text) = flag(name) {
                Given { name, text, origin: Origin::Flag }
            } else if let Some(text) = env() {
                Given { name, text, origin: Origin::Env }
            } else if let Some((text, origin)) = file.and_then(|file| file.lookup(name)) {
                Given { name, text, origin }
            } else {
                Given { name, text: setting.default.to_owned(), origin: Origin::Default }
            }
        };
        Self(settings.iter().map(|setting| (setting.name, given(setting))).collect())
    }

    /// What won for `name`, which must be a setting of the table.
    #[must_use]
    pub fn given(&self, name: &str) -> &Given {
        self.0.get(name).expect("asked for by a name of the table")
    }

    /// The value of `name` by `parse`, which says what is wrong with a text and what to give.
    ///
    /// # Errors
    /// [`ConfigError::Bad`] with the place and `parse`'s words.
    pub fn parse<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let given = self.given(name);
        parse(given.text.trim()).map_err(|reason| self.bad(name, reason))
    }

    /// An error about the value of `name`.
    #[must_use]
    pub fn bad(&self, name: &str, reason: String) -> ConfigError {
        ConfigError::Bad { place: self.given(name).place(), reason }
    }
}

/// Kubernetes tells every pod of a service `memtide` its address as `MEMTIDE_PORT=tcp://..`, in the
/// form of Docker's links; that is no setting of ours.
fn is_service_link(text: &str) -> bool {
    text.starts_with("tcp://") || text.starts_with("udp://")
}

#[cfg(test)]
mod tests;
