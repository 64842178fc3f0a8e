use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{ConfigError, Origin, Setting};
use crate::limits::CONFIG_BYTES_MAX;

/// A configuration file whose keys are all settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    path: PathBuf,
    values: BTreeMap<&'static str, (String, usize)>,
}

impl ConfigFile {
    /// Reads the TOML file at `path`; its keys are the names of `settings`.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or has a key that is no setting.
    pub fn read(path: &Path, settings: &[Setting]) -> Result<Self, ConfigError> {
        let read = || {
            let mut text = String::new();
            fs::File::open(path)?.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text)?;
            if text.len() as u64 > CONFIG_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 1 MiB"));
            }
            Ok(text)
        };
        match read() {
            Ok(text) => Self::parse(path, &text, settings),
            Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// As [`ConfigFile::read`], of a text that is at hand.
    ///
    /// # Errors
    /// When it is no TOML or has a key that is no setting; of several errors the first.
    pub fn parse(path: &Path, text: &str, settings: &[Setting]) -> Result<Self, ConfigError> {
        let line_at = |span: Range<usize>| {
            1 + text.as_bytes()[..span.start.min(text.len())]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
        };
        let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: line_at(error.span().unwrap_or(0..0)),
            reason: error.message().replace('\n', ", "),
        })?;
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);

        let mut values = BTreeMap::new();
        for (key, value) in entries {
            let line = line_at(key.span());
            let path = path.to_owned();
            let name =
                settings.iter().map(|setting| setting.name).find(|name| name == key.get_ref());
            let Some(key) = name else {
                let nearest = nearest(key.get_ref(), settings);
                let key = key.get_ref().escape_debug().to_string();
                return Err(ConfigError::UnknownKey { path, line, key, nearest });
            };
            match text_of(value) {
                Ok(text) => drop(values.insert(key, (text, line))),
                Err(found) => return Err(ConfigError::NoValue { path, line, key, found }),
            }
        }
        Ok(Self { path: path.to_owned(), values })
    }

    pub(super) fn lookup(&self, name: &str) -> Option<(String, Origin)> {
        let (text, line) = self.values.get(name)?;
        Some((text.clone(), Origin::File { path: self.path.clone(), line: *line }))
    }
}

/// A value as the text that a flag would have; of what cannot be one, its kind.
fn text_of(value: &Spanned<DeValue<'_>>) -> Result<String, &'static str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(is_true) => Ok(is_true.to_string()),
        DeValue::Array(values) => {
            let texts: Result<Vec<_>, _> = values.iter().map(text_of).collect();
            Ok(texts?.join(","))
        }
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Table(_) => Err("a table"),
    }
}

/// The setting that `key` was meant to be, if any is near: a slip of the keys, or underscores.
fn nearest(key: &str, settings: &[Setting]) -> Option<&'static str> {
    let key = key.to_lowercase().replace('_', "-");
    let likeness = |name| strsim::jaro_winkler(&key, name);
    let (likeness, name) = settings
        .iter()
        .map(|setting| (likeness(setting.name), setting.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness > 0.8).then_some(name)
}
