//! Links within a host.

use memtide_link::{Listener, Origin, Stream, dial};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::UnixStream;

use crate::rig::{Rig, node, proxy};

fn listen(address: &str) -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test]
async fn processes_of_one_host_are_linked_without_tcp() {
    for loopback in ["127.0.0.1:0", "127.0.0.2:0"] {
        let (tcp, address) = listen(loopback);
        let listener = Listener::new(tcp).unwrap();
        let (near, far) = tokio::join!(dial(&address), listener.accept());
        let ((mut far, origin), mut near) = (far.unwrap(), near.unwrap());
        assert!(matches!((&near, &far), (Stream::Unix(_), Stream::Unix(_))), "{loopback}");
        assert_eq!(origin, Origin::Local);
        near.write_all(b"over there?").await.unwrap();
        drop(near);
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "over there?");
    }
}

#[tokio::test]
async fn whoever_has_no_such_socket_is_linked_with_tcp() {
    let (tcp, address) = listen("127.0.0.1:0");
    let plain = tokio::net::TcpListener::from_std(tcp).unwrap();
    let (near, far) = tokio::join!(dial(&address), plain.accept());
    assert!(matches!(near.unwrap(), Stream::Tcp(_)));
    far.unwrap();
    // Somebody else has the name: the listener is heard all the same.
    let (tcp, address) = listen("127.0.0.1:0");
    let taken = tokio::net::UnixListener::bind(format!("\0memtide-node/{address}")).unwrap();
    let listener = Listener::new(tcp).unwrap();
    drop(taken);
    let (near, far) = tokio::join!(dial(&address), listener.accept());
    assert!(matches!(near.unwrap(), Stream::Tcp(_)));
    assert!(matches!(far.unwrap(), (Stream::Tcp(_), Origin::Tcp(_))));
}

/// Only one of the two has a socket on which a link leaves TLS: neither does.
#[tokio::test]
async fn whoever_stands_between_two_kinds_of_sockets_sees_tls_only() {
    let rig = Rig::new();
    let (near, mut near_relay) = rig.sockets().await;
    let (mut far_relay, far) = UnixStream::pair().unwrap();
    let relay = tokio::spawn(async move {
        copy_bidirectional(&mut near_relay, &mut far_relay).await.unwrap();
    });
    let (near, far) = rig.handshake_over((near.into(), far.into()), &proxy(3), &node(7)).await;
    crate::ask_and_answer(near.unwrap(), far.unwrap()).await;
    relay.await.unwrap();
}
