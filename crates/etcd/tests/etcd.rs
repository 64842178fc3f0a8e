//! Against real members of etcd.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memtide_etcd::{
    Access, Change, Client, Compare, Config, Credentials, Endpoint, EtcdError, Op, Shown,
    Transacted, WatchEnd,
};
use memtide_testkit::{Authority, Etcd, PATIENCE, Signal};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

fn config(etcd: &Etcd) -> Config {
    let endpoint = |port| Endpoint { is_tls: false, host: "127.0.0.1".to_owned(), port };
    let endpoints = etcd.ports().into_iter().map(endpoint).collect();
    Config { endpoints, access: Access::default() }
}

fn shown(etcd: &Etcd) -> Shown {
    let [_, cert, key] = etcd.tls_files();
    let cert = CertificateDer::from_pem_file(cert).unwrap();
    shown_with(etcd, cert, PrivateKeyDer::from_pem_file(key).unwrap())
}

fn shown_with(etcd: &Etcd, cert: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Shown {
    let [ca, ..] = etcd.tls_files();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![cert], key)
        .unwrap();
    Shown { tls: Some(Arc::new(tls)), credentials: None }
}

fn put(key: &str, value: &'static str) -> Op {
    Op::Put(key.to_owned(), Bytes::from_static(value.as_bytes()), None)
}

async fn set(client: &Client, key: &str, value: &'static str) -> i64 {
    match client.transact((&[], &[put(key, value)]), &[], PATIENCE).await.unwrap() {
        Transacted::Done(revision) => revision,
        Transacted::Not(_) => panic!("nothing was compared"),
    }
}

#[tokio::test]
async fn what_is_not_as_it_was_compared_to_changes_nothing_and_is_shown() {
    let etcd = Etcd::start(1);
    let client = Client::new(config(&etcd));
    let first = set(&client, "/a/k", "one").await;
    let compares = [Compare::Changed("/a/k".to_owned(), first)];
    let ops = [put("/a/k", "two")];
    let done = client.transact((&compares, &ops), &["/a/k"], PATIENCE).await.unwrap();
    assert!(matches!(done, Transacted::Done(revision) if revision > first));
    let not = client.transact((&compares, &ops), &["/a/k"], PATIENCE).await.unwrap();
    let Transacted::Not(kept) = not else { panic!("it was changed since") };
    assert_eq!((kept[0].value.as_ref(), kept[0].created), (&b"two"[..], first));
    let absent = [Compare::Created("/a/k".to_owned(), 0)];
    let not = client.transact((&absent, &ops), &[], PATIENCE).await.unwrap();
    assert_eq!(not, Transacted::Not(Vec::new()));
    set(&client, "/b", "other").await;
    let snapshot = client.read("/a/", PATIENCE).await.unwrap();
    assert_eq!(snapshot.kept.len(), 1);
}

#[tokio::test]
async fn keys_of_a_lease_go_with_it_and_a_name_is_granted_once() {
    let etcd = Etcd::start(1);
    let client = Client::new(config(&etcd));
    let lease = client.grant(77, 60, PATIENCE).await.unwrap();
    assert_eq!(lease.term, Duration::from_secs(60));
    assert_eq!(client.grant(77, 60, PATIENCE).await.unwrap(), lease, "as if its answer was lost");
    let op = Op::Put("/k".to_owned(), Bytes::new(), Some(77));
    client.transact((&[], &[op]), &[], PATIENCE).await.unwrap();
    assert_eq!(client.keep_alive(77, PATIENCE).await.unwrap(), lease);
    client.revoke(77, PATIENCE).await.unwrap();
    client.revoke(77, PATIENCE).await.unwrap();
    assert_eq!(client.read("/k", PATIENCE).await.unwrap().kept, []);
    assert_eq!(client.keep_alive(77, PATIENCE).await, Err(EtcdError::LeaseOver));
}

#[tokio::test]
async fn a_watch_goes_on_from_a_revision_and_says_what_was_compacted() {
    let etcd = Etcd::start(1);
    let client = Client::new(config(&etcd));
    let first = set(&client, "/w/k", "one").await;
    set(&client, "/other", "-").await;
    let second = set(&client, "/w/k", "two").await;
    let mut watching = client.watch("/w/", first + 1).await.unwrap();
    let mut heard = Vec::new();
    while heard.is_empty() {
        let changes = watching.next().await.unwrap();
        assert!(changes.changes.is_empty() || changes.revision >= second);
        heard.extend(changes.changes);
    }
    assert!(matches!(&heard[..], [Change::Put(kept)] if kept.value == "two"), "{heard:?}");
    let delete = Op::Delete("/w/k".to_owned());
    client.transact((&[], &[delete]), &[], PATIENCE).await.unwrap();
    let last = watching.next().await.unwrap();
    assert_eq!(last.changes, [Change::Deleted("/w/k".to_owned(), last.revision)]);
    let _ = etcd.ctl(&["compact", &last.revision.to_string()]);
    let mut watching = client.watch("/w/", first).await.unwrap();
    let end = loop {
        if let Err(end) = watching.next().await {
            break end;
        }
    };
    assert_eq!(end, WatchEnd::Compacted);
}

/// Who asks a member too often whether it lives is sent away.
#[tokio::test]
async fn a_watch_of_what_does_not_change_goes_on() {
    let etcd = Etcd::start(1);
    let client = Client::new(config(&etcd));
    let first = set(&client, "/w/k", "one").await;
    let mut watching = client.watch("/w/", first + 1).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_secs(12), async {
        while watching.next().await.unwrap().changes.is_empty() {}
    });
    nothing.await.unwrap_err();
    set(&client, "/w/k", "two").await;
    let heard = tokio::time::timeout(PATIENCE, watching.next()).await.unwrap().unwrap();
    assert!(matches!(&heard.changes[..], [Change::Put(kept)] if kept.value == "two"), "{heard:?}");
}

