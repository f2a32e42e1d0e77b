//! `fusion query`: classify privately, and check the server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fusion::client::{Outcome, read_facts};
use fusion::mix::verify::RevealRejected;
use fusion::{Client, ClientSettings, Inputs, Journal};

use crate::cli::QueryArgs;
use crate::progress::Watcher;
use crate::settings::{home, system_rng};
use crate::sources::{PublicSource, Sources};

/// Where a server is looked for if nobody says.
const DEFAULT_SERVER: &str = "127.0.0.1:7878";

/// Runs the command.
///
/// # Errors
/// Anything that keeps the batch from being finished.
pub(crate) fn run(args: &QueryArgs) -> Result<Outcome> {
    let home = home()?;
    let mut watcher = Watcher::new(true);
    let mut rng = system_rng()?;
    if let Some(path) = &args.resume {
        let facts = read_facts(path)?;
        let sources = Sources::of_run(path, facts.inputs.source)?;
        let (queries, publics) = sources.read()?;
        let settings = client_settings(args, &facts.server, home)?;
        let client = Client::connect_telling(settings, &mut |event| watcher.show(event))?;
        return Ok(client.resume(&Inputs::from(queries), &publics, path, &mut rng, &mut |event| watcher.show(event))?);
    }
    let sources = sources(args)?;
    // Images that cannot be found are missed before the server is bothered.
    let (queries, publics) = sources.read()?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => home.join("runs").join(format!("{}-{}", seconds_since_epoch(), std::process::id())),
    };
    let client = Client::connect_telling(client_settings(args, DEFAULT_SERVER, home)?, &mut |event| watcher.show(event))?;
    let labelled = publics.iter().filter(|sample| sample.label.is_some()).count();
    let plan = client.plan(&args.mix.settings(), queries.len(), labelled)?;
    watcher.keeping(&out);
    let journal = Journal::at(&out).keeping(sources.to_json()?);
    Ok(client.query(&Inputs::from(queries), &publics, &plan, journal, &mut rng, &mut |event| watcher.show(event))?)
}

fn client_settings(args: &QueryArgs, fallback: &str, home: PathBuf) -> Result<ClientSettings> {
    let mut settings = ClientSettings::new(String::new(), home);
    settings.connection = args.connect.settings(fallback)?;
    settings.pin = args.pin.clone();
    settings.lanes = args.lanes;
    settings.terms = args.terms.map(Into::into);
    settings.lane_samples = args.lane_samples;
    settings.cores = cores();
    settings.max_failures = args.max_failures;
    settings.reveal_rejected = args.show_rejected_answers.then_some(RevealRejected);
    Ok(settings)
}

/// Cores that this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn sources(args: &QueryArgs) -> Result<Sources> {
    let publics = match (&args.public_dir, &args.public_labels, args.public_mnist) {
        (Some(images), Some(labels), _) => PublicSource::Folder { images: absolute(images)?, labels: absolute(labels)? },
        (_, _, true) => PublicSource::Mnist,
        _ => bail!(
            "the server is checked with public samples whose labels are known: give --public-dir and --public-labels (or --public-mnist for digits)"
        ),
    };
    let queries = args.images.iter().map(|p| absolute(p)).collect::<Result<Vec<_>>>()?;
    Ok(Sources { queries, publics })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))
}

fn seconds_since_epoch() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
