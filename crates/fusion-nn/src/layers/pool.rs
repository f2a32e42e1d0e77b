//! Maximum pooling.
//!
//! # Functionality
//! From additive shares modulo 2^h of planes of numbers (|difference| < 2^(h-1)): additive shares
//! modulo 2^h of the maximum of each pooling window. Positions outside a plane are left out.
//!
//! # Roles
//! Those of `maximum`.
//!
//! # Protocol
//! A public schedule of pairwise maxima (`maximum`), found once per geometry: along rows and then
//! columns, or columns and then rows, or over whole windows at once, whichever takes the fewest
//! comparisons. A maximum that several windows need is computed once.
//! A 3x3 window with stride 2 takes 6 comparisons instead of 8.
//!
//! # Cost
//! [`PoolSchedule::comparisons`] per plane, [`PoolSchedule::level_sizes`] one after the other.
//!
//! # Security
//! As in `compare`; the schedule depends on the geometry alone.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use fusion_ring::secret::Wiped;

use super::error::ProtocolError;
use super::maximum::maximum;
use super::party::{Party, Phase};
use super::shares::AdditiveShares;
use fusion_model::program::PoolGeometry;

/// One value of the next level of a schedule, made from values of the level before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Keep(usize),
    Max(usize, usize),
}

/// The values of the level before whose maximum is wanted.
type Group = Vec<usize>;

/// Which pairwise maxima a pooling takes, level by level, for one plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSchedule {
    inputs: usize,
    height: usize,
    width: usize,
    levels: Vec<Vec<Node>>,
}

impl PoolSchedule {
    /// The cheapest schedule for planes of `height` x `width`.
    ///
    /// # Errors
    /// Misuse if the geometry is impossible: a zero, a kernel larger than the padded plane, or a
    /// window that sees no input at all.
    pub fn new(height: usize, width: usize, pool: &PoolGeometry) -> Result<Self, ProtocolError> {
        let p = pool.padding;
        let rows = windows(height, p.top, p.bottom, pool.kernel.0, pool.stride.0)?;
        let columns = windows(width, p.left, p.right, pool.kernel.1, pool.stride.1)?;
        let candidates = [rows_last(&rows, &columns, width), columns_last(&rows, &columns, width), at_once(&rows, &columns, width)];
        let schedules = candidates.map(|passes| Self {
            inputs: height * width,
            height: rows.len(),
            width: columns.len(),
            levels: passes.into_iter().flat_map(tournament).collect(),
        });
        let cheapest = schedules.into_iter().min_by_key(|schedule| (schedule.comparisons(), schedule.level_sizes().len()));
        cheapest.ok_or(ProtocolError::Misuse("pooling without a schedule"))
    }

