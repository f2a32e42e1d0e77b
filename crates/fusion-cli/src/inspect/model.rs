//! What the linear layers of a package or a card are.

use std::path::Path;

use anyhow::Result;
use comfy_table::Table;
use fusion::model::package::Package;
use fusion::model::program::noise::linear_deviations;
use fusion::model::program::{Op, Program};
use fusion::nn::cost::predict;
use fusion::nn::layers::LaneTerms;
use serde::Serialize;

use crate::outcome::write_json;
use crate::report::plain;
use crate::tables::{human_bytes, plain_table};
use crate::terminal::show;

/// One linear layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Layer {
    layer: String,
    /// Width of its ring, bits.
    ring_bits: u32,
    /// Bits of a weight, sign included.
    weight_bits: u32,
    /// Bound on the norm of a row of weights.
    row_norm: u32,
    /// Bits of a ciphertext coefficient and of a hint coefficient.
    upload_bits: u32,
    hint_bits: u32,
    /// Planned deviation of the noise, in units of the window that reads it.
    sigma_units: f64,
    /// Bytes of one sample's ciphertexts, and of the hint.
    bytes_up: u64,
    hint_bytes: u64,
}

/// The linear layers of a program, in order.
fn layers(program: &Program) -> Result<Vec<Layer>> {
    let costs = predict(program, 1, LaneTerms::LONG_LINK)?.steps;
    let linear = program.steps.iter().zip(&costs).filter(|(step, _)| matches!(step.op, Op::Linear { .. }));
    let layers = linear.zip(linear_deviations(program)).filter_map(|((step, cost), sigma_units)| {
        let &Op::Linear { weight_bits, row_norm, upload_bits, hint_bits, .. } = &step.op else { return None };
        Some(Layer {
            layer: step.name.clone(),
            ring_bits: program.tensors[step.output.0].ring.0,
            weight_bits,
            row_norm,
            upload_bits,
            hint_bits,
            sigma_units,
            bytes_up: cost.client_to_server,
            hint_bytes: cost.hint_bytes,
        })
    });
    Ok(layers.collect())
}

fn table(layers: &[Layer]) -> Table {
    let mut table = plain_table(&["layer", "ring", "weights", "row norm", "up", "hint", "noise", "to server", "hint size"]);
    for l in layers {
        table.add_row(vec![
            l.layer.clone(),
            l.ring_bits.to_string(),
            l.weight_bits.to_string(),
            l.row_norm.to_string(),
            l.upload_bits.to_string(),
            l.hint_bits.to_string(),
            format!("{:.3}", l.sigma_units),
            human_bytes(l.bytes_up),
            human_bytes(l.hint_bytes),
        ]);
    }
    table
}

/// Whether all of a package is there, and not only what its owner publishes: then every part is
/// held against the others.
fn private_part(package: &Path) -> bool {
    package.join(Package::PRIVATE_PART).exists()
}

/// Shows a package, or a card alone.
///
/// # Errors
/// A package or card that cannot be read, a file that cannot be written.
pub(super) fn inspect(path: &Path, json: Option<&Path>) -> Result<()> {
    let card = match private_part(path) {
        true => Package::open(path)?.card().clone(),
        false => Package::read_card(path)?,
    };
    let layers = layers(&card.program)?;
    show(format_args!("Model: {} ({} steps, {} classes)", plain(&card.name), card.program.steps.len(), card.classes()))?;
    show(format_args!("Digest: {} (clients pin it)", card.digest()?))?;
    if let Some(hint) = card.hint {
        show(format_args!("Hint:   {}, digest {}", human_bytes(hint.bytes), hint.digest))?;
    }
    show(table(&layers))?;
    let total = |of: fn(&Layer) -> u64| human_bytes(layers.iter().map(of).sum());
    show(format_args!(
        "Linear layers of one sample: {} to the server, nothing back; hint: {}",
        total(|l| l.bytes_up),
        total(|l| l.hint_bytes)
    ))?;
    show("Widths in bits; noise as a standard deviation in units of the window that reads the layer: at most 0.107.")?;
    if let Some(path) = json {
        write_json(path, &layers)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets;
    use crate::cli::QuantiseArgs;

    #[test]
    fn every_linear_layer_has_a_row_within_its_window() {
        let args = QuantiseArgs::of_digits();
        let pool = assets::mnist_pool().unwrap();
        let program = fusion::quantise(assets::MNIST_MODEL, "mnist", &args.settings().unwrap(), &pool[..4]).unwrap().program;
        let layers = layers(&program).unwrap();
        assert_eq!(layers.len(), program.steps.iter().filter(|s| matches!(s.op, Op::Linear { .. })).count());
        assert!(layers.iter().all(|l| l.sigma_units > 0.0 && l.sigma_units < 0.1076 && l.bytes_up > 0 && l.hint_bytes > 0), "{layers:?}");
        assert!(table(&layers).to_string().contains(&layers[0].layer));
    }
}
