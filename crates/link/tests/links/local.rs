//! Links within a host.

use memtide_link::{Listener, Origin, Stream, dial};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
