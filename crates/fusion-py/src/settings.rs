//! What Python passes as keywords, as settings of the library: JSON objects, whose unknown or
//! misshapen fields are refused by name.

use std::path::PathBuf;
use std::time::Duration;

use fusion::mix::plan::Assurance;
use fusion::model::card::Claim;
use fusion::model::preprocess::Resize;
use fusion::net::{ClientSecurity, KeyPair, Limits, NetError, ServerSecurity, Token};
use fusion::{ClientSettings, GivenMix, MixSettings, QuantiseSettings, ServerSettings};
use fusion_cli::cli::{FilterArg, LayoutArg, PixelArgs, QuantiseArgs, Shape};
use rand::SeedableRng as _;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::faults::{Fault, Kind};

/// Reads an object of keywords.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| Fault::input(format!("a keyword has an unusable value: {error}")))
}

/// A generator seeded by the operating system.
pub(crate) fn fresh_rng() -> Result<ChaCha20Rng, Fault> {
    ChaCha20Rng::try_from_rng(&mut SysRng).map_err(|error| Fault::Own(Kind::FusionError, format!("no randomness: {error}")))
}

/// The operating system's generator, for what lives long: also after the machine was cloned or
/// restored from a snapshot, no two lanes draw the same.
pub(crate) fn system_rng() -> Result<UnwrapErr<SysRng>, Fault> {
    // A system that gives some gives more: it is asked once before anything depends on it.
    fresh_rng()?;
    Ok(UnwrapErr(SysRng))
}

fn token(text: Option<&String>) -> Result<Option<Token>, NetError> {
    text.map(|text| Token::new(text)).transpose()
}

/// Keywords of `fusion.Client`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientKeywords {
    address: String,
    home: PathBuf,
    ca: Option<PathBuf>,
    server_name: Option<String>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    token: Option<String>,
    insecure: bool,
    model: Option<String>,
    pin: Option<String>,
    lanes: Option<usize>,
    lane_samples: Option<u32>,
    max_failures: u32,
    /// Seconds.
    patience: f64,
    allow_unsound: bool,
    show_rejected_answers: bool,
}

impl ClientKeywords {
    pub(crate) fn settings(self) -> Result<ClientSettings, Fault> {
        let mut settings = ClientSettings::new(self.address, self.home);
        settings.connection.security = ClientSecurity {
            server_ca: self.ca,
            server_name: self.server_name,
            identity: self.client_cert.zip(self.client_key).map(|(certificate, key)| KeyPair { certificate, key }),
            token: token(self.token.as_ref())?,
            insecure: self.insecure,
        };
        settings.model = self.model;
        settings.pin = self.pin;
        settings.lanes = self.lanes;
        settings.lane_samples = self.lane_samples;
        settings.cores = fusion_cli::cores();
        settings.max_failures = self.max_failures;
        let patience = Duration::try_from_secs_f64(self.patience);
        settings.patience = patience.map_err(|_| Fault::input(format!("patience is a number of seconds, not {}", self.patience)))?;
        settings.allow_unsound = self.allow_unsound;
        settings.reveal_rejected = self.show_rejected_answers.then_some(fusion::mix::verify::RevealRejected);
        Ok(settings)
    }
}

/// Keywords that say what to mix and tolerate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MixKeywords {
    assurance: Assurance,
    lambda: Option<f64>,
    fires: f64,
    claimed_accuracy: Option<f64>,
    detect_below: Option<f64>,
    alpha: f64,
    beta: f64,
    flip_rate: Option<f64>,
    copies: Option<u32>,
    public_samples: Option<u32>,
    tau: Option<u32>,
    max_inconclusive: Option<u32>,
}

impl MixKeywords {
    pub(crate) fn settings(self) -> Result<MixSettings, Fault> {
        let given = match (self.copies, self.public_samples, self.tau, self.max_inconclusive) {
            (None, None, None, None) => None,
            (Some(copies), Some(publics), Some(tau), Some(max_inconclusive)) => Some(GivenMix { copies, publics, tau, max_inconclusive }),
            _ => return Err(Fault::input("a mix is given whole: copies, public_samples, tau and max_inconclusive, or none of them")),
        };
        Ok(MixSettings {
            lambda: self.lambda.unwrap_or_else(|| self.assurance.lambda()),
            claimed_accuracy: self.claimed_accuracy,
            detect_below: self.detect_below,
            alpha: self.alpha,
            beta: self.beta,
            flip_rate: self.flip_rate,
            fires: self.fires,
            given,
        })
    }
}

/// Keywords that say how to quantise, of `fusion.prepare` and `fusion.evaluate`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuantiseKeywords {
    preprocess: PixelKeywords,
    input_shape: Option<Vec<usize>>,
    output: Option<String>,
    label_agreement: Option<f64>,
    logit_noise: Option<f64>,
    exact_sign: bool,
    left_out: Option<u32>,
    window: Option<u32>,
    weight_bits: Option<u32>,
    margin: f64,
    calibration_images: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PixelKeywords {
    preset: String,
    resize: Option<ResizeKeyword>,
    filter: Option<String>,
    crop: Option<u32>,
    layout: Option<String>,
    scale: Option<f32>,
    #[serde(default)]
    mean: Vec<f32>,
    #[serde(default)]
    std: Vec<f32>,
}

