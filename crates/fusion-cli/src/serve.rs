//! `fusion serve`: one package or several, any number of lanes.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use fusion::Server;
use fusion::net::ModelFacts;
use fusion::server::Models;

use crate::cli::ServeArgs;
use crate::diagnostics::{note, warning};
use crate::metrics;
use crate::report::plain;
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
    let names: Vec<_> = args.packages.iter().map(|path| path.display().to_string()).collect();
    let what = format!("cannot serve {}", names.join(", "));
    let server = Server::serve_all(&args.packages, settings, system_rng()?).map_err(|error| {
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
    note(format_args!("lanes may take {:.1} GiB together (--memory)", server.limits().memory as f64 / f64::from(1 << 30)));
    let models = server.models();
    models.served().iter().for_each(|model| say("serves", model));
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
    loop {
        match woken.recv() {
            Ok(Wake::Reload) => reload(&models, &args.packages),
            Ok(Wake::Failed(error)) => bail!("{error}: nobody can reach this server any more"),
            // Nobody is left who could tell it to stop.
            Ok(Wake::Stop) | Err(mpsc::RecvError) => break,
        }
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

fn say(what: &str, model: &ModelFacts) {
    let ModelFacts { name, card_digest, samples_per_lane, .. } = model;
    note(format_args!("{what} {}, digest {card_digest}, at most {samples_per_lane} samples a lane", plain(name)));
}

/// Looks at the packages again. What cannot be served leaves everything as it was: a server that
/// works is worth more than a change that does not.
fn reload(models: &Models, packages: &[PathBuf]) {
    let before = models.served();
    match models.replace(packages) {
        Ok(now) => {
            let is_in = |list: &[ModelFacts], model: &ModelFacts| list.iter().any(|other| other.card_digest == model.card_digest);
            before.iter().filter(|model| !is_in(&now, model)).for_each(|model| say("no longer serves", model));
            now.iter().filter(|model| !is_in(&before, model)).for_each(|model| say("now serves", model));
            note(format_args!("looked at the packages again: {} models are served", now.len()));
        }
        Err(error) => warning(format_args!("Nothing is changed: {:#}", anyhow::Error::from(error))),
    }
}