/// As where it was put back to a snapshot.
#[tokio::test]
async fn a_watch_from_a_revision_that_etcd_never_had_ends_at_once() {
    let etcd = Etcd::start(1);
    let client = Client::new(config(&etcd));
    let last = set(&client, "/w/k", "one").await;
    let mut watching = client.watch("/w/", last + 2).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, watching.next()).await.unwrap();
    assert_eq!(end, Err(WatchEnd::Compacted));
    let mut watching = client.watch("/w/", last + 1).await.unwrap();
    assert!(watching.next().await.is_ok(), "what was heard of last is there");
}

#[tokio::test]
async fn members_that_are_stopped_or_killed_are_passed_over_while_there_is_a_majority() {
    let mut etcd = Etcd::start(3);
    let client = Client::new(config(&etcd));
    set(&client, "/k", "one").await;
    etcd.signal(0, Signal::STOP);
    set(&client, "/k", "two").await;
    etcd.kill(1);
    let within = Duration::from_secs(2);
    let ops = [put("/k", "three")];
    let away = client.transact((&[], &ops), &[], within).await.unwrap_err();
    assert!(matches!(away, EtcdError::Away(_)), "{away}");
    etcd.signal(0, Signal::CONT);
    set(&client, "/k", "four").await;
    etcd.restart(1);
}

#[tokio::test]
async fn a_watch_of_a_member_that_is_stopped_ends_by_itself() {
    let etcd = Etcd::start(3);
    let client = Client::new(config(&etcd));
    let first = set(&client, "/k", "one").await;
    let mut watching = client.watch("/k", first + 1).await.unwrap();
    etcd.signal(0, Signal::STOP);
    let end = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Err(end) = watching.next().await {
                break end;
            }
        }
    });
    assert!(matches!(end.await.unwrap(), WatchEnd::Broken(_)));
    etcd.signal(0, Signal::CONT);
}

#[tokio::test]
async fn tls_and_users_are_asked_for_and_shown() {
    let etcd = Etcd::start_tls(1, Authority::new("etcd's CA"));
    let plain = Client::new(config(&etcd));
    let within = Duration::from_millis(500);
    let away = plain.read("/m/", within).await.unwrap_err();
    assert!(matches!(away, EtcdError::Away(_)), "{away}");
    let Config { mut endpoints, .. } = config(&etcd);
    endpoints.iter_mut().for_each(|endpoint| endpoint.is_tls = true);
    let access = Access::new(shown(&etcd));
    let client = Client::new(Config { endpoints, access: access.clone() });
    set(&client, "/m/k", "one").await;
    for words in [
        &["user", "add", "root:secret"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "m"],
        &["role", "grant-permission", "m", "--prefix=true", "readwrite", "/m/"],
        &["user", "add", "m:word"],
        &["user", "grant-role", "m", "m"],
        &["auth", "enable"],
    ] {
        let _ = etcd.ctl(words);
    }
    let with = |password: &str| {
        let (user, password) = ("m".to_owned(), password.to_owned());
        Shown { credentials: Some(Credentials { user, password }), ..shown(&etcd) }
    };
    access.renew(with("wrong"));
    let refused = client.read("/m/", PATIENCE).await.unwrap_err();
    assert!(matches!(refused, EtcdError::Refused(_)), "{refused}");
    access.renew(with("word"));
    assert_eq!(client.read("/m/", PATIENCE).await.unwrap().kept.len(), 1);
    let refused = client.read("/other", PATIENCE).await.unwrap_err();
    assert_eq!(refused, EtcdError::Refused("etcdserver: permission denied".to_owned()));
    let mut watching = client.watch("/m/", 1).await.unwrap();
    while watching.next().await.unwrap().changes.is_empty() {}
    client.grant(5, 60, PATIENCE).await.unwrap();
    client.keep_alive(5, PATIENCE).await.unwrap();
}

/// Where etcd knows its users by the names in their certificates.
#[tokio::test]
async fn a_user_who_may_do_less_gives_way_to_the_one_whose_certificate_is_in_force() {
    let authority = Authority::new("etcd's CA");
    let users = ["m", "n"].map(|user| authority.issue(user));
    let etcd = Etcd::start_tls(1, authority);
    let [m, n] = users.map(|it| {
        let cert = CertificateDer::from_pem_slice(it.certificate_pem.as_bytes()).unwrap();
        shown_with(&etcd, cert, PrivateKeyDer::from_pem_slice(it.key_pem.as_bytes()).unwrap())
    });
    let Config { mut endpoints, .. } = config(&etcd);
    endpoints.iter_mut().for_each(|endpoint| endpoint.is_tls = true);
    let access = Access::new(m);
    let client = Client::new(Config { endpoints, access: access.clone() });
    set(&client, "/m/k", "one").await;
    let prepare = "user add root:secret;user grant-role root root;role add m;\
                   role grant-permission m --prefix=true readwrite /m/;user add m:word;\
                   user grant-role m m;user add n:word;user grant-role n m;auth enable";
    for line in prepare.split(';') {
        let _ = etcd.ctl(&line.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(client.read("/m/", PATIENCE).await.unwrap().kept.len(), 1);
    access.renew(n);
    assert_eq!(client.read("/m/", PATIENCE).await.unwrap().kept.len(), 1);
    let _ = etcd.ctl(&["--user", "root:secret", "user", "revoke-role", "m", "m"]);
    assert_eq!(client.read("/m/", PATIENCE).await.unwrap().kept.len(), 1);
    let refused = client.read("/other", PATIENCE).await.unwrap_err();
    assert_eq!(refused, EtcdError::Refused("etcdserver: permission denied".to_owned()));
}
