use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

/// Instructions of each row, all its repetitions together.
pub type Rows = BTreeMap<String, u64>;

/// What instruction counts depend on besides the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// What `rustc --version` says.
    pub rustc: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// Whose memcpy and malloc are counted, such as `glibc 2.36`.
    pub libc: String,
    /// What `valgrind --version` says; it chooses the processor that the program sees.
    pub valgrind: String,
}

impl Machine {
    /// Whether counts of `here` can be held to those of this one.
    ///
    /// # Errors
    /// What differs so much that they cannot, and what to do.
    pub fn check_comparable(&self, here: &Self) -> anyhow::Result<()> {
        if self.architecture != here.architecture {
            bail!(
                "the base is of {}, this machine is {}: run this on the former",
                self.architecture,
                here.architecture
            );
        }
        if self.rustc != here.rustc {
            bail!(
                "the base was recorded with {}, here is {}: another compiler makes other code. \
                 Take that one, or record a new base on a commit that changes nothing else \
                 (`cargo xtask bench-gates --record`)",
                self.rustc,
                here.rustc
            );
        }
        Ok(())
    }

    /// A difference that moves counts little, but may move them.
    pub fn lesser_difference(&self, here: &Self) -> Option<String> {
        let said = |machine: &Self| format!("{} and {}", machine.libc, machine.valgrind);
        let (recorded, here) = (said(self), said(here));
        (recorded != here).then(|| format!("the base was recorded with {recorded}, here is {here}"))
    }
}

/// What the rows are held to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Where it was recorded.
    pub machine: Machine,
    /// The counts.
    #[serde(rename = "instructions")]
    pub rows: Rows,
}

const HEADER: &str = "\
# What `cargo xtask bench-gates` holds `cargo bench` to: instructions of each row, which does 100
# times what it is named for. Written by `cargo xtask bench-gates --record`; see docs/testing.md.

";

impl Base {
    /// Before anything was recorded.
    pub const fn empty(machine: Machine) -> Self {
        Self { machine, rows: Rows::new() }
    }

    /// Reads what [`Base::write`] wrote.
    ///
    /// # Errors
    /// Where it is unreadable or of another form.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!("{HEADER}{}", toml::to_string(self)?);
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(rustc: &str, architecture: &str, libc: &str) -> Machine {
        Machine {
            rustc: rustc.into(),
            architecture: architecture.into(),
            libc: libc.into(),
            valgrind: "valgrind-3.19.0".into(),
        }
    }

    #[test]
    fn another_compiler_or_processor_is_named_instead_of_compared() {
        let base = machine("rustc 1.95.0", "x86_64", "glibc 2.36");
        let refusal = |here| base.check_comparable(&here).map_err(|error| error.to_string());
        assert_eq!(refusal(base.clone()), Ok(()));
        let said = refusal(machine("rustc 1.96.0", "x86_64", "glibc 2.36")).unwrap_err();
        assert!(said.contains("recorded with rustc 1.95.0, here is rustc 1.96.0"), "{said}");
        assert!(said.contains("--record"), "{said}");
        let said = refusal(machine("rustc 1.95.0", "aarch64", "glibc 2.36")).unwrap_err();
        assert!(said.contains("of x86_64, this machine is aarch64"), "{said}");
    }

    #[test]
    fn another_libc_is_compared_and_named_as_a_reason() {
        let base = machine("rustc 1.95.0", "x86_64", "glibc 2.36");
        let here = machine("rustc 1.95.0", "x86_64", "glibc 2.41");
        assert!(base.check_comparable(&here).is_ok());
        let said = base.lesser_difference(&here).unwrap();
        assert!(said.contains("glibc 2.36") && said.contains("glibc 2.41"), "{said}");
        assert_eq!(base.lesser_difference(&base.clone()), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let path = tempfile::tempdir().unwrap().keep().join("base.toml");
        let rows = Rows::from([("parse.get".into(), 37_566), ("session.get".into(), 160_917)]);
        let base = Base { machine: machine("rustc 1.95.0", "x86_64", "glibc 2.36"), rows };
        base.write(&path).unwrap();
        assert_eq!(Base::read(&path).unwrap(), base);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
