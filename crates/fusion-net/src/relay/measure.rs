//! Measures what a link really does, through the relay and over plain TCP.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::link::Link;
use super::proxy::Relay;
use super::script::Script;

/// Bytes written at a time when the rate is measured.
const BLOCK: usize = 64 << 10;

/// Round trips of which the median is taken.
const PINGS: usize = 21;

/// What a link was measured to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Megabits (10^6 bits) per second from client to server.
    pub mbit_up: f64,
    /// Megabits per second from server to client.
    pub mbit_down: f64,
    /// Median round-trip time of one byte.
    pub round_trip: Duration,
}

/// Measures `link` for about `time` in each direction.
///
/// # Errors
/// If the system has no sockets or threads for it.
pub fn measure(link: Link, time: Duration) -> std::io::Result<Measured> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let relay = Relay::start(listener.local_addr()?, link, Script::default())?;
    let bytes = ((link.bytes_per_second() * time.as_secs_f64()) as usize).max(4 * BLOCK);
    let server = std::thread::Builder::new().name("relay-measure".into()).spawn(move || serve(&listener, bytes))?;
    let round_trip = ping(relay.address())?;
    let mut up = open(relay.address(), b'u')?;
    source(&mut up, bytes)?;
    let mut reported = [0; 8];
    up.read_exact(&mut reported)?;
    let mbit_up = f64::from_le_bytes(reported);
    let mut down = open(relay.address(), b'd')?;
    let mbit_down = sink(&mut down, bytes)?;
    drop((up, down, relay));
    // The server's thread ends with its three connections; its failures have shown up on this side.
    let _ = server.join();
    Ok(Measured { mbit_up, mbit_down, round_trip })
}

/// A connection whose first byte says what to measure.
fn open(address: SocketAddr, what: u8) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(120)))?;
    socket.write_all(&[what])?;
    Ok(socket)
}

fn ping(address: SocketAddr) -> std::io::Result<Duration> {
    let mut socket = open(address, b'p')?;
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let start = Instant::now();
        socket.write_all(&[1])?;
        socket.read_exact(&mut [0])?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[PINGS / 2])
}

fn serve(listener: &TcpListener, bytes: usize) -> std::io::Result<()> {
    for _ in 0..3 {
        let (mut socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        let mut what = [0];
        socket.read_exact(&mut what)?;
        match what[0] {
            b'p' => {
                for _ in 0..PINGS {
                    socket.read_exact(&mut what)?;
                    socket.write_all(&what)?;
                }
            }
            b'u' => {
                let rate = sink(&mut socket, bytes)?;
                socket.write_all(&rate.to_le_bytes())?;
            }
            _ => source(&mut socket, bytes)?,
        }
    }
    Ok(())
}

fn source(socket: &mut TcpStream, bytes: usize) -> std::io::Result<()> {
    let block = vec![0x5a; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let n = left.min(BLOCK);
        socket.write_all(&block[..n])?;
        left -= n;
    }
    Ok(())
}

/// Megabits per second of what arrives, from the first arrival on.
fn sink(socket: &mut TcpStream, bytes: usize) -> std::io::Result<f64> {
    let mut block = vec![0; BLOCK];
    let first = socket.read(&mut block)?;
    let start = Instant::now();
    let mut got = first;
    while got < bytes {
        let n = socket.read(&mut block)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        got += n;
    }
    Ok((got - first) as f64 * 8e-6 / start.elapsed().as_secs_f64())
}
