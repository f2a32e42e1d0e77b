//! What one sample of a model will cost: bytes from its card, seconds from a measured run or from
//! rates.

use std::path::Path;

use anyhow::{Context, Result, bail};
use fusion::SampleSeconds;
use fusion::mix::overview::SampleCost;
use fusion::model::program::Program;
use fusion::nn::cost::predict;
use fusion::nn::layers::LaneTerms;
use serde::Deserialize;

/// Samples per lane for which costs are predicted: the keys of a lane are shared by its samples.
const LANE_SAMPLES: usize = 8;

/// The part of `query --json`'s (or `demo --json`'s) outcome that a prediction rests on.
#[derive(Deserialize)]
struct Measured {
    bytes: MeasuredBytes,
    seconds: MeasuredSeconds,
}

#[derive(Deserialize)]
struct MeasuredBytes {
    client_to_server: u64,
    server_to_client: u64,
}

#[derive(Deserialize)]
struct MeasuredSeconds {
    setup: f64,
    lanes: f64,
}

/// Predicts the cost of a sample of `program`: seconds by the rate of bytes in `measured`, the JSON
/// outcome of a run; without one, by rates of the components on one core per party, or by a link of
/// `link_mbit` Mbit/s each way, whichever is slower.
///
/// # Errors
/// A program that cannot be run; a file that is no outcome of a run.
pub(crate) fn sample_cost(program: &Program, link_mbit: f64, measured: Option<&Path>) -> Result<SampleCost> {
    if link_mbit.is_nan() || link_mbit <= 0.0 {
        bail!("a link carries more than 0 Mbit/s, not {link_mbit}");
    }
    let predicted = predict(program, LANE_SAMPLES, LaneTerms::LONG_LINK).context("the model's cost cannot be predicted")?;
    let bytes = predicted.bytes_per_sample() as f64;
    let setup_bytes = predicted.hint_bytes() as f64;
    if let Some(path) = measured {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let run: Measured = serde_json::from_slice(&text).with_context(|| format!("{} is no JSON outcome of a query", path.display()))?;
        let moved = (run.bytes.client_to_server + run.bytes.server_to_client) as f64;
        if moved <= 0.0 || !(run.seconds.lanes > 0.0 && run.seconds.setup >= 0.0) {
            bail!("{} ran no lane: there is nothing to predict from", path.display());
        }
        let basis = format!(
            "bytes from the model card, over a long link (--terms long-link); seconds at the rate of {}, which moved {:.1} MB in {:.2} s",
            path.display(),
            moved / 1e6,
            run.seconds.lanes
        );
        return Ok(SampleCost { bytes, seconds: bytes * run.seconds.lanes / moved, setup_bytes, setup_seconds: run.seconds.setup, basis });
    }
    let seconds = SampleSeconds::of(&predicted, link_mbit);
    let basis = format!(
        "bytes from the model card, over a long link (--terms long-link); seconds are the slower of {:.3} s on a link of {link_mbit} Mbit/s \
         each way and {:.3} s of computing on one core per party at {}; give --measured for a rate of your own",
        seconds.network,
        seconds.computing,
        SampleSeconds::basis()
    );
    let setup_seconds = setup_bytes * 8.0 / (link_mbit * 1e6);
    Ok(SampleCost { bytes, seconds: seconds.longer(), setup_bytes, setup_seconds, basis })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets;
    use crate::cli::QuantiseArgs;

    #[test]
    fn bytes_come_from_the_card_and_seconds_from_a_stated_basis() {
        let args = QuantiseArgs::of_digits();
        let pool = assets::mnist_pool().unwrap();
        let program = fusion::quantise(assets::MNIST_MODEL, "mnist", &args.settings().unwrap(), &pool[..4]).unwrap().program;
        let cost = sample_cost(&program, 400.0, None).unwrap();
        assert_eq!(cost.bytes, predict(&program, 8, LaneTerms::LONG_LINK).unwrap().bytes_per_sample() as f64);
        assert!(cost.setup_bytes > 0.0 && cost.seconds > 0.0 && cost.basis.contains("400 Mbit/s") && cost.basis.contains("--measured"));
        // On a slow link the link decides.
        let slow = sample_cost(&program, 0.1, None).unwrap();
        assert!((slow.seconds * 0.1e6 / 8.0 - cost.bytes / 2.0).abs() < 0.4 * cost.bytes, "{slow:?}");
        assert!(sample_cost(&program, f64::NAN, None).is_err());

        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("run.json");
        std::fs::write(
            &path,
            r#"{"bytes":{"client_to_server":600,"server_to_client":400,"by_phase":{}},"seconds":{"setup":2.5,"lanes":0.5}}"#,
        )
        .unwrap();
        let measured = sample_cost(&program, 400.0, Some(&path)).unwrap();
        assert!(
            (measured.seconds - cost.bytes * 0.0005).abs() < 1e-9 && measured.setup_seconds == 2.5 && measured.basis.contains("run.json")
        );
        for bad in ["{}", r#"{"bytes":{"client_to_server":0,"server_to_client":0},"seconds":{"setup":0,"lanes":1}}"#] {
            std::fs::write(&path, bad).unwrap();
            assert!(sample_cost(&program, 400.0, Some(&path)).is_err(), "{bad}");
        }
    }
}
