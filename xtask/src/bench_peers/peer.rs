use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::interrupt::Interrupt;
use super::package::{Package, locate};
use super::process::Process;
use super::site::{Site, THREADS, free_ports};
use super::work::Work;

/// A server that speaks memcached's protocol over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// memcached with its own TLS; what the others are measured by.
    MemcachedTls,
    /// A plain memcached behind haproxy.
    MemcachedHaproxy,
    /// A plain memcached behind stunnel.
    MemcachedStunnel,
    /// memtide.
    Memtide,
    /// memtide with one engine node in a process of its own: what the hop to a node costs.
    Fleet,
    /// memtide with two nodes in two zones, each slot on both: what a replica costs beside that.
    FleetReplica,
    /// A server given by `--floor`: its program, and its flags.
    Floor(PathBuf, Vec<String>),
}

/// What memcached with its own TLS is called.
pub const MEMCACHED_TLS: &str = "memcached-tls";
/// What memcached behind haproxy is called.
pub const MEMCACHED_HAPROXY: &str = "memcached-haproxy";
/// What memtide is called.
pub const MEMTIDE: &str = "memtide";
/// What memtide with one engine node is called.
pub const FLEET: &str = "memtide-fleet";
/// What a server of `--floor` is called.
pub const FLOOR: &str = "floor";

/// A peer that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    /// As in `--peers`.
    pub name: &'static str,
    /// Its TLS port of 127.0.0.1.
    pub port: u16,
    processes: Vec<Process>,
}

impl Running {
    /// All that it is made of.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.processes.iter().map(Process::pid)
    }
}

/// The peers of these names, in the table's order; all for none.
///
/// # Errors
/// A name that is none.
pub fn chosen(names: &[String], floor: Option<&str>) -> anyhow::Result<Vec<Peer>> {
    let known = [
        Peer::MemcachedTls,
        Peer::MemcachedHaproxy,
        Peer::MemcachedStunnel,
        Peer::Memtide,
        Peer::Fleet,
        Peer::FleetReplica,
    ];
    for name in names {
        if known.iter().all(|peer| peer.name() != name) {
            let known: Vec<_> = known.iter().map(Peer::name).collect();
            bail!("--peers {name}: no such peer; there are {}", known.join(", "));
        }
    }
    let is_chosen = |peer: &Peer| names.is_empty() || names.iter().any(|it| it == peer.name());
    let mut peers: Vec<_> = known.into_iter().filter(is_chosen).collect();
    if let Some(floor) = floor {
        let mut words = floor.split_ascii_whitespace().map(str::to_owned);
        let program = PathBuf::from(words.next().unwrap_or_default());
        let program = program.canonicalize().with_context(|| format!("--floor {floor}"))?;
        peers.push(Peer::Floor(program, words.collect()));
    }
    Ok(peers)
}

impl Peer {
    /// As in `--peers`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MemcachedTls => MEMCACHED_TLS,
            Self::MemcachedHaproxy => MEMCACHED_HAPROXY,
            Self::MemcachedStunnel => "memcached-stunnel",
            Self::Memtide => MEMTIDE,
            Self::Fleet => FLEET,
            Self::FleetReplica => "memtide-fleet-r1",
            Self::Floor(..) => FLOOR,
        }
    }

    /// Whether it is the program of this repository.
    pub const fn is_memtide(&self) -> bool {
        matches!(self, Self::Memtide | Self::Fleet | Self::FleetReplica)
    }

    /// What must be installed for it.
    pub const fn packages(&self) -> &'static [Package] {
        match self {
            Self::MemcachedTls => &[Package::Memcached],
            Self::MemcachedHaproxy => &[Package::Memcached, Package::Haproxy],
            Self::MemcachedStunnel => &[Package::Memcached, Package::Stunnel],
            Self::Memtide | Self::Fleet | Self::FleetReplica | Self::Floor(..) => &[],
        }
    }

    /// Starts it on free ports, for this load.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(
        &self,
        site: &Site,
        work: &Work,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Running> {
        let starting = Starting { name: self.name(), site, interrupt };
        match self {
            Self::MemcachedTls => starting.memcached_tls(),
            Self::MemcachedHaproxy => starting.behind_haproxy(),
            Self::MemcachedStunnel => starting.behind_stunnel(),
            Self::Memtide => starting.memtide(&[]),
            Self::Fleet => starting.memtide(&["--nodes", "processes=1", "--replicas", "0"]),
            Self::FleetReplica => {
                starting.memtide(&["--nodes", "processes=2", "--zones", "a,b", "--replicas", "1"])
            }
            Self::Floor(program, flags) => starting.floor(program, flags, work.value_bytes()),
        }
    }
}

/// A peer that is being started.
struct Starting<'a> {
    name: &'static str,
    site: &'a Site,
    interrupt: &'a Interrupt,
}

