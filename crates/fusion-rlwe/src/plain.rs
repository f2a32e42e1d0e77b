//! The plaintext functionality: a sum of convolutions over the integers. It defines what the
//! encrypted layer computes, and the tests compare with it.

use crate::ConvGeometry;

/// Sum over terms of the convolution of `inputs[term]` (`[channel][sample][row][column]`) with
/// `weights[term]` (ordered as [`ConvGeometry`] says), as `[out channel][sample][row][column]`.
///
/// # Panics
/// If a geometry is impossible, terms disagree on their output or an array has another size than
/// its geometry says.
#[must_use]
pub fn convolve(terms: &[ConvGeometry], inputs: &[Vec<i64>], weights: &[Vec<i64>], samples: usize) -> Vec<i64> {
    let output = terms[0].output().expect("possible geometry");
    let mut out = vec![0i64; output.len() * samples];
    for ((term, input), weights) in terms.iter().zip(inputs).zip(weights) {
        assert_eq!(term.output(), Some(output), "one output shape");
        assert_eq!((input.len(), weights.len()), (term.input.len() * samples, term.weights()), "array sizes");
        let per_group = term.input.channels / term.groups;
        let outs_per_group = output.channels / term.groups;
        let (height, width) = (term.input.height as isize, term.input.width as isize);
        for (index, value) in out.iter_mut().enumerate() {
            let (x, rest) = (index % output.width, index / output.width);
            let (y, rest) = (rest % output.height, rest / output.height);
            let (sample, j) = (rest % samples, rest / samples);
            for (w, &weight) in
                weights[j * per_group * term.kernel.0 * term.kernel.1..][..per_group * term.kernel.0 * term.kernel.1].iter().enumerate()
            {
                let (kx, w) = (w % term.kernel.1, w / term.kernel.1);
                let (ky, local) = (w % term.kernel.0, w / term.kernel.0);
                let row = (y * term.stride.0 + ky * term.dilation.0) as isize - term.padding.top as isize;
                let column = (x * term.stride.1 + kx * term.dilation.1) as isize - term.padding.left as isize;
                if (0..height).contains(&row) && (0..width).contains(&column) {
                    let channel = j / outs_per_group * per_group + local;
                    *value +=
                        weight * input[((channel * samples + sample) as isize * height + row) as usize * width as usize + column as usize];
                }
            }
        }
    }
    out
}
