//! `fusion models`: what a server serves.

use anyhow::Result;
use fusion::client::models_of;
use serde::Serialize;

use crate::cli::ModelsArgs;
use crate::outcome::write_json;
use crate::query::DEFAULT_SERVER;
use crate::report::plain;
use crate::tables::{human_bytes, plain_table};
use crate::terminal::show;

/// One of the models.
#[derive(Debug, Serialize)]
struct Model {
    name: String,
    /// Of its card, hexadecimal: what clients pin.
    digest: String,
    hint_bytes: u64,
    samples_per_lane: u32,
}

/// Runs the command.
///
/// # Errors
/// Nobody answers, or not with the right certificate; a file that cannot be written.
pub(crate) fn run(args: &ModelsArgs) -> Result<()> {
    let models = models_of(args.connect.settings(DEFAULT_SERVER)?)?;
    let in_words = |model: fusion::net::ModelFacts| Model {
        name: plain(&model.name),
        digest: model.card_digest.to_string(),
        hint_bytes: model.hint_bytes,
        samples_per_lane: model.samples_per_lane,
    };
    let models: Vec<Model> = models.into_iter().map(in_words).collect();
    let mut table = plain_table(&["model", "digest", "hint", "samples a lane"]);
    for model in &models {
        table.add_row([model.name.clone(), model.digest.clone(), human_bytes(model.hint_bytes), model.samples_per_lane.to_string()]);
    }
    show(table)?;
    show("Choose one with --model NAME, or --model DIGEST, which also pins it. Nothing of this list is proved.")?;
    if let Some(path) = &args.json {
        write_json(path, &models)?;
    }
    Ok(())
}
