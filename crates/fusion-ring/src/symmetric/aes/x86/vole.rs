//! Sums over the streams of many keys, see [`KeyRing`](super::super::many::KeyRing).
//!
//! The streams of seven registers are in flight, with one register for round keys: that is what
//! AES-NI and VAES with AVX2 have registers for, and seven times one, two or four blocks divide the
//! chunks that SoftSpoken expands.

/// The kernel for the registers of the cipher kernels in `cipher`.
macro_rules! vole_kernels {
    (
        mod $module:ident, features $features:literal, $register:ty, lanes $lanes:literal,
        $loadu:ident, $storeu:ident, $xor:ident, $enc:ident, $enclast:ident, cipher $cipher:ident
    ) => {
        pub(super) mod $module {
            use super::$cipher::{broadcast, counters};
            use super::*;
            use crate::symmetric::aes::sums::{MOST_BITS, MOST_SPAN, Sums};

            /// Registers of each stream.
            const REGISTERS: usize = 7;
            /// Blocks of each stream.
            pub(in super::super) const SPAN: usize = REGISTERS * $lanes;
            const _: () = assert!(SPAN <= MOST_SPAN);
            type State = [$register; REGISTERS];

            #[target_feature(enable = $features)]
            #[inline]
            fn load(blocks: &[Block; MOST_SPAN]) -> State {
                let (registers, _) = blocks.as_chunks::<$lanes>();
                // SAFETY: an unaligned load of as many bytes as `lanes` blocks have.
                std::array::from_fn(|i| unsafe { $loadu(registers[i].as_ptr().cast()) })
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn store(blocks: &mut [Block; MOST_SPAN], state: State) {
                let (registers, _) = blocks.as_chunks_mut::<$lanes>();
                for (blocks, register) in registers.iter_mut().zip(state) {
                    // SAFETY: an unaligned store of as many bytes as `lanes` blocks have.
                    unsafe { $storeu(blocks.as_mut_ptr().cast(), register) };
                }
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn xor(a: State, b: State) -> State {
                std::array::from_fn(|i| $xor(a[i], b[i]))
            }

            /// See [`KeyRing::sum_streams`](super::super::many::KeyRing::sum_streams), with all of
            /// its keys.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn sum_streams(keys: &[RoundKeys], hidden: bool, counter: Block, sums: &mut Sums) {
                let plain = counters::<REGISTERS>(counter);
                sums.bits = [[0; MOST_SPAN]; MOST_BITS];
                for (leaf, keys) in keys.iter().enumerate() {
                    let mut state = [broadcast(&0); REGISTERS];
                    if leaf > 0 || !hidden {
                        let first = broadcast(&keys[0]);
                        state = plain.map(|s| $xor(s, first));
                        for key in &keys[1..10] {
                            let k = broadcast(key);
                            for s in &mut state {
                                *s = $enc(*s, k);
                            }
                        }
                        let last = broadcast(&keys[10]);
                        state = state.map(|s| $enclast(s, last));
                    }
                    // A leaf whose number ends in n ones completes n sums of two neighbours.
                    let complete = leaf.trailing_ones() as usize;
                    for (bits, waiting) in sums.bits[..complete].iter_mut().zip(&sums.waiting) {
                        store(bits, xor(load(bits), state));
                        state = xor(load(waiting), state);
                    }
                    store(sums.waiting.get_mut(complete).unwrap_or(&mut sums.all), state);
                }
                // The last leaf's number is all ones: the sum that it completed is that of all.
                if let Some(all) = sums.waiting.get(keys.len().ilog2() as usize) {
                    sums.all = *all;
                }
            }
        }
    };
}
pub(super) use vole_kernels;
