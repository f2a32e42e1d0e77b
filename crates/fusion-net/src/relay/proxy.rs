//! The relay itself: accepts connections and starts the pumps of both directions of each.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::inject::Injector;
use super::link::{Link, Wire};
use super::pump::{self, OneWay};
use super::script::{Direction, Script};

/// A running relay; dropping it cuts all its connections.
pub struct Relay {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    upstream: Arc<OneWay>,
    downstream: Arc<OneWay>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<()>>,
}

/// Bytes that a relay has taken in, transport framing included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// From clients to the server.
    pub client_to_server: u64,
    /// From the server to clients.
    pub server_to_client: u64,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("address", &self.address).field("link", &self.upstream.link).finish_non_exhaustive()
    }
}

impl Relay {
    /// Listens on a free port of loopback and carries connections to `target`.
    ///
    /// # Errors
    /// If the system has no port or no thread for it.
    pub fn start(target: SocketAddr, link: Link, script: Script) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let fired = Arc::new(AtomicU64::new(0));
        let one_way = || {
            let (stop, fired) = (Arc::clone(&stop), Arc::clone(&fired));
            Arc::new(OneWay { link, wire: Wire::new(&link), stop, bytes: AtomicU64::new(0), fired })
        };
        let (upstream, downstream) = (one_way(), one_way());
        let sockets = Arc::new(Mutex::new(Vec::new()));
        let acceptor = Acceptor {
            target,
            script,
            upstream: Arc::clone(&upstream),
            downstream: Arc::clone(&downstream),
            sockets: Arc::clone(&sockets),
        };
        let accepting = std::thread::Builder::new().name("relay-accept".into()).spawn(move || acceptor.run(&listener))?;
        Ok(Self { address, stop, upstream, downstream, sockets, accepting: Some(accepting) })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has been carried so far.
    #[must_use]
    pub fn carried(&self) -> Carried {
        Carried {
            client_to_server: self.upstream.bytes.load(Ordering::Relaxed),
            server_to_client: self.downstream.bytes.load(Ordering::Relaxed),
        }
    }

    /// Faults of the script that have happened.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.upstream.fired.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for socket in self.sockets.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A connection that has ended by itself needs no more.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        // Wakes the accepting thread; if nobody listens there any more, it is awake already.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

struct Acceptor {
    target: SocketAddr,
    script: Script,
    upstream: Arc<OneWay>,
    downstream: Arc<OneWay>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Acceptor {
    fn run(&self, listener: &TcpListener) {
        for (number, client) in (0..).zip(listener.incoming()) {
            if self.upstream.stop.load(Ordering::Relaxed) {
                return;
            }
            // Dropping the client's socket is how a relay says that its target is not there.
            let connected = client.and_then(|client| self.connect(number, client));
            if let Err(error) = connected {
                tracing::warn!(%error, number, "the relay cannot carry a connection");
            }
        }
    }

    fn connect(&self, number: u64, client: TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect(self.target)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        {
            let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            sockets.push(client.try_clone()?);
            sockets.push(server.try_clone()?);
        }
        let injector = |direction| Injector::new(self.script.of(number, direction));
        pump::start(&self.upstream, injector(Direction::ClientToServer), client.try_clone()?, server.try_clone()?)?;
        pump::start(&self.downstream, injector(Direction::ServerToClient), server, client)
    }
}
