//! From flags to settings: what was typed, checked and put in the library's types.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use fusion::Tolerance;
use fusion::mix::plan::Assurance;
use fusion::model::plan::PlanOptions;
use fusion::net::{ClientSecurity, KeyPair, Limits, ServerSecurity, Token};
use fusion::{GivenMix, MixSettings, QuantiseSettings, ServerSettings, Widths};
use rand::SeedableRng;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;

use crate::cli::{AssuranceArg, ConnectArgs, MixArgs, QuantiseArgs, ServeArgs};

/// Variable that holds the bearer token if no file is given.
pub(crate) const TOKEN_VARIABLE: &str = "FUSION_TOKEN";

/// A generator seeded by the operating system.
///
/// # Errors
/// If the system has no randomness.
pub(crate) fn fresh_rng() -> Result<ChaCha20Rng> {
    ChaCha20Rng::try_from_rng(&mut SysRng).map_err(|e| anyhow!("no randomness from the operating system: {e}"))
}

/// The operating system's generator, for what lives long: also after the machine was cloned or
/// restored from a snapshot, no two lanes draw the same.
///
/// # Errors
/// If the system has no randomness.
pub(crate) fn system_rng() -> Result<UnwrapErr<SysRng>> {
    // A system that gives some gives more: it is asked once before anything depends on it.
    fresh_rng()?;
    Ok(UnwrapErr(SysRng))
}

/// The user's directory for hints, known models, audits and runs: `FUSION_HOME`, else `fusion` in
/// the data directory of the platform.
///
/// # Errors
/// If neither is known.
pub(crate) fn home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("FUSION_HOME") {
        return Ok(home.into());
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = data.or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/share")));
    Ok(home.context("set FUSION_HOME: there is no home directory")?.join("fusion"))
}

fn token(file: Option<&PathBuf>) -> Result<Option<Token>> {
    match file {
        Some(path) => Ok(Some(Token::from_file(path)?)),
        None => Ok(Token::from_env(TOKEN_VARIABLE)?),
    }
}

impl ConnectArgs {
    /// How to reach the server; `fallback` is the server if none is named.
    ///
    /// # Errors
    /// A token that cannot be read.
    pub fn settings(&self, fallback: &str) -> Result<fusion::net::ClientSettings> {
        let identity = self.client_cert.clone().zip(self.client_key.clone()).map(|(certificate, key)| KeyPair { certificate, key });
        let mut settings = fusion::net::ClientSettings::new(self.server.as_deref().unwrap_or(fallback));
        settings.security = ClientSecurity {
            server_ca: self.tls_ca.clone(),
            server_name: self.tls_name.clone(),
            identity,
            token: token(self.token_file.as_ref())?,
            insecure: self.insecure,
        };
        Ok(settings)
    }
}

impl MixArgs {
    /// What to mix and tolerate.
    #[must_use]
    pub fn settings(&self) -> MixSettings {
        // The flags require each other.
        let given = match (self.copies, self.public, self.tau, self.max_inconclusive) {
            (Some(copies), Some(publics), Some(tau), Some(max_inconclusive)) => Some(GivenMix { copies, publics, tau, max_inconclusive }),
            _ => None,
        };
        MixSettings {
            lambda: self.lambda.unwrap_or_else(|| Assurance::from(self.assurance.unwrap_or(AssuranceArg::Standard)).lambda()),
            claimed_accuracy: self.claimed_accuracy,
            detect_below: self.detect_below,
            alpha: self.alpha,
            beta: self.beta,
            flip_rate: self.flip_rate,
            fires: self.fires,
            given,
        }
    }
}

/// What a search for widths must meet; where only one part is given, the other is anything.
fn tolerance(label_agreement: Option<f64>, logit_noise: Option<f64>, exact_signs: bool) -> Result<Tolerance> {
    let (label_agreement, logit_noise) = (label_agreement.unwrap_or(0.0), logit_noise.unwrap_or(f64::INFINITY));
    let tolerance = Tolerance { label_agreement, logit_noise, exact_signs };
    if !(0.0..=1.0).contains(&tolerance.label_agreement) || tolerance.logit_noise.is_nan() || tolerance.logit_noise <= 0.0 {
        bail!("--label-agreement is between 0 and 1, --logit-noise above 0");
    }
    Ok(tolerance)
}

