//! What the system says to a server.

use std::sync::mpsc::Sender;

use anyhow::{Context, Result};

#[cfg(not(unix))]
use crate::diagnostics::warning;

/// Why a server is woken.
pub(crate) enum Wake {
    /// It is to stop.
    Stop,
    /// It is to look again at what it serves: where the system has a signal for that.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal"))]
    Reload,
    /// It no longer serves, although nobody told it to stop.
    Failed(fusion::net::NetError),
}

/// Sends [`Wake::Stop`] when standard input ends: for a parent that must not leave a process
/// behind.
pub(crate) fn watch_input(wake: Sender<Wake>) {
    std::thread::spawn(move || {
        // Whatever is read says only that the parent is still there.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        // Nobody waits any more: the process is on its way out.
        let _ = wake.send(Wake::Stop);
    });
}

/// Sends [`Wake::Stop`] at the first SIGINT or SIGTERM; the second one ends the process at once, as
/// if nobody watched for it. [`Wake::Reload`] at every SIGHUP.
///
/// # Errors
/// The system lets nobody watch.
#[cfg(unix)]
pub(crate) fn watch(wake: Sender<Wake>) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot watch for signals")?;
    let watching = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut stopping = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                let _ = wake.send(Wake::Reload);
            } else if std::mem::replace(&mut stopping, true) {
                // Cannot fail for signals that the system knows; if it did, the process would go on
                // to drain.
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            } else {
                // Nobody waits any more: the server is on its way out by itself.
                let _ = wake.send(Wake::Stop);
            }
        }
    });
    watching.map(|_| ()).context("no thread to watch for signals")
}

/// Sends [`Wake::Stop`] at the first interrupt; the second one ends the process.
///
/// # Errors
/// The system lets nobody watch.
#[cfg(not(unix))]
pub(crate) fn watch(wake: Sender<Wake>) -> Result<()> {
    let mut stopping = false;
    let interrupted = move || {
        if std::mem::replace(&mut stopping, true) {
            warning("Ended at once.");
            std::process::exit(1);
        }
        let _ = wake.send(Wake::Stop);
    };
    ctrlc::set_handler(interrupted).context("cannot watch for interrupts")
}
