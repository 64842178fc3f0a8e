use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread;

/// A way to a listener that can be cut: what is sent arrives late or never, and nobody is told. Its
/// threads end with the connections, and with the process.
pub struct Forwarder {
    address: SocketAddr,
    /// Held for reading while something passes.
    gate: Arc<RwLock<()>>,
}

impl Forwarder {
    /// Forwards connections to that listener.
    ///
    /// # Errors
    /// When the system refuses a port.
    pub fn start(to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, gate) = (listener.local_addr()?, Arc::<RwLock<()>>::default());
        let passing = Arc::clone(&gate);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(to) else { continue };
                // A connection that cannot be forwarded ends.
                let _ = forward(&near, &far, &passing);
            }
        });
        Ok(Self { address, gate })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nothing passes until the guard is dropped; what is sent meanwhile does then.
    pub fn cut(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forward(near: &TcpStream, far: &TcpStream, gate: &Arc<RwLock<()>>) -> io::Result<()> {
    for (from, to) in [(near, far), (far, near)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        let gate = Arc::clone(gate);
        thread::spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                let _passes = gate.read().unwrap_or_else(PoisonError::into_inner);
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            let _passes = gate.read().unwrap_or_else(PoisonError::into_inner);
            // Where the other end has closed it already, it is closed.
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}
