//! Roots of unity in the order in which the transforms read them.

use std::f64::consts::PI;
use std::sync::OnceLock;

use super::f64x8::WIDTH;
use super::points::POINTS;

/// Complex points of one group, which does its last six levels in registers.
pub(super) const GROUP: usize = WIDTH * WIDTH;

/// A complex number.
#[derive(Clone, Copy)]
pub(super) struct Root {
    pub(super) re: f64,
    pub(super) im: f64,
}

/// Eight complex numbers.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct LaneRoot {
    pub(super) re: [f64; WIDTH],
    pub(super) im: [f64; WIDTH],
}

/// The roots z by which the tree of moduli splits, from X^1024 - i downwards: X^m - z^2 = (X^(m/2)
/// - z)(X^(m/2) + z).
pub(super) struct Twiddles {
    /// The first 128, by node: 1 is the root of the tree, 2h and 2h + 1 are the children of h.
    /// These levels are above those of the lanes.
    pub(super) nodes: Vec<Root>,
    /// For each group the seven vectors of the last three levels (1 + 2 + 4); lane r belongs to the
    /// block of vector r.
    pub(super) lanes: Vec<[LaneRoot; 7]>,
}

/// The twiddles, computed once per process.
pub(super) fn twiddles() -> &'static Twiddles {
    static TWIDDLES: OnceLock<Twiddles> = OnceLock::new();
    TWIDDLES.get_or_init(build)
}

/// A full turn in units of the smallest angle.
const TURN: usize = 8 * POINTS;

/// exp(2 pi i angle / TURN), each part correct to about one unit in the last place.
fn root(angle: usize) -> Root {
    // Sine and cosine are taken in the first eighth of a turn only, where rounding the argument
    // does no harm.
    let (eighth, rest) = (angle / (TURN / 8), angle % (TURN / 8));
    let within = if eighth % 2 == 0 { rest } else { TURN / 8 - rest };
    let (sin, cos) = (2.0 * PI * within as f64 / TURN as f64).sin_cos();
    let (re, im) = if matches!(eighth % 4, 1 | 2) { (sin, cos) } else { (cos, sin) };
    Root { re: if matches!(eighth, 2..=5) { -re } else { re }, im: if eighth >= 4 { -im } else { im } }
}

fn build() -> Twiddles {
    // The angle of z^2 of every node, from i = a quarter of a turn.
    let mut angles = vec![0; POINTS];
    angles[1] = TURN / 4;
    for node in 1..POINTS / 2 {
        angles[2 * node] = angles[node] / 2;
        angles[2 * node + 1] = angles[node] / 2 + TURN / 2;
    }
    let at = |node: usize| root(angles[node] / 2);
    let blocks = POINTS / WIDTH;
    let nodes = (0..blocks).map(at).collect();
    let vector = |group: usize, parts: usize, part: usize| {
        let lane = |r: usize| at((blocks + group * WIDTH + r) * parts + part);
        LaneRoot { re: std::array::from_fn(|r| lane(r).re), im: std::array::from_fn(|r| lane(r).im) }
    };
    let lanes = (0..POINTS / GROUP)
        .map(|group| [(1, 0), (2, 0), (2, 1), (4, 0), (4, 1), (4, 2), (4, 3)].map(|(parts, part)| vector(group, parts, part)))
        .collect();
    Twiddles { nodes, lanes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_on_the_circle_and_multiply() {
        for angle in 0..TURN {
            let (z, w) = (root(angle), root((angle + 777) % TURN));
            assert!((z.re.hypot(z.im) - 1.0).abs() < 4e-16);
            let step = root(777);
            let product = (z.re * step.re - z.im * step.im, z.re * step.im + z.im * step.re);
            assert!((product.0 - w.re).abs() < 4e-16 && (product.1 - w.im).abs() < 4e-16, "angle {angle}");
        }
    }
}
