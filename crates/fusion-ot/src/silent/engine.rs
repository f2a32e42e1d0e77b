//! What both ends of an extension do: one pass over its trees, the check, and then a stream of
//! outputs.
//!
//! The pass expands a tree, adds it up for the check, applies the code and keeps what comes out in
//! the form of the call; then comes the next tree, in the same memory. Where outputs are kept as
//! blocks, a tree is made where they stand.

use fusion_ring::channel::Channel;
use fusion_ring::ot::lpn::LocalCode;
use fusion_ring::symmetric::aes::Block;
use zeroize::Zeroizing;

use super::check::Passed;
use super::end::End;
use super::keys::ExtensionKeys;
use super::parameters::Parameters;
use super::security::Security;
use super::store::{OutputQueue, Outputs, Provisional};
use super::trees::{Shape, Tree};
use crate::OtError;

/// Outputs of one choice width; blocks of a receiver carry their choices in the low bits.
pub(super) struct Engine<E: End> {
    end: E,
    shape: Shape,
    code: LocalCode,
    /// Blocks for the next extension, see [`Parameters::reserve`].
    reserve: Zeroizing<Vec<Block>>,
    /// Memory for the blocks of the extension after it.
    after: Zeroizing<Vec<Block>>,
    /// Outputs of all extensions so far, so that no extension repeats a part of the code.
    code_base: u64,
    /// The leaves of one tree, then its outputs.
    leaves: Zeroizing<Vec<Block>>,
    queue: OutputQueue,
}

impl<E: End> Engine<E> {
    /// An engine that has done no extension yet: `reserve` comes from another protocol.
    pub(super) fn new(end: E, code_seed: [u8; 16], parameters: Parameters, reserve: Zeroizing<Vec<Block>>) -> Self {
        debug_assert_eq!(reserve.len(), parameters.reserve());
        let shape = Shape { parameters };
        let code = LocalCode::new(code_seed, parameters.log_secrets());
        let after = Zeroizing::new(vec![0; reserve.len()]);
        let leaves = Zeroizing::new(vec![0; shape.leaves()]);
        Self { end, shape, code, reserve, after, code_base: 0, leaves, queue: OutputQueue::default() }
    }

    /// How many outputs the code has given so far.
    #[cfg(test)]
    pub(super) fn code_base(&self) -> u64 {
        self.code_base
    }

    /// Hands `n` outputs to `sink` in pieces. What is left of an extension in another form than `O`
    /// is dropped.
    pub(super) fn take<S: Security, O: Outputs<E::Hashing>>(
        &mut self,
        channel: &mut dyn Channel,
        n: usize,
        sink: &mut dyn FnMut(&O, std::ops::Range<usize>),
    ) -> Result<(), OtError> {
        let mut missing = n;
        while missing > 0 {
            match self.queue.released::<O>().filter(|released| !released.is_empty()) {
                Some(released) => {
                    let (outputs, range) = released.take(missing);
                    missing -= range.len();
                    sink(outputs, range);
                }
                None => self.extend::<S, O>(channel)?,
            }
        }
        Ok(())
    }

    /// Makes an extension's outputs in the form `O`.
    fn extend<S: Security, O: Outputs<E::Hashing>>(&mut self, channel: &mut dyn Channel) -> Result<(), OtError> {
        let memory = self.queue.take::<O>();
        let mut made = Provisional::new(self.shape.parameters, memory, std::mem::take(&mut self.after));
        let (mut state, seed) = self.end.begin(&self.shape, channel, &mut self.reserve)?;
        self.pass::<S, O>(channel, &mut state, ExtensionKeys::new(&seed), &mut made)?;
        let passed = match Passed::unchecked::<S>() {
            Some(passed) => passed,
            None => self.end.check(&self.shape, channel, state, &self.reserve)?,
        };
        let (released, reserve) = made.release(passed);
        self.queue.put(released);
        self.after = std::mem::replace(&mut self.reserve, reserve);
        Ok(())
    }

    /// Goes over all trees once.
    fn pass<S: Security, O: Outputs<E::Hashing>>(
        &mut self,
        channel: &mut dyn Channel,
        state: &mut E::State,
        mut keys: ExtensionKeys,
        made: &mut Provisional<O>,
    ) -> Result<(), OtError> {
        let set = self.shape.parameters;
        let secrets = &self.reserve[..1 << set.log_secrets()];
        for number in 0..set.trees() {
            let mut keys = keys.next_tree();
            let tree = Tree { number, keys: &keys.levels };
            let first = self.code_base;
            self.code_base += self.shape.leaves() as u64;
            if let Some(room) = made.room::<E::Hashing>(self.shape.leaves()) {
                self.end.tree::<S>(&self.shape, tree, channel, state, &self.reserve, room)?;
                self.code.begin(first, secrets, room).advance_to(self.shape.leaves());
                made.keep_room(self.shape.leaves());
            } else {
                self.end.tree::<S>(&self.shape, tree, channel, state, &self.reserve, &mut self.leaves)?;
                let encoding = self.code.begin(first, secrets, &mut self.leaves);
                made.keep(self.end.hashing(), &mut keys.pads, encoding);
            }
        }
        Ok(())
    }
}
