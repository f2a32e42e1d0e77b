//! Linear steps: what either party does in one, over `fusion-rlwe`.

use fusion_ring::channel::Channel;
use fusion_ring::secret::Wiped;
use fusion_rlwe::{ClientLane, RlweError, ServerLane};

use super::model::{Hint, PreparedLinear, ServerModel};

/// A party's part in the linear steps of a lane.
pub(super) trait LinearSteps {
    /// This party's shares of the step's result, from its shares of the inputs (one tensor per
    /// term).
    fn run(&mut self, step: &PreparedLinear, inputs: &[&[u32]], samples: usize, channel: &mut dyn Channel)
    -> Result<Wiped<u32>, RlweError>;
}

/// Encrypts and decrypts.
pub(super) struct ClientLinear<'m> {
    pub(super) lane: ClientLane,
    pub(super) hint: &'m Hint,
}

impl LinearSteps for ClientLinear<'_> {
    fn run(
        &mut self,
        step: &PreparedLinear,
        inputs: &[&[u32]],
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Wiped<u32>, RlweError> {
        self.lane.encrypt(&step.layer, inputs, samples, channel)?;
        self.lane.decrypt(&step.layer, &self.hint.layer(step), samples, channel)
    }
}

/// Multiplies by the weights and adds the bias.
pub(super) struct ServerLinear<'m> {
    pub(super) lane: ServerLane,
    pub(super) model: &'m ServerModel,
}

impl LinearSteps for ServerLinear<'_> {
    fn run(
        &mut self,
        step: &PreparedLinear,
        inputs: &[&[u32]],
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Wiped<u32>, RlweError> {
        let mut out = self.lane.multiply(&self.model.layers()[step.number], inputs, samples, channel)?;
        let area = samples * step.layer.layout().output().area();
        for (channel, &bias) in out.chunks_exact_mut(area).zip(self.model.bias(step.number)) {
            channel.iter_mut().for_each(|v| *v = v.wrapping_add(bias));
        }
        Ok(out)
    }
}
