//! Connections of others: what scanners, mistaken programs and hostile ones send.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// What a client of HTTP/2 says first (RFC 9113, 3.4), and an empty frame of settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Connections that stay open at once, in silence.
const IDLE: usize = 64;

/// Sends junk to the server until `stop`; returns how many connections it made.
pub(super) fn send_until(address: SocketAddr, seed: u64, stop: &AtomicBool) -> u64 {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let (mut made, mut idle) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        // A server that refuses more is in its right.
        if let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            made += 1;
            let _ = stream.write_all(&words(&mut rng));
            match rng.random_range(0..3) {
                // Gone without a word of farewell.
                0 => {}
                1 => listen(&mut stream),
                _ => idle.push(stream),
            }
        }
        if idle.len() > IDLE {
            idle.swap_remove(rng.random_range(0..idle.len()));
        }
        thread::sleep(Duration::from_millis(rng.random_range(5..60)));
    }
    made
}

fn words(rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut noise = vec![0; rng.random_range(1..4096)];
    rng.fill(&mut noise[..]);
    match rng.random_range(0..7) {
        0 => Vec::new(),
        1 => noise,
        2 => b"GET / HTTP/1.1\r\nHost: fusion\r\n\r\n".to_vec(),
        3 => PREFACE[..10].to_vec(),
        4 => PREFACE.to_vec(),
        // The head of a TLS greeting, then noise.
        5 => [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &noise].concat(),
        _ => [PREFACE, &noise].concat(),
    }
}

fn listen(stream: &mut TcpStream) {
    let mut answer = [0; 256];
    if stream.set_read_timeout(Some(Duration::from_millis(50))).is_ok() {
        // Whatever it says.
        let _ = stream.read(&mut answer);
    }
}
