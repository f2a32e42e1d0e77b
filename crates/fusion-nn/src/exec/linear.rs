//! Linear steps: what either party does in one, over `fusion-rlwe`.

use fusion_ring::channel::Channel;
use fusion_ring::secret::Wiped;
use fusion_rlwe::{ClientLane, Input, RlweError, ServerLane};

use super::model::{Hint, PreparedLinear, ServerModel};

/// A party's part in the linear steps of a lane.
pub(super) trait LinearSteps {
    /// This party's words of the step's result, from its words of the inputs (one tensor per term).
    fn run(
        &mut self,
        step: &PreparedLinear,
        inputs: &[Input<'_>],
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Wiped<u32>, RlweError>;
}

/// Encrypts; its words of the result come from the hint.
pub(super) struct ClientLinear<'m> {
    pub(super) lane: ClientLane,
    pub(super) hint: &'m Hint,
}

impl LinearSteps for ClientLinear<'_> {
    fn run(
        &mut self,
        step: &PreparedLinear,
        inputs: &[Input<'_>],
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Wiped<u32>, RlweError> {
        self.lane.encrypt(&step.layer, inputs, samples, channel)?;
        self.lane.share(&step.layer, &self.hint.layer(step), samples)
    }
}

/// Multiplies by the weights.
pub(super) struct ServerLinear<'m> {
    pub(super) lane: ServerLane,
    pub(super) model: &'m ServerModel,
}

impl LinearSteps for ServerLinear<'_> {
    fn run(
        &mut self,
        step: &PreparedLinear,
        inputs: &[Input<'_>],
        samples: usize,
        channel: &mut dyn Channel,
    ) -> Result<Wiped<u32>, RlweError> {
        self.lane.multiply(&self.model.layers()[step.number], inputs, samples, channel)
    }
}
