//! What runs the programs of each language, and how its absence is noticed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The programs of the clients, one directory a language.
pub(crate) fn programs() -> PathBuf {
    repository().join("tests/clients")
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let memtide = Path::new(env!("CARGO_MANIFEST_DIR"));
    memtide.parent().expect("the package is in the repository").to_owned()
}

/// What runs source files of one language with one client library.
pub(crate) struct Toolchain {
    /// The language that the README's code blocks name.
    pub(crate) language: &'static str,
    /// What a file with such a code block must be called.
    pub(crate) file: &'static str,
    /// All must be met.
    pub(crate) needs: Vec<Need>,
    /// Runs this source file; makes beside it what the language wants to find there.
    pub(crate) command: fn(&Path) -> Command,
}

/// Something that must be on this machine.
pub(crate) struct Need {
    /// Succeeds where it is.
    probe: Command,
    /// What to install where it is not.
    install: &'static str,
}

impl Need {
    pub(crate) fn new(probe: Command, install: &'static str) -> Self {
        Self { probe, install }
    }

    /// What to install, where it is not met.
    pub(crate) fn missing(&mut self) -> Option<&'static str> {
        self.probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let is_met = self.probe.status().is_ok_and(|status| status.success());
        (!is_met).then_some(self.install)
    }
}

/// CPython with a library from PyPI, in `tests/clients/python/.venv` or on the path.
pub(crate) fn python(library: &str) -> Toolchain {
    let mut import = python_command();
    import.arg("-c").arg(format!("import {library}"));
    Toolchain {
        language: "python",
        file: "snippet.py",
        needs: vec![Need::new(import, "the Python libraries: tests/clients/install python")],
        command: |source| {
            let mut run = python_command();
            // The tests must leave nothing in the source tree.
            run.arg("-B").arg(source);
            run
        },
    }
}

fn python_command() -> Command {
    let own = programs().join("python/.venv/bin/python");
    Command::new(if own.exists() { own } else { "python3".into() })
}

/// Node.js with the libraries that `tests/clients/node/package-lock.json` names.
pub(crate) fn node() -> Toolchain {
    let mut import = Command::new("node");
    import.current_dir(programs().join("node"));
    import.args(["--input-type=module", "--eval", "import 'memcache-client'"]);
    Toolchain {
        language: "javascript",
        file: "snippet.mjs",
        needs: vec![Need::new(import, "Node.js and its libraries: tests/clients/install node")],
        command: |source| {
            let beside = source.with_file_name("node_modules");
            if !beside.exists() {
                let libraries = programs().join("node/node_modules");
                std::os::unix::fs::symlink(libraries, beside).expect("the directory is writable");
            }
            let mut run = Command::new("node");
            run.arg(source);
            run
        },
    }
}

/// The cargo that runs this test, with OpenSSL for the library.
pub(crate) fn rust() -> Toolchain {
    let mut openssl = Command::new("pkg-config");
    openssl.args(["--exists", "openssl"]);
    let mut fetch = cargo("fetch", &programs().join("rust"));
    fetch.arg("--quiet");
    Toolchain {
        language: "rust",
        file: "rust/src/main.rs",
        needs: vec![
            Need::new(openssl, "OpenSSL to build with: tests/clients/install rust"),
            Need::new(fetch, "a way to crates.io, or what it has in cargo's cache"),
        ],
        command: |source| {
            let sources = source.parent().expect("a source file is in src");
            let project = sources.parent().expect("src is in a project");
            if !project.join("Cargo.toml").exists() {
                copy_manifest(project);
            }
            let mut run = cargo("run", project);
            run.args(["--quiet", "--target-dir"]);
            run.arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-rust"));
            run
        },
    }
}

/// Makes a project like the program's, by another name: in one target directory, cargo tells
/// projects apart by their names and not by where they are.
fn copy_manifest(project: &Path) {
    for file in ["Cargo.toml", "Cargo.lock"] {
        let text = std::fs::read_to_string(programs().join("rust").join(file))
            .expect("the project has a manifest and a lock file")
            .replace("memtide-clients-rust", "memtide-readme-snippet");
        std::fs::write(project.join(file), text).expect("the directory is writable");
    }
}

fn cargo(command: &str, project: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([command, "--locked", "--manifest-path"]).arg(project.join("Cargo.toml"));
    cargo
}

/// Go with the libraries that Debian has packaged, which it finds by `GOPATH` and not by modules.
pub(crate) fn go() -> Toolchain {
    let mut list = go_command();
    list.args(["list", "github.com/bradfitz/gomemcache/memcache"]);
    Toolchain {
        language: "go",
        file: "snippet.go",
        needs: vec![Need::new(list, "Go and gomemcache: tests/clients/install go")],
        command: |source| {
            let mut run = go_command();
            run.arg("run").arg(source);
            run
        },
    }
}

fn go_command() -> Command {
    let mut go = Command::new("go");
    go.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode");
    go
}

/// PHP with the memcached extension.
pub(crate) fn php() -> Toolchain {
    let mut loaded = Command::new("php");
    loaded.args(["-r", "exit(extension_loaded('memcached') ? 0 : 1);"]);
    Toolchain {
        language: "php",
        file: "snippet.php",
        needs: vec![Need::new(
            loaded,
            "PHP and its memcached extension: tests/clients/install php",
        )],
        command: |source| {
            let mut run = Command::new("php");
            run.arg(source);
            run
        },
    }
}

const SPYMEMCACHED: &str = "/usr/share/java/spymemcached.jar";

/// A JDK, which runs a source file as it is, with spymemcached.
pub(crate) fn java() -> Toolchain {
    let mut javac = Command::new("javac");
    javac.arg("-version");
    let mut jar = Command::new("test");
    jar.args(["-f", SPYMEMCACHED]);
    Toolchain {
        language: "java",
        file: "Snippet.java",
        needs: vec![
            Need::new(javac, "a JDK: tests/clients/install java"),
            Need::new(jar, "spymemcached: tests/clients/install java"),
        ],
        command: |source| {
            let mut run = Command::new("java");
            run.args(["-cp", SPYMEMCACHED]).arg(source);
            run
        },
    }
}

/// bash with `openssl`.
pub(crate) fn shell() -> Toolchain {
    let mut openssl = Command::new("openssl");
    openssl.arg("version");
    let mut bash = Command::new("bash");
    bash.arg("--version");
    Toolchain {
        language: "bash",
        file: "snippet.sh",
        needs: vec![
            Need::new(openssl, "openssl: tests/clients/install shell"),
            Need::new(bash, "bash"),
        ],
        command: |source| {
            let mut run = Command::new("bash");
            run.args(["-euo", "pipefail"]).arg(source);
            run
        },
    }
}
