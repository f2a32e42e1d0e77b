//! Servers that deviate, for demonstrations and tests of what verification catches. An honest
//! operator has no use for them.
//!
//! A cheat changes the server's shares after a step, which is all that a server can do to the
//! values of a lane: the linear maps themselves are bound by the hint.

use std::str::FromStr;

use fusion_model::program::Program;
use fusion_nn::exec::Deviation;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

/// How a served model deviates.
#[derive(Debug, Clone, PartialEq)]
pub enum Cheat {
    /// Each sample of each lane is corrupted with this probability: its logits become random, and
    /// so does its label.
    Samples(f64),
    /// Each lane is corrupted with this probability, all its samples together.
    Lanes(f64),
    /// Every share of the named step is shifted by a random amount, in every lane.
    Layer(String),
    /// One random bit of one random sample's shares of a random step is flipped, once per lane.
    Bit,
}

impl FromStr for Cheat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate = |text: &str| match text.parse::<f64>() {
            Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(rate),
            _ => Err(format!("{text} is not a probability")),
        };
        match text.split_once('=') {
            Some(("samples", text)) => Ok(Self::Samples(rate(text)?)),
            Some(("lanes", text)) => Ok(Self::Lanes(rate(text)?)),
            Some(("layer", name)) if !name.is_empty() => Ok(Self::Layer(name.to_owned())),
            None if text == "bit" => Ok(Self::Bit),
            _ => Err("expected samples=RATE, lanes=RATE, layer=STEP or bit".to_owned()),
        }
    }
}

impl Cheat {
    /// The deviation of one lane of `samples` samples.
    pub fn deviation(&self, program: &Program, samples: usize, mut rng: ChaCha20Rng) -> Deviation<'static> {
        let last = program.steps.last().map(|s| s.name.clone()).unwrap_or_default();
        match self {
            Self::Samples(rate) | Self::Lanes(rate) => {
                let whole = matches!(self, Self::Lanes(_));
                let all = rng.random_bool(*rate);
                let rate = *rate;
                Box::new(move |step, samples, share| {
                    if step != last {
                        return;
                    }
                    for sample in 0..samples {
                        if if whole { all } else { rng.random_bool(rate) } {
                            share.iter_mut().skip(sample).step_by(samples).for_each(|logit| *logit = logit.wrapping_add(rng.random()));
                        }
                    }
                })
            }
            Self::Layer(name) => {
                let name = name.clone();
                Box::new(move |step, _, share| {
                    if step == name {
                        share.iter_mut().for_each(|s| *s = s.wrapping_add(rng.random()));
                    }
                })
            }
            Self::Bit => {
                let target = rng.random_range(0..program.steps.len());
                let name = program.steps[target].name.clone();
                let ring = program.tensors[program.steps[target].output.0].ring.0;
                let sample = rng.random_range(0..samples.max(1));
                let mut done = false;
                Box::new(move |step, samples, share| {
                    if step == name && !std::mem::replace(&mut done, true) {
                        let area = share.len() / samples;
                        let index = (sample * area + rng.random_range(0..area)).min(share.len() - 1);
                        share[index] ^= 1 << rng.random_range(32 - ring..32);
                    }
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cheats_parse_and_nonsense_does_not() {
        assert_eq!("samples=0.25".parse(), Ok(Cheat::Samples(0.25)));
        assert_eq!("layer=conv1".parse(), Ok(Cheat::Layer("conv1".to_owned())));
        assert_eq!("bit".parse(), Ok(Cheat::Bit));
        for bad in ["samples", "samples=2", "layer=", "lanes=x", ""] {
            assert!(bad.parse::<Cheat>().is_err(), "{bad}");
        }
    }
}
