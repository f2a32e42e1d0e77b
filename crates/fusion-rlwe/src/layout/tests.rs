use fusion_ring::secret::Wiped;
use proptest::prelude::*;

use super::*;
use crate::Padding;

/// Evaluates the convolution through the layout in plain integers.
fn through_layout(layout: &Layout, inputs: &[Vec<i64>], weights: &[Vec<i64>], samples: usize) -> Vec<i64> {
    let area = samples * layout.output().area();
    let mut out = vec![i64::MIN; layout.output().channels * area];
    for block in layout.cut(samples) {
        for j in 0..layout.output().channels {
            let mut sums = vec![0i64; block.outputs.len()];
            for (phase, cells) in layout.phases.iter().zip(&block.cells) {
                let term = layout.terms()[phase.term];
                let per_group = term.input.channels / term.groups;
                let group = j / (term.out_channels / term.groups);
                for local in 0..per_group {
                    let channel = group * per_group + local;
                    let size = samples * term.input.area();
                    let data: Vec<u32> = inputs[phase.term][channel * size..][..size].iter().map(|&v| v as u32).collect();
                    let mut row = vec![None; DEGREE];
                    let coefficients = cells.runs.iter().cloned().flatten();
                    let mut gathered = Wiped::default();
                    cells.gather(&data, 0, &mut gathered);
                    assert_eq!(gathered.len(), cells.len());
                    for (c, &value) in coefficients.zip(gathered.iter()) {
                        row[c] = Some(i64::from(value as i32));
                    }
                    for (sum, &p) in sums.iter_mut().zip(&block.outputs) {
                        for &(kernel, offset) in &phase.taps {
                            let w = weights[phase.term][(j * per_group + local) * term.kernel.0 * term.kernel.1 + kernel];
                            *sum += w * row[usize::from(p) - layout.reach() + offset].expect("read cells are encrypted");
                        }
                    }
                }
            }
            out[j * area + block.first_output..][..sums.len()].copy_from_slice(&sums);
        }
    }
    out
}

fn case(terms: &[ConvGeometry], samples: usize, seed: u64) {
    let Ok(layout) = Layout::new(terms) else { panic!("layout of {terms:?}") };
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as i64 % 100
    };
    let inputs: Vec<Vec<i64>> = terms.iter().map(|t| (0..t.input.len() * samples).map(|_| next()).collect()).collect();
    let weights: Vec<Vec<i64>> = terms.iter().map(|t| (0..t.weights()).map(|_| next() - 50).collect()).collect();
    let expect = crate::plain::convolve(terms, &inputs, &weights, samples);
    assert_eq!(through_layout(&layout, &inputs, &weights, samples), expect, "{terms:?} x {samples}");
}

prop_compose! {
    fn geometry()(kernel in (1usize..8, 1usize..8), stride in (1usize..4, 1usize..4), dilation in (1usize..3, 1usize..3),
        pads in (0usize..4, 0usize..4, 0usize..4, 0usize..4), extra in (0usize..20, 0usize..20), channels in 1usize..4, out in 1usize..4, groups in 1usize..3)
        -> ConvGeometry {
        let reach = |k: usize, d: usize| (k - 1) * d + 1;
        ConvGeometry {
            input: Shape::new(channels * groups, reach(kernel.0, dilation.0) + extra.0, reach(kernel.1, dilation.1) + extra.1),
            out_channels: out * groups, kernel, stride, dilation,
            padding: Padding { top: pads.0, left: pads.1, bottom: pads.2, right: pads.3 }, groups,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn layout_computes_the_convolution(geometry in geometry(), samples in 1usize..5, seed: u64) {
        case(&[geometry], samples, seed);
    }
}

#[test]
fn blocks_overlap_by_the_reach() {
    // 60 x 60 cells and more than one block.
    let term = ConvGeometry {
        input: Shape::new(2, 58, 59),
        out_channels: 3,
        kernel: (3, 3),
        padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
        ..ConvGeometry::dense(1, 1)
    };
    assert!(Layout::new(&[term]).unwrap().blocks(3) > 2);
    case(&[term], 3, 7);
}

#[test]
fn terms_of_different_strides_share_a_stream() {
    let main = ConvGeometry { input: Shape::new(3, 14, 14), ..ConvGeometry::dense(3, 4) };
    let shortcut = ConvGeometry { input: Shape::new(2, 28, 28), stride: (2, 2), ..main };
    case(&[main, shortcut], 3, 9);
}

#[test]
fn padding_is_shared_between_lines_and_samples() {
    let term = ConvGeometry {
        input: Shape::new(1, 56, 56),
        kernel: (3, 3),
        padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
        ..ConvGeometry::dense(1, 1)
    };
    let layout = Layout::new(&[term]).unwrap();
    assert_eq!((layout.line, layout.lines, layout.reach()), (57, 57, 2 * 57 + 2));
    let strided = ConvGeometry { input: Shape::new(1, 28, 28), stride: (2, 2), ..ConvGeometry::dense(1, 1) };
    let layout = Layout::new(&[strided]).unwrap();
    assert_eq!((layout.line, layout.lines, layout.rows()), (14, 14, 1));
}

#[test]
fn hostile_geometry_is_refused() {
    let good = ConvGeometry { input: Shape::new(1, 8, 8), kernel: (3, 3), ..ConvGeometry::dense(1, 1) };
    for bad in [
        ConvGeometry { input: Shape::new(1 << 40, 1 << 20, 8), ..good },
        ConvGeometry { kernel: (0, 3), ..good },
        ConvGeometry { kernel: (9, 9), ..good },
        ConvGeometry { groups: 2, ..good },
        ConvGeometry { input: Shape::new(1, 4000, 4000), ..good },
        ConvGeometry { stride: (usize::MAX, 1), ..good },
    ] {
        assert!(matches!(Layout::new(&[bad]), Err(RlweError::Layout(_))), "{bad:?}");
    }
}
