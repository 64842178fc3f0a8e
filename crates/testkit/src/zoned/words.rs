use std::path::Path;
use std::process::Command;

use super::{CLIENT_PORT, FLEET_PORT, Member, ZonedFleet};
use crate::Authority;

impl ZonedFleet {
    /// The arguments of a process of memtide, without what all roles have.
    pub(super) fn words(&self, member: Member) -> Vec<String> {
        let of_role = match member {
            Member::Scaler(_) => self.of_scaler(),
            Member::Proxy(_) => self.of_proxy(),
            Member::Node(_) => self.of_node(member),
            Member::Spare(_) => self.of_node(member) + " --spare",
            Member::Etcd(_) | Member::Clients => panic!("{member} is no role of memtide"),
        };
        let (tls, data) = (self.path("tls"), self.path(&member.to_string()));
        let words = format!("--fleet-tls {tls} --data-dir {data} {of_role}");
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn of_scaler(&self) -> String {
        let [ca, cert, key] = self.etcd.tls_files().map(|it| it.display().to_string());
        let etcd = self.etcd.urls();
        let scaling =
            if self.settings.has_spares { "--nodes-max 9 --scale-in-after 5s" } else { "" };
        format!(
            "--port {FLEET_PORT} --replicas 1 --nodes-min 6 {scaling} --etcd {etcd} \
             --etcd-ca {ca} --etcd-cert {cert} --etcd-key {key}"
        )
    }

    fn of_proxy(&self) -> String {
        let [cert, key] = ["endpoint.pem", "endpoint.key"].map(|name| self.path(name));
        let (join, read_port) = (self.join(), CLIENT_PORT + 1);
        format!(
            "--join {join} --port {CLIENT_PORT} --read-port {read_port} \
             --tls-cert {cert} --tls-key {key}"
        )
    }

    fn of_node(&self, member: Member) -> String {
        let (join, zone) = (self.join(), member.zone_name());
        let ecpus = if self.settings.has_spares { "--ecpu-max 1000" } else { "" };
        format!("--join {join} --port {FLEET_PORT} --zone {zone} --memory 64m {ecpus}")
    }

    fn join(&self) -> String {
        let address = |it: Member| format!("{}:{FLEET_PORT}", self.hosts.address(it.host()));
        Member::scalers().map(address).collect::<Vec<_>>().join(",")
    }

    /// A file of this name, or a directory.
    pub(super) fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().expect("it is UTF-8").to_owned()
    }
}

/// Makes the certificates of the fleet, and those that clients see.
pub(super) fn write_certificates(program: &Path, scratch: &Path) {
    let tls = scratch.join("tls");
    let made = Command::new(program).args(["tls", "init", "--dir"]).arg(&tls).output();
    let made = made.expect("the program must be there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let authority = Authority::new("the CA of both proxies");
    let identity = authority.issue("localhost");
    for (name, text) in [
        ("ca.pem", &authority.certificate_pem),
        ("endpoint.pem", &identity.certificate_pem),
        ("endpoint.key", &identity.key_pem),
    ] {
        std::fs::write(scratch.join(name), text).expect("the scratch directory is ours");
    }
}