impl Starting<'_> {
    fn memcached_tls(&self) -> anyhow::Result<Running> {
        let [port] = free_ports()?;
        let mut command = self.memcached(port);
        let (cert, key) = (self.site.shown("server.pem"), self.site.shown("server.key"));
        // The cache lets clients of TLS 1.2 resume, as the other peers do by themselves.
        let tls = format!("ssl_chain_cert={cert},ssl_key={key},ssl_session_cache");
        command.args(["-Z", "-o", &tls]);
        Ok(self.running(port, [self.process("memcached", &mut command, port)?].into()))
    }

    fn behind_haproxy(&self) -> anyhow::Result<Running> {
        let (memcached, behind) = self.plain_memcached()?;
        let [port] = free_ports()?;
        let clients_max = self.site.connections_max;
        let pem = self.site.shown("both.pem");
        let text = format!(
            "global\n  nbthread {THREADS}\n  maxconn {clients_max}\n  \
             ssl-default-bind-options ssl-min-ver TLSv1.2\n\
             defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
             frontend tls\n  bind 127.0.0.1:{port} ssl crt {pem}\n  default_backend memcached\n\
             backend memcached\n  server memcached 127.0.0.1:{behind}\n"
        );
        let mut command = self.program(Package::Haproxy);
        command.args(["-db", "-f"]).arg(self.written("haproxy.cfg", &text)?);
        let haproxy = self.process("haproxy", &mut command, port)?;
        Ok(self.running(port, [haproxy, memcached].into()))
    }

    fn behind_stunnel(&self) -> anyhow::Result<Running> {
        let (memcached, behind) = self.plain_memcached()?;
        let [port] = free_ports()?;
        let (cert, key) = (self.site.shown("server.pem"), self.site.shown("server.key"));
        let text = format!(
            "foreground = yes\ndebug = err\nsyslog = no\npid =\n\
             socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n\
             [memcached]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{behind}\n\
             cert = {cert}\nkey = {key}\nsslVersionMin = TLSv1.2\n"
        );
        let mut command = self.program(Package::Stunnel);
        command.arg(self.written("stunnel.conf", &text)?);
        let stunnel = self.process("stunnel", &mut command, port)?;
        Ok(self.running(port, [stunnel, memcached].into()))
    }

    fn memtide(&self, fleet: &[&str]) -> anyhow::Result<Running> {
        let [port, read_port, admin] = free_ports()?;
        let mut command = bound(&self.site.memtide);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MEMTIDE_") {
                command.env_remove(name);
            }
        }
        command
            .args(["serve", "--bind", "127.0.0.1", "--memory", "1g"])
            .args(fleet)
            .args(["--port", &port.to_string(), "--read-port", &read_port.to_string()])
            .args(["--admin", &format!("127.0.0.1:{admin}")])
            .args(["--tls-cert", &self.site.shown("server.pem")])
            .args(["--tls-key", &self.site.shown("server.key")])
            .args(["--data-dir", &self.site.shown(&format!("{}-data", self.name))]);
        Ok(self.running(port, [self.process("memtide", &mut command, port)?].into()))
    }

    fn floor(
        &self,
        program: &Path,
        flags: &[String],
        value_bytes: &str,
    ) -> anyhow::Result<Running> {
        let [port] = free_ports()?;
        let mut command = bound(program);
        command
            .args(flags)
            .args(["--value", value_bytes])
            .args(["--port", &port.to_string()])
            .args(["--cert", &self.site.shown("server.pem")])
            .args(["--key", &self.site.shown("server.key")]);
        Ok(self.running(port, [self.process("floor", &mut command, port)?].into()))
    }

    fn plain_memcached(&self) -> anyhow::Result<(Process, u16)> {
        let [port] = free_ports()?;
        Ok((self.process("memcached", &mut self.memcached(port), port)?, port))
    }

    fn memcached(&self, port: u16) -> Command {
        let mut command = self.program(Package::Memcached);
        command
            .args(["-l", "127.0.0.1", "-U", "0", "-m", "1024"])
            .args(["-p", &port.to_string(), "-t", &THREADS.to_string()])
            .args(["-c", &self.site.connections_max.to_string()]);
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "root"]);
        }
        command
    }

    fn program(&self, package: Package) -> Command {
        let program = self.site.programs.get(&package);
        bound(program.expect("the packages of every peer were found before"))
    }

    fn written(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.site.path(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    fn process(&self, name: &str, command: &mut Command, port: u16) -> anyhow::Result<Process> {
        let log = self.site.path(&format!("{}-{name}.log", self.name));
        Process::start(name, command, log, port, self.interrupt)
    }

    fn running(&self, port: u16, processes: Vec<Process>) -> Running {
        Running { name: self.name, port, processes }
    }
}

/// A program that ends with us even where we are killed, as far as util-linux is there: `setpriv`
/// becomes the program, with the same process id.
fn bound(program: &Path) -> Command {
    let Some(setpriv) = locate("setpriv") else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}
