//! Residues of nine to sixteen whole bytes, least significant byte first, as vectors of 64-bit
//! halves.

/// Values that are moved together, so that their offsets are constants.
const TOGETHER: usize = 8;

/// Calls `$function` with the width as a constant.
macro_rules! by_width {
    ($width:expr, $function:ident $arguments:tt, $($case:literal)*) => {
        match $width {
            $($case => by_width!(@call $case $function $arguments),)*
            width => panic!("values of {width} bytes are not of 9 to 16"),
        }
    };
    (@call $width:literal $function:ident ($($argument:expr),*)) => { $function::<$width>($($argument),*) };
}

/// Writes the lowest `width` bytes of every value.
///
/// # Panics
/// If `width` is not in 9..=16, `low` and `high` differ in length, or `out` does not have `width`
/// bytes per value.
pub fn write_wide(low: &[u64], high: &[u64], width: usize, out: &mut [u8]) {
    assert!(low.len() == high.len() && out.len() == low.len() * width, "lengths of wide values");
    by_width!(width, write(low, high, out), 9 10 11 12 13 14 15 16);
}

fn write<const WIDTH: usize>(low: &[u64], high: &[u64], out: &mut [u8]) {
    // Two full stores instead of a copy of variable length: the next value overwrites the bytes
    // beyond `WIDTH`.
    let beyond = 16 - WIDTH;
    let mut at = 0;
    let mut values = low.chunks_exact(TOGETHER).zip(high.chunks_exact(TOGETHER));
    while at + TOGETHER * WIDTH + beyond <= out.len() {
        let Some((low, high)) = values.next() else { break };
        let window = &mut out[at..at + TOGETHER * WIDTH + beyond];
        for k in 0..TOGETHER {
            window[k * WIDTH..k * WIDTH + 8].copy_from_slice(&low[k].to_le_bytes());
            window[k * WIDTH + 8..k * WIDTH + 16].copy_from_slice(&high[k].to_le_bytes());
        }
        at += TOGETHER * WIDTH;
    }
    let done = at / WIDTH;
    for ((out, low), high) in out[at..].chunks_exact_mut(WIDTH).zip(&low[done..]).zip(&high[done..]) {
        out[..8].copy_from_slice(&low.to_le_bytes());
        out[8..].copy_from_slice(&high.to_le_bytes()[..WIDTH - 8]);
    }
}

/// Reads values of `width` bytes each.
///
/// # Panics
/// As [`write_wide`].
pub fn read_wide(bytes: &[u8], width: usize, low: &mut [u64], high: &mut [u64]) {
    assert!(low.len() == high.len() && bytes.len() == low.len() * width, "lengths of wide values");
    by_width!(width, read(bytes, low, high), 9 10 11 12 13 14 15 16);
}

fn read<const WIDTH: usize>(bytes: &[u8], low: &mut [u64], high: &mut [u64]) {
    let word = |bytes: &[u8], at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    for ((value, low), high) in bytes.chunks_exact(WIDTH).zip(low).zip(high) {
        // The last eight bytes are some of the lower half and then all of the upper one.
        (*low, *high) = (word(value, 0), word(value, WIDTH - 8) >> (8 * (16 - WIDTH)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reading_inverts_writing(values in prop::collection::vec((any::<u64>(), any::<u64>()), 0..70), width in 9usize..=16) {
            let (low, high): (Vec<u64>, Vec<u64>) = values.iter().copied().unzip();
            let mut bytes = vec![0xaa; values.len() * width];
            write_wide(&low, &high, width, &mut bytes);
            let expect: Vec<u8> = values.iter().flat_map(|v| (u128::from(v.0) | u128::from(v.1) << 64).to_le_bytes().into_iter().take(width)).collect();
            prop_assert_eq!(&bytes, &expect);
            let (mut read_low, mut read_high) = (vec![0; low.len()], vec![0; low.len()]);
            read_wide(&bytes, width, &mut read_low, &mut read_high);
            prop_assert_eq!(read_low, low);
            let mask = u64::MAX >> (8 * (16 - width));
            prop_assert_eq!(read_high, high.iter().map(|h| h & mask).collect::<Vec<_>>());
        }
    }
}
