//! TLS sessions over several proxies.

use crate::roles::Roles;
use memtide_testkit::{Client, HandshakeKind, PATIENCE, RoleProcess, TlsClient, wait_until};

/// Another one has another certificate, of a CA that the client does not know: it can only resume.
fn resumes(client: &TlsClient, at: &RoleProcess) -> bool {
    let resumed = Client::try_tls(at.address(), client).ok();
    resumed.is_some_and(|mut resumed| {
        assert_eq!(resumed.ask(b"get a\r\n").unwrap(), "END\r\n");
        resumed.handshake_kind() == Some(HandshakeKind::Resumed)
    })
}

/// A client with a ticket of the first proxy.
fn with_ticket(roles: &Roles) -> TlsClient {
    let tls = TlsClient::new(&roles.scratch.path().join("proxy/tls/ca.pem"));
    let mut client = Client::tls(roles.proxy.address(), &tls);
    // The ticket comes behind the handshake.
    assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n");
    tls
}

#[test]
fn sessions_resume_at_any_proxy_also_of_another_scaler() {
    let mut roles = Roles::start();
    let other = roles.start_proxy("other");
    wait_until("a session to resume at the other", PATIENCE, || {
        resumes(&with_ticket(&roles), &other).then_some(())
    });
    let before = with_ticket(&roles);
    roles.kill_scaler();
    roles.start_scaler();
    let third = roles.start_proxy("third");
    wait_until("a session to resume at the third", PATIENCE, || {
        resumes(&with_ticket(&roles), &third).then_some(())
    });
    assert!(resumes(&before, &other), "what was said before is known");
}
