//! `fusion gateway`: flags to settings, then it runs until it is interrupted.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, Result};
use fusion::ClientSettings;
use fusion_gateway::{Gateway, GatewaySettings, HttpLimits, Most, PoolOf, Webhook};

use crate::cli::GatewayArgs;
use crate::diagnostics::{note, warning};
use crate::left_out::say_left_out;
use crate::query::{DEFAULT_SERVER, cores};
use crate::settings::{home, system_rng};
use crate::signals::{self, Wake};
use crate::sources::{AsLabelled, PublicSource, Sources};
use crate::terminal::show;

/// Images in one batch at most, in batches that are full.
const BATCHES_AT_ONCE: u32 = 8;

/// Runs the command until it is interrupted.
///
/// # Errors
/// Settings, files or an address that cannot be used. A server that is away is waited for.
pub(crate) fn run(args: &GatewayArgs) -> Result<()> {
    // A system that has no randomness is noticed now, not with the first image.
    system_rng()?;
    let gateway = Gateway::start(settings(args)?)?;
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    // A line of its own on standard output: parents and scripts read the port from it.
    show(format_args!("listening on {scheme}://{}", gateway.address()))?;
    wait_for_stop(args.until_stdin_closes)?;
    if !gateway.shutdown(Duration::from_secs(args.grace_seconds)) {
        note(format_args!("lanes were still running: the gateway will run them again"));
    }
    Ok(())
}

fn settings(args: &GatewayArgs) -> Result<GatewaySettings> {
    let mut client = ClientSettings::new(String::new(), home()?);
    client.connection = args.connect.settings(DEFAULT_SERVER)?;
    client.model = args.model.name.clone();
    client.pin = args.pin.clone();
    client.lanes = args.lanes;
    client.terms = args.terms.map(Into::into);
    client.lane_samples = args.lane_samples;
    client.cores = cores();
    client.max_failures = args.max_failures;
    client.allow_unsound = args.allow_unsound;
    let mix = args.mix.settings();
    let mut settings = GatewaySettings::new(client, mix, pool(args)?);
    settings.listen = args.listen;
    settings.tls = args.tls_cert.clone().zip(args.tls_key.clone());
    settings.users = args.users.clone();
    settings.plaintext = args.plaintext;
    settings.batch = args.batch;
    settings.every = args.every;
    settings.most = Most {
        in_batch: args.most_in_batch.unwrap_or_else(|| args.batch.saturating_mul(BATCHES_AT_ONCE)),
        waiting: args.max_waiting,
        bytes: args.max_image_bytes,
        disk: args.max_disk_bytes,
    };
    settings.keep_images = args.keep_images;
    settings.forget_after = args.forget_after.0;
    settings.webhook = args.webhook.clone().map(|url| Webhook { url, ca: args.webhook_ca.clone() });
    settings.limits = HttpLimits {
        connections: args.max_connections,
        requests: args.max_requests,
        head: Duration::from_secs(args.head_seconds),
        request: Duration::from_secs(args.request_seconds),
        ..HttpLimits::default()
    };
    Ok(settings)
}

/// The public samples, listed once; their pool is made for each model that is met.
fn pool(args: &GatewayArgs) -> Result<PoolOf> {
    let publics = match &args.public_dir {
        Some(images) => PublicSource::Folder { images: images.clone(), labels: args.public_labels.clone() },
        None => PublicSource::Mnist,
    };
    let as_labelled = match (args.mix.certified, args.ground_truth) {
        (true, _) => Some(AsLabelled::Certified),
        (false, true) => Some(AsLabelled::GroundTruth),
        (false, false) => None,
    };
    let sources = Sources { queries: Vec::new(), publics: Some(publics), known_from: Vec::new(), as_labelled };
    let (samples, left_out) = sources.publics().context("the public samples cannot be used")?;
    say_left_out("of the public samples", left_out.iter().map(|(file, reason)| (file.as_str(), *reason)));
    let mix = args.mix.settings();
    Ok(Arc::new(move |client| sources.pool(client, &mix, samples.clone()).map_err(|error| format!("{error:#}"))))
}

/// Waits for a signal, or for the end of standard input if that says so.
fn wait_for_stop(until_stdin_closes: bool) -> Result<()> {
    let (wake, woken) = mpsc::channel();
    signals::watch(wake.clone())?;
    if until_stdin_closes {
        signals::watch_input(wake);
    }
    // The watcher of signals holds a sender for the life of the process: this waits for one.
    while let Ok(Wake::Reload) = woken.recv() {
        warning("Nothing to reload: what a gateway is does not change. For other settings start it again.");
    }
    Ok(())
}
