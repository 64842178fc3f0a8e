mod balancer;
mod faults;
mod load;
mod look;
mod member;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Output};

use rustix::process::Signal;

use crate::{Authority, Etcd, Hosts, PATIENCE, RoleProcess};
use balancer::Balancer;

pub use load::{Via, ZonedLoad};
pub use member::Member;

/// What proxies listen on for clients.
const CLIENT_PORT: u16 = 11_211;
/// What scalers and nodes listen on.
const FLEET_PORT: u16 = 11_213;
/// Bytes of each log that are shown where a test fails.
const LOG_BYTES_SHOWN: usize = 8 << 10;

/// A fleet in three zones on hosts of its own: three members of etcd, two scalers, two proxies, six nodes, each slot with
/// one replica, TLS between all of them; and clients outside of the zones, who reach both proxies, and a balancer that
/// gives their connections to either.
#[derive(Debug)]
pub struct ZonedFleet {
    roles: BTreeMap<Member, RoleProcess>,
    /// Those of them that are stopped or cut off.
    away: BTreeSet<Member>,
    balancer: Balancer,
    etcd: Etcd,
    hosts: Hosts,
    settings: ZonedSettings,
    scratch: tempfile::TempDir,
}

/// What a [`ZonedFleet`] is made of.
#[derive(Clone, Debug)]
pub struct ZonedSettings {
    /// The memtide that roles run.
    pub program: PathBuf,
    /// Whether there is a spare in each zone, and the scalers may take them as nodes. Each node can do 1,000 ECPUs a
    /// second then, as far as the scaler knows.
    pub has_spares: bool,
}

impl ZonedFleet {
    /// Starts it, and waits until every slot has its copies.
    ///
    /// # Panics
    /// With a log where something does not come up.
    #[must_use]
    pub fn start(settings: ZonedSettings) -> Self {
        let zones: Vec<u8> = Member::all().into_iter().map(Member::zone).collect();
        let (hosts, scratch) = (Hosts::in_zones(&zones), tempfile::tempdir());
        let scratch = scratch.expect("the temporary directory must be writable");
        words::write_certificates(&settings.program, scratch.path());
        let members = [0, 1, 2].map(|number| Member::Etcd(number).host());
        let asker = Member::Clients.host();
        let etcd = Etcd::start_on(&hosts, &members, asker, Authority::new("etcd's CA"));
        let proxies = Member::proxies().map(|it| (hosts.address(it.host()), CLIENT_PORT));
        let proxies = proxies.map(SocketAddr::from).collect();
        let balancer = hosts.inside(asker, || Balancer::start(proxies));
        let (roles, away) = (BTreeMap::new(), BTreeSet::new());
        let mut fleet = Self { roles, away, balancer, etcd, hosts, settings, scratch };
        Member::of_fleet().for_each(|member| fleet.begin(member));
        if fleet.settings.has_spares {
            Member::spares().for_each(|member| fleet.begin(member));
        }
        fleet.wait_whole();
        fleet
    }

    /// Where its members are, and what is between them.
    #[must_use]
    pub const fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Its etcd.
    #[must_use]
    pub const fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// The same, to be hurt.
    pub const fn etcd_mut(&mut self) -> &mut Etcd {
        &mut self.etcd
    }

    /// A process of memtide.
    ///
    /// # Panics
    /// Where it does not run.
    #[must_use]
    pub fn role(&self, member: Member) -> &RoleProcess {
        self.roles.get(&member).unwrap_or_else(|| panic!("{member} does not run"))
    }

    /// Has this program be run by what is begun from now on.
    pub fn upgrade_to(&mut self, program: PathBuf) {
        self.settings.program = program;
    }

    /// Begins a process of memtide, with what one of its name has left.
    ///
    /// # Panics
    /// With its log, where it does not listen.
    pub fn begin(&mut self, member: Member) {
        let place = (&self.hosts, member.host());
        let started =
            RoleProcess::start_on(place, &self.settings.program, member.role(), self.words(member));
        self.roles.insert(member, started);
    }

    /// Kills a process.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill(&mut self, member: Member) {
        self.signal(member, Signal::KILL);
        let mut killed = self.roles.remove(&member).expect("it runs");
        killed.wait_exit(PATIENCE);
    }

    /// Ends a process by SIGTERM, and waits until it has ended.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn end(&mut self, member: Member) -> ExitStatus {
        self.signal(member, Signal::TERM);
        self.roles.remove(&member).expect("it runs").wait_exit(PATIENCE * 2)
    }

    /// Sends a process a signal. One that is stopped by it is waited for no more, until it goes on.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn signal(&mut self, member: Member, number: Signal) {
        self.role(member).signal(number);
        if number == Signal::STOP {
            self.away.insert(member);
        } else if [Signal::CONT, Signal::KILL].contains(&number) {
            self.away.remove(&member);
        }
    }

    /// `memtide cache` with these words, on the host of a scaler.
    ///
    /// # Panics
    /// Where the scaler does not run.
    #[must_use]
    pub fn cache(&self, scaler: Member, words: &[&str]) -> Output {
        let admin = self.role(scaler).admin_address().to_string();
        let mut command = self.hosts.command(scaler.host(), &self.settings.program);
        command.arg("cache").args(words).args(["--admin", &admin]).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.output().expect("the program must be there")
    }
}

impl Drop for ZonedFleet {
    #[allow(clippy::print_stderr, reason = "the harness shows it where the test has failed")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for scaler in self.running(Member::scalers()) {
            for what in ["nodes", "migrations", "events"] {
                let said = self.cache(scaler, &[what]);
                let text = [said.stdout, said.stderr].concat();
                eprintln!("{scaler}, memtide cache {what}:\n{}", String::from_utf8_lossy(&text));
            }
        }
        for (member, role) in &self.roles {
            let text = role.logs().text();
            let from = text.len().saturating_sub(LOG_BYTES_SHOWN);
            let from = text.ceil_char_boundary(from);
            eprintln!("the end of the log of {member}:\n{}", &text[from..]);
        }
    }
}