/// What quantising with `images` images is going to do, for a line before it.
pub(crate) fn work(settings: &QuantiseSettings, images: usize) -> String {
    let calibrated = format!("Calibrating on {} images", images.min(settings.calibration_images));
    match settings.widths {
        Widths::Uniform { .. } => calibrated,
        Widths::Search(_) => format!("{calibrated} and searching for widths; minutes for a large network"),
    }
}

impl QuantiseArgs {
    /// How to quantise.
    ///
    /// # Errors
    /// An unknown preset, a tolerance that nothing can meet.
    pub fn settings(&self) -> Result<QuantiseSettings> {
        let (preprocess, fit) = self.pixels.recipe().map_err(|reason| anyhow!(reason))?;
        let widths = if self.label_agreement.is_some() || self.logit_noise.is_some() {
            Widths::Search(tolerance(self.label_agreement, self.logit_noise, self.exact_sign)?)
        } else {
            let PlanOptions { window_bits, weight_bits, left_out, .. } = PlanOptions::default();
            Widths::Uniform {
                window: self.window.unwrap_or(window_bits),
                weight_bits: self.weight_bits.unwrap_or(weight_bits),
                left_out: if self.exact_sign { 1 } else { self.left_out.unwrap_or(left_out) },
            }
        };
        Ok(QuantiseSettings {
            input_shape: self.input_shape.as_ref().map(|shape| shape.0.clone()),
            output: self.output.clone(),
            preprocess,
            fit,
            widths,
            margin: self.margin,
            calibration_images: self.calibration_images,
        })
    }

    /// What tests ask for the demo's digits.
    #[cfg(test)]
    pub(crate) fn of_digits() -> Self {
        use crate::cli::PixelArgs;

        Self {
            input_shape: None,
            output: None,
            pixels: PixelArgs::preset("mnist"),
            label_agreement: None,
            logit_noise: None,
            exact_sign: false,
            left_out: None,
            window: Some(13),
            weight_bits: Some(10),
            margin: 1.5,
            calibration_images: 4,
        }
    }
}

impl ServeArgs {
    /// Where and how to serve.
    ///
    /// # Errors
    /// A token that cannot be read.
    pub fn settings(&self) -> Result<ServerSettings> {
        let identity = self.tls_cert.clone().zip(self.tls_key.clone()).map(|(certificate, key)| KeyPair { certificate, key });
        let mut settings = ServerSettings::new(self.listen);
        settings.limits = self.limits();
        settings.security = ServerSecurity {
            identity,
            client_ca: self.client_ca.clone(),
            token: token(self.token_file.as_ref())?,
            insecure: self.insecure,
        };
        settings.cheat = self.cheat.clone();
        Ok(settings)
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        let seconds = |value: Option<u64>, default| value.map_or(default, Duration::from_secs);
        limits.lanes_total = self.max_lanes.unwrap_or(limits.lanes_total);
        limits.lanes_per_client = self.max_lanes_per_client.unwrap_or(limits.lanes_per_client);
        limits.samples_per_lane = self.max_lane_samples.unwrap_or(limits.samples_per_lane);
        limits.bytes_per_lane = self.max_lane_bytes.unwrap_or(limits.bytes_per_lane);
        limits.idle = seconds(self.idle_seconds, limits.idle);
        limits.lane = seconds(self.lane_seconds, limits.lane);
        limits.memory = self.memory.unwrap_or(limits.memory);
        limits.connections_total = self.max_connections.unwrap_or(limits.connections_total);
        limits.connections_reserved = limits.connections_total / 4;
        limits.connections_per_address = self.max_connections_per_address.unwrap_or(limits.connections_per_address);
        limits.first_request = seconds(self.first_request_seconds, limits.first_request);
        limits.connection_idle = seconds(self.connection_idle_seconds, limits.connection_idle);
        limits.hints_total = self.max_hints.unwrap_or(limits.hints_total);
        limits.hints_per_client = self.max_hints_per_client.unwrap_or(limits.hints_per_client);
        limits.hint_rate = self.min_hint_rate.unwrap_or(limits.hint_rate);
        limits.hint = seconds(self.hint_seconds, limits.hint);
        limits
    }
}
