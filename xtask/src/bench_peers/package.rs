use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::peer::Peer;

/// A program of a Debian package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Package {
    /// `memcached`, with TLS since Debian 11.
    Memcached,
    /// `haproxy`.
    Haproxy,
    /// `stunnel4`.
    Stunnel,
}

impl Package {
    /// Its name for apt-get.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memcached => "memcached",
            Self::Haproxy => "haproxy",
            Self::Stunnel => "stunnel4",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Memcached => "memcached",
            Self::Haproxy => "haproxy",
            Self::Stunnel => "stunnel",
        }
    }

    const fn version_flag(self) -> &'static str {
        match self {
            Self::Memcached => "-V",
            Self::Haproxy => "-v",
            Self::Stunnel => "-version",
        }
    }
}

/// Where the programs are.
pub type Programs = BTreeMap<Package, PathBuf>;

/// Finds what the peers need.
///
/// # Errors
/// One line that names all packages that are missing, and how to get them.
pub fn find(peers: &[Peer]) -> anyhow::Result<Programs> {
    let needed: BTreeSet<_> = peers.iter().flat_map(|peer| peer.packages()).copied().collect();
    let mut programs = Programs::new();
    let mut missing = Vec::new();
    for package in needed {
        match locate(package.program()) {
            Some(path) => drop(programs.insert(package, path)),
            None => missing.push(package.name()),
        }
    }
    if !missing.is_empty() {
        let names = missing.join(" ");
        bail!(
            "not installed: {names}; get them with `sudo apt-get install {names}`, or leave their \
             peers out with --peers"
        );
    }
    if let Some(memcached) = programs.get(&Package::Memcached)
        && !output_of(memcached, "-h").is_some_and(|help| help.contains("--enable-ssl"))
    {
        bail!("{}: built without TLS; Debian's package has it", memcached.display());
    }
    Ok(programs)
}

/// What a program says of its version: `1.6.18`.
pub fn version(package: Package, program: &Path) -> anyhow::Result<String> {
    let said = output_of(program, package.version_flag());
    let said = said.with_context(|| format!("{} does not run", program.display()))?;
    let is_version = |word: &&str| word.starts_with(|it: char| it.is_ascii_digit());
    let version = said.split_ascii_whitespace().find(|word| word.contains('.') && is_version(word));
    Ok(version.unwrap_or("?").split(['-', '+']).next().unwrap_or("?").to_owned())
}

/// Both outputs of a program; stunnel tells its version on the second.
fn output_of(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Where a program is; Debian has servers in /usr/sbin, which is not in everybody's PATH.
pub fn locate(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    directories.map(|directory| directory.join(program)).find(|path| path.is_file())
}