    /// Positions of an input plane.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Rows and columns of an output plane.
    #[must_use]
    pub fn output(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Comparisons per plane.
    #[must_use]
    pub fn comparisons(&self) -> usize {
        self.level_sizes().iter().sum()
    }

    /// Comparisons per plane of each level that has any; a level takes the flights of one
    /// [`maximum`].
    #[must_use]
    pub fn level_sizes(&self) -> Vec<usize> {
        let count = |level: &Vec<Node>| level.iter().filter(|node| matches!(node, Node::Max(..))).count();
        self.levels.iter().map(count).filter(|&n| n > 0).collect()
    }
}

/// Input positions of every window of one axis.
fn windows(size: usize, before: usize, after: usize, kernel: usize, stride: usize) -> Result<Vec<Range<usize>>, ProtocolError> {
    const IMPOSSIBLE: ProtocolError = ProtocolError::Misuse("impossible pooling geometry");
    if size == 0 || kernel == 0 || stride == 0 {
        return Err(IMPOSSIBLE);
    }
    let padded = size.checked_add(before).and_then(|n| n.checked_add(after)).ok_or(IMPOSSIBLE)?;
    let last = padded.checked_sub(kernel).ok_or(IMPOSSIBLE)?;
    let window = |start: usize| {
        let (first, end) = (start.saturating_sub(before), (start + kernel).saturating_sub(before).min(size));
        if first < end { Ok(first..end) } else { Err(IMPOSSIBLE) }
    };
    (0..=last).step_by(stride).map(window).collect()
}

/// Positions that any window reads, in order.
fn positions(windows: &[Range<usize>]) -> Vec<usize> {
    windows.iter().cloned().flatten().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Along every row that is read, then down the columns of the result.
fn rows_last(rows: &[Range<usize>], columns: &[Range<usize>], width: usize) -> Vec<Vec<Group>> {
    let read = positions(rows);
    let index: HashMap<usize, usize> = read.iter().enumerate().map(|(i, &y)| (y, i)).collect();
    let along = read.iter().flat_map(|&y| columns.iter().map(move |c| c.clone().map(|x| y * width + x).collect()));
    let n = columns.len();
    let index = &index;
    let down = rows.iter().flat_map(|r| (0..n).map(move |c| r.clone().map(|y| index[&y] * n + c).collect()));
    vec![along.collect(), down.collect()]
}

/// Down every column that is read, then along the rows of the result.
fn columns_last(rows: &[Range<usize>], columns: &[Range<usize>], width: usize) -> Vec<Vec<Group>> {
    let read = positions(columns);
    let index: HashMap<usize, usize> = read.iter().enumerate().map(|(i, &x)| (x, i)).collect();
    let (index, read) = (&index, &read);
    let down = rows.iter().flat_map(|r| read.iter().map(move |x| r.clone().map(|y| y * width + x).collect()));
    let along = (0..rows.len()).flat_map(|r| columns.iter().map(move |c| c.clone().map(|x| r * read.len() + index[&x]).collect()));
    vec![down.collect(), along.collect()]
}

/// Every window by itself.
fn at_once(rows: &[Range<usize>], columns: &[Range<usize>], width: usize) -> Vec<Vec<Group>> {
    let window = |r: &Range<usize>, c: &Range<usize>| r.clone().flat_map(|y| c.clone().map(move |x| y * width + x)).collect();
    vec![rows.iter().flat_map(|r| columns.iter().map(|c| window(r, c)).collect::<Vec<_>>()).collect()]
}

/// The levels that leave one value per group, in the order of the groups. A pair that several
/// groups share is compared once.
fn tournament(mut groups: Vec<Group>) -> Vec<Vec<Node>> {
    let mut levels = Vec::new();
    while groups.iter().any(|group| group.len() > 1) {
        let mut nodes = Vec::new();
        let mut known = HashMap::new();
        for group in &mut groups {
            let next = group.chunks(2).map(|pair| {
                let node = if let [a, b] = *pair { Node::Max(a, b) } else { Node::Keep(pair[0]) };
                *known.entry(node).or_insert_with(|| {
                    nodes.push(node);
                    nodes.len() - 1
                })
            });
            *group = next.collect();
        }
        levels.push(nodes);
    }
    levels.push(groups.into_iter().map(|group| Node::Keep(group[0])).collect());
    levels
}

/// Shares of the pooled planes, from shares modulo 2^h of whole planes one after the other,
/// 2 <= h <= 32.
///
/// # Errors
/// [`ProtocolError`]; the lane is dead afterwards. Misuse if the planes are not whole.
pub fn max_pool(party: &mut Party<'_>, x: &AdditiveShares, schedule: &PoolSchedule) -> Result<AdditiveShares, ProtocolError> {
    party.layer(Phase::Pooling, |party| {
        if !x.len().is_multiple_of(schedule.inputs) {
            return Err(ProtocolError::Misuse("max_pool: whole planes"));
        }
        let ring = x.ring();
        let planes = x.len() / schedule.inputs;
        let mut width = schedule.inputs;
        let mut values = x.all().reduced_to(ring);
        for level in &schedule.levels {
            let pairs: Vec<(usize, usize)> =
                level.iter().filter_map(|node| if let Node::Max(i, j) = *node { Some((i, j)) } else { None }).collect();
            let all = |pick: fn(&(usize, usize)) -> usize| {
                let (pairs, planes) = (&pairs, values.words().chunks_exact(width));
                let len = planes.len() * pairs.len();
                let picked = planes.flat_map(move |plane| pairs.iter().map(move |pair| plane[pick(pair)]));
                AdditiveShares::from_reduced(Wiped::filled(len, picked), ring)
            };
            let larger = maximum(party, &all(|pair| pair.0), &all(|pair| pair.1))?;
            let mut larger = larger.words().iter();
            let mut next = AdditiveShares::zeros(planes * level.len(), ring);
            for (plane, next) in values.words().chunks_exact(width).zip(next.words_mut().chunks_exact_mut(level.len())) {
                for (node, next) in level.iter().zip(next) {
                    *next = match *node {
                        Node::Keep(i) => plane[i],
                        Node::Max(..) => larger.next().copied().unwrap_or_default(),
                    };
                }
            }
            values = next;
            width = level.len();
        }
        Ok(values)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_rlwe::Padding;
    use proptest::prelude::*;

    /// Runs a schedule in the clear.
    fn evaluate(schedule: &PoolSchedule, plane: &[i32]) -> Vec<i32> {
        let mut values = plane.to_vec();
        for level in &schedule.levels {
            let value = |node: &Node| match *node {
                Node::Keep(i) => values[i],
                Node::Max(i, j) => values[i].max(values[j]),
            };
            values = level.iter().map(value).collect();
        }
        values
    }

    proptest! {
        #[test]
        fn a_schedule_is_the_pooling(
            (h, w) in (1usize..9, 1usize..9), (kh, kw) in (1usize..5, 1usize..5), (sh, sw) in (1usize..4, 1usize..4),
            pads in prop::array::uniform4(0usize..3), values in prop::collection::vec(any::<i32>(), 64),
        ) {
            let padding = Padding { top: pads[0], left: pads[1], bottom: pads[2], right: pads[3] };
            let pool = PoolGeometry { kernel: (kh, kw), stride: (sh, sw), padding };
            let plane = &values[..h * w];
            let Ok(schedule) = PoolSchedule::new(h, w, &pool) else { return Ok(()) };
            let (oh, ow) = schedule.output();
            prop_assert_eq!(oh, (h + pads[0] + pads[2] - kh) / sh + 1);
            prop_assert_eq!(ow, (w + pads[1] + pads[3] - kw) / sw + 1);
            let got = evaluate(&schedule, plane);
            for oy in 0..oh {
                for ox in 0..ow {
                    let inside = (0..kh * kw).filter_map(|k| {
                        let y = (oy * sh + k / kw).checked_sub(pads[0]).filter(|&y| y < h)?;
                        let x = (ox * sw + k % kw).checked_sub(pads[1]).filter(|&x| x < w)?;
                        Some(plane[y * w + x])
                    });
                    prop_assert_eq!(Some(got[oy * ow + ox]), inside.max());
                }
            }
        }
    }

    #[test]
    fn resnet_pooling_takes_six_comparisons_per_output() {
        let padding = Padding { top: 1, left: 1, bottom: 1, right: 1 };
        let pool = PoolGeometry { kernel: (3, 3), stride: (2, 2), padding };
        let schedule = PoolSchedule::new(112, 112, &pool).unwrap();
        assert_eq!(schedule.output(), (56, 56));
        assert!(schedule.comparisons() <= 6 * 56 * 56);
        let plain = PoolGeometry { kernel: (2, 2), stride: (2, 2), padding: Padding::default() };
        assert_eq!(PoolSchedule::new(28, 28, &plain).unwrap().comparisons(), 3 * 14 * 14);
    }

    #[test]
    fn impossible_geometries_are_refused() {
        let pool = |kernel, stride, top| PoolGeometry { kernel, stride, padding: Padding { top, ..Padding::default() } };
        for bad in [pool((0, 1), (1, 1), 0), pool((5, 1), (1, 1), 0), pool((1, 1), (1, 0), 0), pool((2, 2), (1, 1), 2)] {
            assert_eq!(PoolSchedule::new(4, 4, &bad), Err(ProtocolError::Misuse("impossible pooling geometry")));
        }
    }
}
