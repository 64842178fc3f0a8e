use std::collections::HashMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::schema::{Schema, nearest, variable};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag,
    /// A variable of the environment.
    Environment,
    /// A line of the file, from 1.
    File(PathBuf, usize),
    /// Nobody gave one.
    Default,
}

/// A mistake in a configuration: one line that says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that cannot be meant.
    #[error("{place}: {problem}")]
    Value {
        /// Where the user wrote it.
        place: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A key of the file that there is not.
    #[error("{}:{line}: unknown key \"{key}\"{}", .file.display(), did_you_mean(.nearest))]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The key that may have been meant.
        nearest: Option<String>,
    },
    /// A key of the file that other roles have.
    #[error("{}:{line}: \"{key}\" is for {of}, not for {role}; remove the line", .file.display())]
    OfOtherRoles {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// Who reads the file.
        role: &'static str,
        /// Who has such a setting.
        of: String,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {problem}", .file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What the TOML parser says.
        problem: String,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    match nearest {
        Some(key) => format!("; did you mean \"{key}\"?"),
        None => "; --help lists the settings".to_owned(),
    }
}

/// What the environment has for a variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The values of all settings, as text.
#[derive(Clone, Debug)]
pub struct Given {
    schema: Schema,
    values: HashMap<&'static str, (String, Origin)>,
}

impl Given {
    /// Collects the values of a role's settings. An empty variable of the environment gives none,
    /// but for [`super::Setting::is_guard`].
    ///
    /// # Errors
    /// Where the file is no TOML, or has a key that is no setting of the role or a value of no use.
    pub fn gather(
        schema: Schema,
        flags: &[(&str, String)],
        environment: Environment<'_>,
        file: Option<(&Path, &str)>,
    ) -> Result<Self, ConfigError> {
        let mut given = Self { schema, values: HashMap::new() };
        for setting in schema.of_role() {
            if let Some(default) = setting.default {
                given.values.insert(setting.name, (default.to_owned(), Origin::Default));
            }
        }
        if let Some((path, text)) = file {
            given.take_file(path, text)?;
        }
        for setting in schema.of_role() {
            let flag = flags.iter().find(|(name, _)| *name == setting.name);
            let value = match flag {
                Some((_, value)) => Some((value.clone(), Origin::Flag)),
                None => environment(&variable(schema.prefix, setting.name))
                    .filter(|value| {
                        setting.is_guard || !value.is_empty() && !is_service_link(value)
                    })
                    .map(|value| (value, Origin::Environment)),
            };
            if let Some(value) = value {
                given.values.insert(setting.name, value);
            }
        }
        Ok(given)
    }

