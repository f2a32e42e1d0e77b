//! The kernels, written once for registers of every width.

/// The kernels for registers of one width.
///
/// A register has `lanes` blocks, and `flight` registers are in flight; the names after them are
/// the instructions. The module `narrow` does what does not fill a group.
macro_rules! kernels {
    (
        mod $module:ident, features $features:literal, $register:ty, lanes $lanes:literal, flight $flight:literal,
        $loadu:ident, $storeu:ident, $xor:ident, $and:ident, $add:ident, $shuffle:ident, $enc:ident, $enclast:ident,
        broadcast |$one:ident| $broadcast:expr, narrow $narrow:ident
    ) => {
        pub(super) mod $module {
            use super::*;

            /// Blocks of a group.
            const GROUP: usize = $lanes * $flight;
            type State = [$register; $flight];

            #[target_feature(enable = $features)]
            #[inline]
            fn load(blocks: &[Block; GROUP]) -> State {
                let (registers, _) = blocks.as_chunks::<$lanes>();
                // SAFETY: an unaligned load of as many bytes as `lanes` blocks have.
                std::array::from_fn(|i| unsafe { $loadu(registers[i].as_ptr().cast()) })
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn store(blocks: &mut [Block; GROUP], state: State) {
                let (registers, _) = blocks.as_chunks_mut::<$lanes>();
                for (blocks, register) in registers.iter_mut().zip(state) {
                    // SAFETY: an unaligned store of as many bytes as `lanes` blocks have.
                    unsafe { $storeu(blocks.as_mut_ptr().cast(), register) };
                }
            }

            /// `block` in every lane.
            #[target_feature(enable = $features)]
            #[inline]
            pub(super) fn broadcast(block: &Block) -> $register {
                // SAFETY: an unaligned load of 16 bytes from a `u128`.
                let $one = unsafe { _mm_loadu_si128(std::ptr::from_ref(block).cast()) };
                $broadcast
            }

            /// `counter`, `counter + 1`, ... in the lanes of `N` registers.
            #[target_feature(enable = $features)]
            #[inline]
            pub(super) fn counters<const N: usize>(counter: Block) -> [$register; N] {
                // Additions of 64 bits do unless the lower half wraps around.
                if (counter as u64).checked_add(STEPS.len() as u64).is_some() {
                    let first = broadcast(&counter);
                    // SAFETY: an unaligned load of as many bytes as `lanes` blocks have.
                    std::array::from_fn(|i| $add(first, unsafe { $loadu(STEPS[$lanes * i..][..$lanes].as_ptr().cast()) }))
                } else {
                    std::array::from_fn(|i| {
                        let blocks: [Block; $lanes] = std::array::from_fn(|lane| counter.wrapping_add(($lanes * i + lane) as Block));
                        // SAFETY: as above.
                        unsafe { $loadu(blocks.as_ptr().cast()) }
                    })
                }
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn xor(a: State, b: State) -> State {
                std::array::from_fn(|i| $xor(a[i], b[i]))
            }

            /// The orthomorphism (L, R) -> (L ^ R, L) of [`crate::symmetric::hash`], L the upper
            /// half.
            #[target_feature(enable = $features)]
            #[inline]
            fn sigma(state: State) -> State {
                let upper = broadcast(&(u128::MAX << 64));
                state.map(|x| $xor($shuffle::<0b01_00_11_10>(x), $and(x, upper)))
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn rounds(keys: &RoundKeys, state: State) -> State {
                let (first, last) = (broadcast(&keys[0]), broadcast(&keys[10]));
                let state = inner_rounds(keys, state.map(|s| $xor(s, first)));
                state.map(|s| $enclast(s, last))
            }

            /// All rounds but the first key and the last round.
            #[target_feature(enable = $features)]
            #[inline]
            fn inner_rounds(keys: &RoundKeys, mut state: State) -> State {
                let keys = from_memory(keys);
                for key in &keys[1..10] {
                    let k = broadcast(key);
                    for s in &mut state {
                        *s = $enc(*s, k);
                    }
                }
                state
            }

            /// pi(s ^ t) ^ s ^ t, with `first` and `last` the first and the last round key plus t.
            #[target_feature(enable = $features)]
            #[inline]
            fn fed(keys: &RoundKeys, s: State, first: $register, last: $register) -> State {
                let state = inner_rounds(keys, s.map(|s| $xor(s, first)));
                std::array::from_fn(|i| $enclast(state[i], $xor(s[i], last)))
            }

            /// The first and the last round key plus sigma(`offset`), for [`fed`].
            #[target_feature(enable = $features)]
            #[inline]
            fn shifted(keys: &RoundKeys, offset: Block) -> [$register; 2] {
                let t = crate::symmetric::orthomorphism::sigma(offset);
                [broadcast(&(keys[0] ^ t)), broadcast(&(keys[10] ^ t))]
            }

            /// Encrypts `blocks` in place.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn encrypt(keys: &RoundKeys, blocks: &mut [Block]) {
                let (groups, rest) = blocks.as_chunks_mut::<GROUP>();
                for group in groups {
                    store(group, rounds(keys, load(group)));
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                unsafe {
                    $narrow::encrypt(keys, rest);
                }
            }

            /// Overwrites `out` with pi(counter), pi(counter + 1), ...
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn counter_mode(keys: &RoundKeys, mut counter: Block, out: &mut [Block]) {
                let (groups, rest) = out.as_chunks_mut::<GROUP>();
                for group in groups {
                    store(group, rounds(keys, counters(counter)));
                    counter = counter.wrapping_add(GROUP as Block);
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                unsafe {
                    $narrow::counter_mode(keys, counter, rest);
                }
            }

            /// As [`counter_mode`], of 24 blocks; calls `beside` with 0..16 between the rounds: the
            /// cipher runs while `beside` waits for memory.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[allow(dead_code, reason = "nobody calls the narrowest one")]
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn counters_beside(
                keys: &RoundKeys,
                counter: Block,
                out: &mut [Block; 24],
                beside: &mut impl FnMut(usize),
            ) {
                // Six registers in flight, and a few calls before every second round.
                const SPAN: usize = 6 * $lanes;
                const CALLS: usize = 16 * SPAN / 24;
                let (first, last) = (broadcast(&keys[0]), broadcast(&keys[10]));
                for (g, group) in out.as_chunks_mut::<SPAN>().0.iter_mut().enumerate() {
                    let mut state = counters::<6>(counter.wrapping_add((SPAN * g) as Block)).map(|s| $xor(s, first));
                    for step in 0..4 {
                        (0..CALLS / 4).for_each(|call| beside(CALLS * g + CALLS / 4 * step + call));
                        for key in &keys[2 * step + 1..2 * step + 3] {
                            let k = broadcast(key);
                            state = state.map(|s| $enc(s, k));
                        }
                    }
                    let ninth = broadcast(&keys[9]);
                    state = state.map(|s| $enc(s, ninth));
                    for (blocks, s) in group.as_chunks_mut::<$lanes>().0.iter_mut().zip(state) {
                        // SAFETY: an unaligned store of as many bytes as `lanes` blocks have.
                        unsafe { $storeu(blocks.as_mut_ptr().cast(), $enclast(s, last)) };
                    }
                }
            }

            /// Replaces each block by pi(pi(x) ^ tweak) ^ pi(x); the slices are equally long.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn tmmo(keys: &RoundKeys, blocks: &mut [Block], tweaks: &[Block]) {
                let (groups, rest) = blocks.as_chunks_mut::<GROUP>();
                let (tweak_groups, tweak_rest) = tweaks.as_chunks::<GROUP>();
                for (group, tweaks) in groups.iter_mut().zip(tweak_groups) {
                    let inner = rounds(keys, load(group));
                    store(group, xor(rounds(keys, xor(inner, load(tweaks))), inner));
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                unsafe {
                    $narrow::tmmo(keys, rest, tweak_rest);
                }
            }

            /// Replaces each block x by pi(x) ^ x.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn mmo(keys: &RoundKeys, blocks: &mut [Block]) {
                let (groups, rest) = blocks.as_chunks_mut::<GROUP>();
                for group in groups {
                    let plain = load(group);
                    store(group, xor(rounds(keys, plain), plain));
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                unsafe {
                    $narrow::mmo(keys, rest);
                }
            }

            /// For every w, and for every d of `multiples`, writes `cut` of pi(w ^ d) ^ w ^ d to
            /// `out`, which has as many entries. Calls `beside` once per w or per four inputs,
            /// whichever is less often.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn mmo_multiples<const K: usize, T>(
                keys: &RoundKeys,
                w: &[Block],
                multiples: &[Block; K],
                cut: impl Fn(Block) -> T + Copy,
                out: &mut [T],
                beside: &mut impl FnMut(),
            ) {
                // Whole groups of whole w.
                let unit = const { if GROUP > K { GROUP } else { K } };
                let whole = K == 1 || K >= $lanes;
                let (units, rest) = out.split_at_mut(if whole { out.len() / unit * unit } else { 0 });
                let done = units.len() / K;
                for (w, out) in w.chunks_exact(unit / K).zip(units.chunks_exact_mut(unit)) {
                    for _ in 0..unit / (if K > 4 { K } else { 4 }) {
                        beside();
                    }
                    for (g, out) in out.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
                        let inputs: State = std::array::from_fn(|i| {
                            let at = GROUP * g + $lanes * i;
                            if K == 1 {
                                // SAFETY: an unaligned load of as many bytes as the slice has.
                                return $xor(broadcast(&multiples[0]), unsafe { $loadu(w[at..][..$lanes].as_ptr().cast()) });
                            }
                            // SAFETY: an unaligned load of as many bytes as the slice has.
                            let multiples = unsafe { $loadu(multiples[at % K..][..$lanes].as_ptr().cast()) };
                            $xor(broadcast(&w[at / K]), multiples)
                        });
                        let mut pads = [0; GROUP];
                        store(&mut pads, xor(rounds(keys, inputs), inputs));
                        for (slot, pad) in out.iter_mut().zip(pads) {
                            *slot = cut(pad);
                        }
                    }
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                unsafe {
                    $narrow::mmo_multiples(keys, &w[done..], multiples, cut, rest, beside);
                }
            }

            /// Adds all registers of `state` to `sum`.
            #[target_feature(enable = $features)]
            #[inline]
            fn add(sum: $register, state: State) -> $register {
                state.into_iter().fold(sum, |sum, s| $xor(sum, s))
            }

            /// The sum of all lanes.
            #[target_feature(enable = $features)]
            #[inline]
            fn total(register: $register) -> Block {
                let mut blocks = [0; $lanes];
                // SAFETY: an unaligned store of as many bytes as `lanes` blocks have.
                unsafe { $storeu(blocks.as_mut_ptr().cast(), register) };
                blocks.iter().fold(0, |sum, block| sum ^ block)
            }

            /// One half-tree level, see
            /// [`Aes128::half_tree_level`](super::super::Aes128::half_tree_level); the slices are
            /// equally long.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn half_tree<const CUT: bool>(
                keys: &RoundKeys,
                lower: &mut [Block],
                upper: &mut [Block],
                level: &HalfTreeLevel,
            ) -> Block {
                let (lower_groups, lower_rest) = lower.as_chunks_mut::<GROUP>();
                let (upper_groups, upper_rest) = upper.as_chunks_mut::<GROUP>();
                let keep = broadcast(&level.keep);
                let [first_key, last_key] = shifted(keys, level.offset);
                let cut = |state: State| if CUT { state.map(|c| $and(c, keep)) } else { state };
                let mut sum = broadcast(&0);
                for (lower, upper) in lower_groups.iter_mut().zip(upper_groups) {
                    let left = fed(keys, sigma(load(lower)), first_key, last_key);
                    let parents = load(lower);
                    sum = add(sum, left);
                    store(lower, cut(left));
                    store(upper, cut(xor(left, parents)));
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                let rest = unsafe { $narrow::half_tree::<CUT>(keys, lower_rest, upper_rest, level) };
                rest ^ total(sum)
            }

            /// A last level, see [`Aes128::half_tree_last`](super::super::Aes128::half_tree_last);
            /// the slices are equally long.
            ///
            /// # Safety
            /// The CPU has the features that the module is compiled for.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn half_tree_last(
                keys: &RoundKeys,
                lower: &mut [Block],
                upper: &mut [Block],
                level: &HalfTreeLevel,
            ) -> [Block; 2] {
                let (lower_groups, lower_rest) = lower.as_chunks_mut::<GROUP>();
                let (upper_groups, upper_rest) = upper.as_chunks_mut::<GROUP>();
                let shifts = [0, 1].map(|bit| shifted(keys, level.offset ^ bit));
                let keep = broadcast(&level.keep);
                let mut sums = [broadcast(&0); 2];
                for (lower, upper) in lower_groups.iter_mut().zip(upper_groups) {
                    let turned = sigma(load(lower));
                    let child = fed(keys, turned, shifts[1][0], shifts[1][1]);
                    sums[1] = add(sums[1], child);
                    store(upper, child.map(|c| $and(c, keep)));
                    let child = fed(keys, turned, shifts[0][0], shifts[0][1]);
                    sums[0] = add(sums[0], child);
                    store(lower, child.map(|c| $and(c, keep)));
                }
                // SAFETY: the narrower kernel needs no more features (and `nothing` is safe).
                #[allow(unused_unsafe, reason = "the kernel for nothing is safe")]
                let rest = unsafe { $narrow::half_tree_last(keys, lower_rest, upper_rest, level) };
                [rest[0] ^ total(sums[0]), rest[1] ^ total(sums[1])]
            }
        }
    };
}
pub(super) use kernels;
