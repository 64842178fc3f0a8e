use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// How long a proxy has to take a connection, before the next one gets it.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);

/// Gives connections to proxies in turn, as a load balancer for TCP does; one that takes none is passed over. Its
/// connections end with their clients.
#[derive(Debug)]
pub(super) struct Balancer {
    listener: TcpListener,
}

impl Balancer {
    /// Listens on loopback of the network that the calling thread has.
    pub(super) fn start(proxies: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("it has free ports");
        let accepting = listener.try_clone().expect("a listener can be cloned");
        thread::spawn(move || {
            let mut turn = 0;
            while let Ok((near, _)) = accepting.accept() {
                let in_turn = (0..proxies.len()).map(|at| proxies[(turn + at) % proxies.len()]);
                let in_turn = in_turn.collect::<Vec<_>>();
                turn += 1;
                // One that nobody takes is closed.
                thread::spawn(move || carry(&near, &in_turn));
            }
        });
        Self { listener }
    }

    pub(super) fn port(&self) -> u16 {
        self.listener.local_addr().expect("it is bound").port()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // It fails where the listener is broken, and then its thread has ended, too.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
    }
}

/// Carries a connection to the first that takes it, both ways, until either end is closed.
fn carry(near: &TcpStream, in_turn: &[SocketAddr]) -> io::Result<()> {
    let taken = in_turn.iter().find_map(|it| TcpStream::connect_timeout(it, CONNECT_WITHIN).ok());
    let Some(far) = taken else { return near.shutdown(Shutdown::Both) };
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (from, to) = (near.try_clone()?, far.try_clone()?);
    let back = thread::spawn(move || pass(&to, &from));
    pass(near, &far);
    // It ends by itself, and cannot fail.
    let _ = back.join();
    Ok(())
}

/// Passes on what comes, and then that nothing more does. Where either end is broken, both are.
fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let passed = match from.read(&mut bytes) {
            Ok(0) => break drop(to.shutdown(Shutdown::Write)),
            Ok(count) => to.write_all(&bytes[..count]),
            Err(error) => Err(error),
        };
        if passed.is_err() {
            break drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
        }
    }
}