    fn take_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let line_at = |offset: usize| text[..offset].matches('\n').count() + 1;
        let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            file: path.to_owned(),
            line: line_at(error.span().map_or(0, |span| span.start)),
            problem: format!("not TOML: {}", error.message().replace('\n', ", ")),
        })?;
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_unstable_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let line = line_at(key.span().start);
            let name = key.get_ref().replace('_', "-");
            let Some(setting) = self.schema.of_role().find(|setting| setting.name == name) else {
                return Err(self.unknown_key((path, line), key.get_ref()));
            };
            let origin = Origin::File(path.to_owned(), line);
            let complain = |problem: &str| ConfigError::Value {
                place: self.place(setting.name, &origin),
                problem: problem.to_owned(),
            };
            let text = as_text(value.get_ref())
                .ok_or_else(|| complain("give a string, a number or a list of them"))?;
            // TOML refuses the same key twice; these are two spellings of one.
            if matches!(self.values.get(setting.name), Some((_, Origin::File(..)))) {
                return Err(complain("given twice, with \"-\" and with \"_\"; remove one"));
            }
            self.values.insert(setting.name, (text, origin));
        }
        Ok(())
    }

    fn unknown_key(&self, (file, line): (&Path, usize), key: &str) -> ConfigError {
        let name = key.replace('_', "-");
        let (file, key) = (file.to_owned(), key.escape_debug().to_string());
        match self.schema.roles_of(&name) {
            Some(of) => ConfigError::OfOtherRoles { file, line, key, role: self.schema.role, of },
            None => {
                let nearest = nearest(self.schema.of_role(), &name);
                ConfigError::UnknownKey { file, line, key, nearest }
            }
        }
    }

    /// The settings that this has values of, and whose they are.
    #[must_use]
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// A setting's text; `None` where it has neither value nor default.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(text, _)| text.as_str())
    }

    /// Whether somebody gave a value.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.origin(name).is_some()
    }

    /// The place where a value was given, as a user would point at it; `None` for a default.
    #[must_use]
    pub fn origin(&self, name: &str) -> Option<String> {
        let (_, origin) = self.values.get(name)?;
        (*origin != Origin::Default).then(|| self.place(name, origin))
    }

    /// Reads a setting that has a default.
    ///
    /// # Errors
    /// What `read` says of the text, with the place where it was written.
    pub fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        read(text).map_err(|problem| self.complain(name, &problem))
    }

    /// A complaint about the value of a setting.
    #[must_use]
    pub fn complain(&self, name: &str, problem: &str) -> ConfigError {
        let (text, origin) = match self.values.get(name) {
            Some((text, origin)) => (text.as_str(), origin),
            None => ("", &Origin::Default),
        };
        let place = self.place(name, origin);
        ConfigError::Value { place, problem: format!("\"{text}\": {problem}") }
    }

    fn place(&self, name: &str, origin: &Origin) -> String {
        match origin {
            Origin::Flag | Origin::Default => format!("--{name}"),
            Origin::Environment => variable(self.schema.prefix, name),
            Origin::File(path, line) => {
                format!("{}:{line}: {}", path.display(), name.replace('-', "_"))
            }
        }
    }
}

/// Kubernetes tells the pods beside a service `memtide` its address in `MEMTIDE_PORT=tcp://..`,
/// as Docker's links once did; such a variable is nobody's setting.
fn is_service_link(value: &str) -> bool {
    value.starts_with("tcp://") || value.starts_with("udp://")
}