/// `256`, `(320, 240)` or `"none"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum ResizeKeyword {
    ShortSide(u32),
    Exact(u32, u32),
    Word(String),
}

impl PixelKeywords {
    fn flags(self) -> Result<PixelArgs, Fault> {
        let resize = match self.resize {
            None => None,
            Some(ResizeKeyword::ShortSide(side)) => Some(Resize::ShortSide(side)),
            Some(ResizeKeyword::Exact(width, height)) => Some(Resize::Exact { width, height }),
            Some(ResizeKeyword::Word(word)) if word == "none" => Some(Resize::Keep),
            Some(ResizeKeyword::Word(word)) => {
                return Err(Fault::input(format!("resize is a side, a pair of sides or \"none\", not {word:?}")));
            }
        };
        let filter = self.filter.as_deref().map(named::<FilterArg>).transpose()?;
        let layout = self.layout.as_deref().map(named::<LayoutArg>).transpose()?;
        let (preprocess, crop, scale, mean, std) = (self.preset, self.crop, self.scale, self.mean, self.std);
        Ok(PixelArgs { preprocess, resize, filter, crop, layout, scale, mean, std })
    }
}

/// The value that the command line has for a word.
fn named<T: clap::ValueEnum>(word: &str) -> Result<T, Fault> {
    T::from_str(word, true).map_err(|_| {
        let known = T::value_variants().iter().filter_map(clap::ValueEnum::to_possible_value);
        let known: Vec<String> = known.map(|value| value.get_name().to_owned()).collect();
        Fault::input(format!("there is no {word:?}: choose one of {}", known.join(", ")))
    })
}

impl QuantiseKeywords {
    pub(crate) fn settings(self) -> Result<QuantiseSettings, Fault> {
        let searched = self.label_agreement.is_some() || self.logit_noise.is_some();
        if searched && (self.window.is_some() || self.weight_bits.is_some() || self.left_out.is_some()) {
            return Err(Fault::input("widths are given (window, weight_bits, left_out) or searched for (label_agreement, logit_noise)"));
        }
        let args = QuantiseArgs {
            input_shape: self.input_shape.map(Shape),
            output: self.output,
            pixels: self.preprocess.flags()?,
            label_agreement: self.label_agreement,
            logit_noise: self.logit_noise,
            exact_sign: self.exact_sign,
            left_out: self.left_out,
            window: self.window,
            weight_bits: self.weight_bits,
            margin: self.margin,
            calibration_images: self.calibration_images,
        };
        args.settings().map_err(|error| Fault::input(format!("{error:#}")))
    }
}

/// Keywords of `fusion.prepare` about the package.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackageKeywords {
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) claimed_accuracy: Option<f64>,
    pub(crate) dataset: String,
    pub(crate) logits_bits: u32,
}

impl PackageKeywords {
    pub(crate) fn claim(&self) -> Result<Option<Claim>, Fault> {
        match self.claimed_accuracy {
            Some(top1) if !(0.0..=1.0).contains(&top1) => Err(Fault::input(format!("an accuracy is between 0 and 1, not {top1}"))),
            top1 => Ok(top1.map(|top1| Claim { top1, dataset: self.dataset.clone() })),
        }
    }
}

/// Keywords of `fusion.serve`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerKeywords {
    listen: String,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    token: Option<String>,
    insecure: bool,
    max_lanes: Option<u32>,
    max_lanes_per_client: Option<u32>,
    max_lane_samples: Option<u32>,
    lane_seconds: Option<f64>,
    cheat: Option<String>,
}

impl ServerKeywords {
    pub(crate) fn settings(self) -> Result<ServerSettings, Fault> {
        let listen = self.listen.parse().map_err(|_| Fault::input(format!("{:?} is no address such as 127.0.0.1:7878", self.listen)))?;
        let mut settings = ServerSettings::new(listen);
        let defaults = Limits::default();
        let lane = match self.lane_seconds {
            None => defaults.lane,
            Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| Fault::input(format!("lane_seconds: {error}")))?,
        };
        settings.limits = Limits {
            lanes_total: self.max_lanes.unwrap_or(defaults.lanes_total),
            lanes_per_client: self.max_lanes_per_client.unwrap_or(defaults.lanes_per_client),
            samples_per_lane: self.max_lane_samples.unwrap_or(defaults.samples_per_lane),
            lane,
            ..defaults
        };
        settings.security = ServerSecurity {
            identity: self.tls_cert.zip(self.tls_key).map(|(certificate, key)| KeyPair { certificate, key }),
            client_ca: self.client_ca,
            token: token(self.token.as_ref())?,
            insecure: self.insecure,
        };
        settings.cheat = self.cheat.as_deref().map(str::parse).transpose().map_err(Fault::input)?;
        Ok(settings)
    }
}
