//! Where several scalers coordinate.

use memtide_service::config::Given;

use super::*;
use crate::settings::etcd::{EtcdGiven, etcd};

fn read(flags: &[(&'static str, &str)]) -> Result<Option<EtcdGiven>, String> {
    let flags: Vec<_> = flags.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    let given = Given::gather(Role::Scaler.schema(), &flags, &|_| None, None).unwrap();
    etcd(&given).map_err(|error| error.to_string())
}

#[test]
fn a_scaler_is_alone_unless_it_is_told_of_etcd() {
    assert_eq!(read(&[]), Ok(None));
    let told = read(&[("etcd", "http://a:2379, http://[::1]:1/")]).unwrap().unwrap();
    let shown = told.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown, ["http://a:2379", "http://[::1]:1"]);
    assert_eq!((told.prefix.as_str(), told.ca, told.user), ("/memtide", None, None));
    let tls = [("etcd", "https://a:1"), ("etcd-ca", "ca"), ("etcd-prefix", "/x/y/")];
    let told = read(&[&tls[..], &[("etcd-user", "u"), ("etcd-password-file", "p")]].concat());
    let told = told.unwrap().unwrap();
    assert_eq!((told.prefix.as_str(), told.ca.as_deref()), ("/x/y", Some("ca")));
    assert_eq!(told.user, Some(("u".to_owned(), "p".into())));
}

#[test]
fn what_is_told_of_etcd_by_half_is_complained_of() {
    let plain = ("etcd", "http://a:1");
    for (flags, complaint) in [
        (&[("etcd-user", "u")][..], "give --etcd too"),
        (&[("etcd", "a:2379")], "give a URL"),
        (&[("etcd", "ftp://a:2379")], "give a URL"),
        (&[("etcd", "http://a")], "give a URL"),
        (&[("etcd", "http://a:1,https://b:1")], "all with http"),
        (&[("etcd", "https://a:1")], "give --etcd-ca FILE too"),
        (&[plain, ("etcd-ca", "f")], "give --etcd with https://"),
        (&[plain, ("etcd-user", "u")], "needs --etcd-password-file too"),
        (&[plain, ("etcd-key", "u")], "needs --etcd-cert too"),
        (&[plain, ("etcd-prefix", "memtide")], "give what keys begin with"),
    ] {
        let error = read(flags).unwrap_err();
        assert!(error.contains(complaint), "{flags:?}: {error}");
    }
}
