//! `fusion serve`: one package, any number of lanes.

use std::io::Read;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use fusion::Server;

use crate::cli::ServeArgs;
use crate::settings::system_rng;
use crate::terminal::show;

/// Runs the command until it is interrupted.
///
/// # Errors
/// A package or an address that cannot be used.
pub fn run(args: &ServeArgs) -> Result<()> {
    let settings = args.settings()?;
    if let Some(cheat) = &args.cheat {
        eprintln!("WARNING: this server cheats on purpose ({cheat:?})");
    }
    let plaintext = args.tls_cert.is_none() && !args.insecure && !args.listen.ip().is_loopback();
    let what = format!("cannot serve {}", args.package.display());
    let server = Server::serve(&args.package, settings, system_rng()?).map_err(|error| {
        let advice = "give --tls-cert and --tls-key, or --insecure if nobody can listen in on the way";
        let refused = matches!(error, fusion::Error::Net(_)) && plaintext;
        if refused { anyhow!("{error}: {advice}") } else { anyhow::Error::from(error).context(what) }
    })?;
    // A line of its own on standard output: parents and scripts read the port from it.
    show(format_args!("listening on {}", server.local_addr()))?;
    let (memory, samples) = (server.limits().memory as f64 / f64::from(1 << 30), server.samples_per_lane());
    eprintln!("lanes may take {memory:.1} GiB together (--memory), each at most {samples} samples");
    let (stop, stopped) = mpsc::channel();
    let interrupt = stop.clone();
    ctrlc::set_handler(move || _ = interrupt.send(())).context("cannot watch for interrupts")?;
    if args.until_stdin_closes {
        std::thread::spawn(move || {
            let mut sink = [0u8; 256];
            let mut input = std::io::stdin();
            while matches!(input.read(&mut sink), Ok(n) if n > 0) {}
            let _ = stop.send(());
        });
    }
    // The handler holds a sender for the life of the process: this waits for a signal.
    let _ = stopped.recv();
    let running = server.lanes_running();
    if running > 0 {
        eprintln!("finishing {running} lanes (at most {} s) ...", args.grace_seconds);
    }
    server.shutdown(Duration::from_secs(args.grace_seconds));
    Ok(())
}
