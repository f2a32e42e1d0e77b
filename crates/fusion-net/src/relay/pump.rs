//! Two threads per direction of a connection: one takes bytes in at the link's rate, one lets them
//! out after its delay.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use super::inject::{Injector, Step};
use super::link::{Link, Wire};

/// How far the taking thread may run ahead of the wire: the link's own queue. It also absorbs the
/// lateness with which threads wake up.
const QUEUE_TIME: Duration = Duration::from_millis(10);

/// Bytes are cut to pieces that take about this long on the wire.
const PIECE_TIME: f64 = 250e-6;

/// How often a thread that waits for long looks whether the relay is over.
const POLL: Duration = Duration::from_millis(10);

/// What all pumps of one direction share.
pub(super) struct OneWay {
    pub(super) link: Link,
    pub(super) wire: Wire,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) bytes: AtomicU64,
    pub(super) fired: Arc<AtomicU64>,
}

enum Item {
    Bytes(Instant, Vec<u8>),
    End(Instant),
    Cut(Instant),
}

/// TruncationCarry bytes from one socket to another until either ends.
pub(super) fn start(way: &Arc<OneWay>, injector: Injector, from: TcpStream, to: TcpStream) -> std::io::Result<()> {
    let piece = ((way.link.bytes_per_second() * PIECE_TIME) as usize).clamp(1 << 12, 1 << 16);
    let on_the_way = way.link.bytes_per_second() * (way.link.one_way() + QUEUE_TIME).as_secs_f64();
    // Twice what fills the link, and room for small pieces; beyond it the sender waits.
    let depth = ((2.0 * on_the_way / piece as f64) as usize).min(1 << 16) + 1024;
    let (queue, items) = sync_channel(depth);
    let (back, forth) = (from.try_clone()?, to);
    let (taking, letting) = (Arc::clone(way), Arc::clone(way));
    std::thread::Builder::new().name("relay-out".into()).spawn(move || let_out(&letting, &items, forth, &back))?;
    std::thread::Builder::new().name("relay-in".into()).spawn(move || take_in(&taking, injector, from, &queue, piece))?;
    Ok(())
}

fn take_in(way: &OneWay, mut injector: Injector, mut from: TcpStream, queue: &SyncSender<Item>, piece: usize) {
    let mut buffer = vec![0; piece];
    let mut fired = 0;
    let mut live = true;
    while live {
        let n = match from.read(&mut buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => {
                let _ = put(way, queue, Item::Cut(Instant::now() + way.link.one_way()));
                return;
            }
        };
        let steps = if n == 0 { injector.end() } else { injector.feed(buffer[..n].to_vec()) };
        way.fired.fetch_add(injector.fired() - fired, Ordering::Relaxed);
        fired = injector.fired();
        for step in steps {
            live &= take(way, queue, step);
        }
        if n == 0 {
            let _ = put(way, queue, Item::End(Instant::now() + way.link.one_way()));
            return;
        }
    }
}

/// Puts one step on the wire; `false`: nothing more can be.
fn take(way: &OneWay, queue: &SyncSender<Item>, step: Step) -> bool {
    match step {
        Step::Pass(bytes) => {
            let left = way.wire.carry(bytes.len());
            way.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let sent = put(way, queue, Item::Bytes(left + way.link.one_way(), bytes));
            sent && sleep_until(way, left - QUEUE_TIME)
        }
        Step::Wait(Some(time)) => sleep_until(way, Instant::now() + time),
        Step::Wait(None) => {
            while sleep_until(way, Instant::now() + POLL) {}
            false
        }
        Step::End => put(way, queue, Item::End(Instant::now() + way.link.one_way())),
        Step::Cut => put(way, queue, Item::Cut(Instant::now() + way.link.one_way())),
    }
}

fn let_out(way: &OneWay, items: &Receiver<Item>, mut to: TcpStream, back: &TcpStream) {
    // After a truncation the bytes are still read: the sender must not hang on a full socket.
    let mut ended = false;
    for item in items {
        match item {
            Item::Bytes(due, bytes) if !ended => {
                if !sleep_until(way, due) || to.write_all(&bytes).is_err() {
                    break;
                }
            }
            Item::Bytes(..) => {}
            Item::End(due) => {
                sleep_until(way, due);
                let _ = to.shutdown(Shutdown::Write);
                ended = true;
            }
            Item::Cut(due) => {
                sleep_until(way, due);
                break;
            }
        }
        if ended && way.stop.load(Ordering::Relaxed) {
            break;
        }
    }
    if !ended {
        // Sockets that are down already need no more.
        let _ = to.shutdown(Shutdown::Both);
        let _ = back.shutdown(Shutdown::Both);
    }
}

fn put(way: &OneWay, queue: &SyncSender<Item>, mut item: Item) -> bool {
    loop {
        match queue.try_send(item) {
            Ok(()) => return true,
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(returned)) => item = returned,
        }
        if !sleep_until(way, Instant::now() + Duration::from_millis(1)) {
            return false;
        }
    }
}

/// Sleeps; `false`: the relay is over.
fn sleep_until(way: &OneWay, time: Instant) -> bool {
    loop {
        if way.stop.load(Ordering::Relaxed) {
            return false;
        }
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(POLL));
    }
}