/// A TOML value as it would stand on a command line; lists are joined by commas.
fn as_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(|item| as_text(item.get_ref())).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::schema::Setting;
    use super::*;

    const SETTINGS: &[Setting] = &[
        setting("port", Some("1"), &["a"]),
        setting("port", Some("7"), &["b"]),
        setting("read-port", Some("2"), &["a"]),
        setting("bind", None, &["a"]),
        setting("join", None, &["b", "c"]),
        Setting { is_guard: true, ..setting("allow", None, &["a"]) },
    ];

    const SCHEMA: Schema = Schema { settings: SETTINGS, prefix: "T", role: "a" };

    const fn setting(
        name: &'static str,
        default: Option<&'static str>,
        roles: &'static [&'static str],
    ) -> Setting {
        Setting { name, value_name: "", default, help: "", roles, is_guard: false }
    }

    fn gather(flags: &[(&str, String)], file: &str) -> Result<Given, ConfigError> {
        let environment = |name: &str| (name == "T_READ_PORT").then(|| "4".to_owned());
        Given::gather(SCHEMA, flags, &environment, Some((Path::new("t.toml"), file)))
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let file = "port = 3\nread_port = 3\nbind = [\"::1\", \"127.0.0.1\"]\n";
        let given = gather(&[("port", "5".into())], file).unwrap();
        assert_eq!(given.text("port"), Some("5"));
        assert_eq!(given.text("read-port"), Some("4"));
        assert_eq!(given.text("bind"), Some("::1,127.0.0.1"));
        let given = gather(&[], "").unwrap();
        assert_eq!((given.text("port"), given.is_given("port")), (Some("1"), false));
        assert_eq!(given.text("bind"), None);
    }

    #[test]
    fn a_role_has_its_own_settings_and_defaults() {
        let other = Schema { role: "b", ..SCHEMA };
        let file = Some((Path::new("t.toml"), "join = \"x\""));
        let given = Given::gather(other, &[], &|_| None, file).unwrap();
        assert_eq!((given.text("port"), given.text("join")), (Some("7"), Some("x")));
        assert_eq!(given.text("read-port"), None);
        let message = gather(&[], "join = 1").unwrap_err().to_string();
        expect![[r#"t.toml:1: "join" is for b and c, not for a; remove the line"#]]
            .assert_eq(&message);
    }

    #[test]
    fn a_service_link_and_an_empty_variable_are_no_settings() {
        let environment =
            |name: &str| (name == "T_PORT").then(|| "tcp://10.0.0.1:11211".to_owned());
        let given = Given::gather(SCHEMA, &[], &environment, None).unwrap();
        assert_eq!((given.text("port"), given.origin("port")), (Some("1"), None));
        let empty = |name: &str| (name == "T_BIND").then(String::new);
        let given = Given::gather(SCHEMA, &[], &empty, None).unwrap();
        assert_eq!(given.text("bind"), None, "as a compose file passes on what is not set");
        let empty = |name: &str| (name == "T_ALLOW").then(String::new);
        let given = Given::gather(SCHEMA, &[], &empty, None).unwrap();
        assert_eq!(given.text("allow"), Some(""), "for a complaint");
    }

    #[test]
    fn variables_that_nobody_knows_are_told_with_what_may_have_been_meant() {
        let names = [
            "T_READ_PROT",
            "T_ZZZ",
            "T_JOIN",
            "T_SERVICE_HOST",
            "T_PORT_11211_TCP_ADDR",
            "T_TEST_SEED",
            "TT_X",
            "PATH",
        ];
        let told = SCHEMA.unknown_variables(names.into_iter(), |name| name == "T_TEST_SEED");
        let ignored = "a variable that memtide does not know, and ignores";
        assert_eq!(
            told,
            [
                format!("T_READ_PROT: {ignored}; did you mean T_READ_PORT?"),
                format!("T_ZZZ: {ignored}; --help lists the settings"),
            ]
        );
    }

    fn check(flags: &[(&str, String)], file: &str, name: &str, expected: &Expect) {
        let error =
            gather(flags, file).and_then(|given| given.read(name, |_| Err::<(), _>("bad".into())));
        expected.assert_eq(&error.unwrap_err().to_string());
    }

    #[test]
    fn a_complaint_names_the_place_and_the_remedy() {
        check(&[("port", "x".into())], "", "port", &expect![[r#"--port: "x": bad"#]]);
        check(&[], "", "read-port", &expect![[r#"T_READ_PORT: "4": bad"#]]);
        check(&[], "\nport = 7", "port", &expect![[r#"t.toml:2: port: "7": bad"#]]);
        check(&[], "port = 1.5", "port", &expect![[r#"t.toml:1: port: "1.5": bad"#]]);
        check(&[], "port = 0x1f", "port", &expect![[r#"t.toml:1: port: "0x1f": bad"#]]);
    }

    #[test]
    fn a_file_that_cannot_be_meant_is_told_of_its_first_mistake() {
        let check = |file, expected: Expect| check(&[], file, "port", &expected);
        check(
            "# x\nread_prot = 1",
            expect![[r#"t.toml:2: unknown key "read_prot"; did you mean "read_port"?"#]],
        );
        check("zzz = 1", expect![[r#"t.toml:1: unknown key "zzz"; --help lists the settings"#]]);
        check(
            "zz = 1\naa = 1",
            expect![[r#"t.toml:1: unknown key "zz"; --help lists the settings"#]],
        );
        check(
            "[serve]\nport = 1",
            expect![[r#"t.toml:1: unknown key "serve"; --help lists the settings"#]],
        );
        check(
            "\"po\\nrt\" = 1",
            expect![[r#"t.toml:1: unknown key "po\nrt"; did you mean "port"?"#]],
        );
        check("port = {}", expect!["t.toml:1: port: give a string, a number or a list of them"]);
        check(
            "port = 2026-01-31",
            expect!["t.toml:1: port: give a string, a number or a list of them"],
        );
        check(
            "read-port = 1\nread_port = 2",
            expect![[r#"t.toml:2: read_port: given twice, with "-" and with "_"; remove one"#]],
        );
        check("port = 1\nport = 2", expect!["t.toml:2: not TOML: duplicate key"]);
        check(
            "port = \n",
            expect!["t.toml:1: not TOML: string values must be quoted, expected literal string"],
        );
        check("a = 1\nport == 1", expect!["t.toml:2: not TOML: extra `=`, expected nothing"]);
    }
}
