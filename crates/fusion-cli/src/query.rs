//! `fusion query`: classify privately, and check the server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fusion::client::{Outcome, read_facts};
use fusion::images::Sample;
use fusion::mix::verify::RevealRejected;
use fusion::{Client, ClientSettings, Inputs, Journal};

use crate::cli::QueryArgs;
use crate::diagnostics::warning;
use crate::left_out::say_left_out;
use crate::preview::crop_warning;
use crate::progress::Watcher;
use crate::report::plain;
use crate::settings::{home, system_rng};
use crate::sources::{AsLabelled, PublicSource, Sources};

/// Where a server is looked for if nobody says.
pub(crate) const DEFAULT_SERVER: &str = "127.0.0.1:7878";

/// A query that came to its end.
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    /// The images that were classified.
    pub(crate) queries: Vec<Sample>,
    /// Where the run is kept.
    pub(crate) journal: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Anything that keeps the batch from being finished.
pub(crate) fn run(args: &QueryArgs) -> Result<Ran> {
    let home = home()?;
    let mut watcher = Watcher::new(true);
    let mut rng = system_rng()?;
    let mix = args.mix.settings();
    let (sources, address, model) = match &args.resume {
        Some(path) => {
            let facts = read_facts(path)?;
            (Sources::of_run(path, facts.inputs.source)?, facts.server, facts.model)
        }
        None => (sources(args)?, DEFAULT_SERVER.to_owned(), None),
    };
    // Images that cannot be found are missed before the server is bothered.
    let (inputs, (publics, left_out)) = (sources.queries()?, sources.publics()?);
    say_left_out("of the public samples", left_out.iter().map(|(file, reason)| (file.as_str(), *reason)));
    let settings = ClientSettings { model: args.model.name.clone().or(model), ..client_settings(args, &address, home.clone())? };
    let client = Client::connect_telling(settings, &mut |event| watcher.show(event))?;
    let inputs = readable(inputs, &client, &sources.queries)?;
    let pool = sources.pool(&client, &mix, publics)?;
    let path = match (&args.resume, &args.out) {
        (Some(path), _) | (None, Some(path)) => path.clone(),
        (None, None) => new_run(&home.join("runs")),
    };
    watcher.keeping(&path);
    let outcome = match &args.resume {
        Some(path) => client.resume(&inputs, &pool, path, &mut rng, &mut |event| watcher.show(event))?,
        None => {
            let plan = client.plan(&mix, inputs.samples.len(), &pool)?;
            let journal = Journal::at(&path).keeping(sources.to_json()?);
            client.query(&inputs, &pool, &plan, journal, &mut rng, &mut |event| watcher.show(event))?
        }
    };
    Ok(Ran { outcome, queries: inputs.samples, journal: path })
}

/// A name under `runs` that nothing has yet, whatever the machine's clock says.
fn new_run(runs: &Path) -> PathBuf {
    let name = format!("{}-{}", seconds_since_epoch(), std::process::id());
    let names = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
    names.map(|name| runs.join(name)).find(|path| !path.exists()).unwrap_or_else(|| runs.join(&name))
}

/// Leaves out what cannot be read of folders, and says so before anything is paid for; what was
/// named itself must be readable, and something must be left.
fn readable(inputs: Inputs, client: &Client, named: &[PathBuf]) -> Result<Inputs> {
    let inputs = inputs.readable(client.card());
    let is_named =
        |name: &str| named.iter().any(|path| path.is_file() && path.file_name().is_some_and(|file| file.to_string_lossy() == name));
    for file in &inputs.skipped {
        if is_named(&file.file) {
            bail!("{} cannot be classified: {}", plain(&file.file), plain(&file.reason));
        }
    }
    say_left_out("of the queries", inputs.skipped.iter().map(|file| (file.file.as_str(), file.reason.as_str())));
    if inputs.samples.is_empty() {
        bail!("none of the images can be classified");
    }
    if let Some(text) = crop_warning(&client.card().preprocess, &inputs.samples) {
        warning(format_args!("Warning:  {text}"));
    }
    Ok(inputs)
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
    if let Some(patience) = args.patience {
        (settings.patience, settings.connect_patience) = (patience, patience);
    }
    settings.allow_unsound = args.allow_unsound;
    settings.reveal_rejected = args.show_rejected_answers.then_some(RevealRejected);
    Ok(settings)
}

/// Cores that this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn sources(args: &QueryArgs) -> Result<Sources> {
    let all = |paths: &[PathBuf]| paths.iter().map(|path| absolute(path)).collect::<Result<Vec<_>>>();
    let publics = match (&args.public_dir, args.public_mnist) {
        (Some(images), _) => {
            let labels = args.public_labels.as_deref().map(absolute).transpose()?;
            Some(PublicSource::Folder { images: absolute(images)?, labels })
        }
        (None, true) => Some(PublicSource::Mnist),
        (None, false) if !args.known_from.is_empty() => None,
        (None, false) => bail!(
            "the server is checked with public samples whose answers are known: give --public-dir (with --public-labels if the model's owner has published \
             no answers), --known-from an earlier run, or --public-mnist for digits"
        ),
    };
    let as_labelled = match (args.mix.certified, args.ground_truth) {
        (true, _) => Some(AsLabelled::Certified),
        (false, true) => Some(AsLabelled::GroundTruth),
        (false, false) => None,
    };
    Ok(Sources { queries: all(&args.images)?, publics, known_from: all(&args.known_from)?, as_labelled })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))
}

fn seconds_since_epoch() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
