//! `fusion serve`: one package, any number of lanes.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use fusion::Server;

use crate::cli::ServeArgs;
use crate::diagnostics::{note, warning};
use crate::metrics;
use crate::settings::system_rng;
use crate::signals::{self, Wake};
use crate::terminal::show;

/// Runs the command until it is told to stop.
///
/// # Errors
/// A package or an address that cannot be used; a server that no longer serves.
pub fn run(args: &ServeArgs) -> Result<()> {
    let settings = args.settings()?;
    if let Some(cheat) = &args.cheat {
        warning(format_args!("WARNING: this server cheats on purpose ({cheat:?})"));
    }
    let metrics = args.metrics.map(|address| metrics::listen(address, args.insecure_metrics)).transpose()?;
    let plaintext = args.tls_cert.is_none() && !args.insecure && !args.listen.ip().is_loopback();
    let what = format!("cannot serve {}", args.package.display());
    let server = Server::serve(&args.package, settings, system_rng()?).map_err(|error| {
        let advice = "give --tls-cert and --tls-key, or --insecure if nobody can listen in on the way";
        let refused = matches!(error, fusion::Error::Net(_)) && plaintext;
        if refused { anyhow!("{error}: {advice}") } else { anyhow::Error::from(error).context(what) }
    })?;
    let (wake, woken) = mpsc::channel();
    signals::watch(wake.clone())?;
    // A line of its own on standard output: parents and scripts read the port from it.
    show(format_args!("listening on {}", server.local_addr()))?;
    if let Some(listener) = metrics {
        show(format_args!("metrics on http://{}/metrics", listener.local_addr()?))?;
        metrics::serve(listener, server.monitor())?;
    }
    let (memory, samples) = (server.limits().memory as f64 / f64::from(1 << 30), server.samples_per_lane());
    note(format_args!("lanes may take {memory:.1} GiB together (--memory), each at most {samples} samples"));
    if args.until_stdin_closes {
        signals::watch_input(wake.clone());
    }
    let ending = server.ending();
    let watching = std::thread::Builder::new().name("ending".to_owned()).spawn(move || {
        if let Some(error) = ending.wait() {
            // Nobody waits any more if the process is on its way out.
            let _ = wake.send(Wake::Failed(error));
        }
    });
    watching.context("no thread to watch the server")?;
    match woken.recv() {
        Ok(Wake::Failed(error)) => bail!("{error}: nobody can reach this server any more"),
        // Nobody is left who could tell it to stop.
        Ok(Wake::Stop) | Err(mpsc::RecvError) => {}
    }
    let running = server.lanes_running();
    if running > 0 {
        note(format_args!("finishing {running} lanes (at most {} s; a second signal ends them at once) ...", args.grace_seconds));
    }
    let shutdown = server.shutdown(Duration::from_secs(args.grace_seconds));
    if shutdown.cancelled > 0 {
        warning(format_args!("{} lanes were cut: --grace-seconds was over", shutdown.cancelled));
    }
    Ok(())
}
