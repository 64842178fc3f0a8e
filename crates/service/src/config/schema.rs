//! What can be configured.

/// One thing that can be configured: `--name`, `<PREFIX>_NAME` and `name = ` of the file.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// As a flag, without its dashes; words are parted by `-` here and by `_` elsewhere.
    pub name: &'static str,
    /// What the value is, for the help.
    pub value_name: &'static str,
    /// Where nothing is given; `None` has no value then.
    pub default: Option<&'static str>,
    /// For the help; empty for what programs give each other.
    pub help: &'static str,
    /// The roles that have it; one name may stand in several lines, with other defaults.
    pub roles: &'static [&'static str],
    /// It keeps somebody out: a variable that is empty is no value of most settings, and a mistake here.
    pub is_guard: bool,
}

impl Setting {
    /// Whether it is yes or no: the flag alone means yes.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.value_name == "true|false"
    }
}

/// All that can be configured, as one role of the program sees it.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Those of every role.
    pub settings: &'static [Setting],
    /// Of variables: `MEMTIDE` where they are called `MEMTIDE_NAME`.
    pub prefix: &'static str,
    /// Whose they are read for.
    pub role: &'static str,
}

impl Schema {
    /// The settings of this role.
    pub fn of_role(&self) -> impl Iterator<Item = &'static Setting> + use<> {
        let role = self.role;
        self.settings.iter().filter(move |setting| setting.roles.contains(&role))
    }

    /// Of the names of variables those that have our prefix and are no setting of any role, with what may
    /// have been meant: a sentence each. Left out is what Kubernetes and Docker set for a service of the
    /// program's name, and what `is_known` knows.
    #[must_use]
    pub fn unknown_variables<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        is_known: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let start = format!("{}_", self.prefix);
        let is_of_link = |rest: &str| {
            rest.starts_with("SERVICE_") || rest.starts_with("PORT_") || rest == "NAME_ENV"
        };
        let is_setting =
            |name: &str| self.settings.iter().any(|it| variable(self.prefix, it.name) == name);
        let unknown = names.filter(|name| {
            let rest = name.strip_prefix(&start);
            rest.is_some_and(|rest| !is_of_link(rest)) && !is_setting(name) && !is_known(name)
        });
        let sentence = |name: &str| {
            let meant = name.strip_prefix(&start).unwrap_or(name).to_lowercase().replace('_', "-");
            let meant = nearest(self.settings.iter(), &meant);
            let hint = meant.map_or_else(
                || "--help lists the settings".to_owned(),
                |it| format!("did you mean {}?", variable(self.prefix, &it)),
            );
            format!("{name}: a variable that memtide does not know, and ignores; {hint}")
        };
        unknown.map(sentence).collect()
    }

    /// The roles that have a setting of this name, as a list for people; `None` where none has.
    #[must_use]
    pub fn roles_of(&self, name: &str) -> Option<String> {
        let named = self.settings.iter().filter(|setting| setting.name == name);
        let mut roles: Vec<&str> = named.flat_map(|setting| setting.roles).copied().collect();
        roles.sort_unstable();
        roles.dedup();
        let (last, first) = roles.split_last()?;
        Some(if first.is_empty() {
            (*last).to_owned()
        } else {
            format!("{} and {last}", first.join(", "))
        })
    }
}

pub(super) fn variable(prefix: &str, name: &str) -> String {
    format!("{prefix}_{}", name.replace('-', "_").to_uppercase())
}

pub(super) fn nearest<'a>(
    settings: impl Iterator<Item = &'a Setting>,
    name: &str,
) -> Option<String> {
    let scored = settings.map(|s| (strsim::jaro_winkler(s.name, name), s.name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.7).then(|| best.1.replace('-', "_"))
}
