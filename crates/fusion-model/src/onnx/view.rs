//! How a tensor of the file lies over the value of a graph node. Files move axes about (channels
//! last, reshapes that split channels into groups); the graph holds every value as
//! `[channel][row][column]`, and most moves cost nothing but another view.
//!
//! The batch axis is left out everywhere here.

use fusion_rlwe::Shape;

/// An axis of a node's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeAxis {
    Channel,
    Row,
    Column,
}

/// A run of places along one axis of the node: `size` of them, `step` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    axis: NodeAxis,
    size: usize,
    step: usize,
}

/// The axes of a tensor in the file, each made of runs along axes of the node, the outermost first.
/// Axes of size 1 have none. Every place of the node belongs to one place of the tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    axes: Vec<Vec<Run>>,
}

const CHANNELS_FIRST: [NodeAxis; 3] = [NodeAxis::Channel, NodeAxis::Row, NodeAxis::Column];
const CHANNELS_LAST: [NodeAxis; 3] = [NodeAxis::Row, NodeAxis::Column, NodeAxis::Channel];

fn whole(axis: NodeAxis, size: usize) -> Vec<Run> {
    if size == 1 { Vec::new() } else { vec![Run { axis, size, step: 1 }] }
}

fn size(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.size).product()
}

impl View {
    /// The node as it is: channels, rows, columns.
    pub(super) fn image(shape: Shape) -> Self {
        Self::of(shape, &CHANNELS_FIRST)
    }

    /// Rows, columns, channels.
    pub(super) fn channels_last(shape: Shape) -> Self {
        Self::of(shape, &CHANNELS_LAST)
    }

    /// A node that is a vector.
    pub(super) fn flat(features: usize) -> Self {
        Self::of(Shape::flat(features), &[NodeAxis::Channel])
    }

    fn of(shape: Shape, axes: &[NodeAxis]) -> Self {
        let one = |&axis: &NodeAxis| match axis {
            NodeAxis::Channel => whole(axis, shape.channels),
            NodeAxis::Row => whole(axis, shape.height),
            NodeAxis::Column => whole(axis, shape.width),
        };
        Self { axes: axes.iter().map(one).collect() }
    }

    /// Sizes of the axes.
    pub(super) fn dims(&self) -> Vec<usize> {
        self.axes.iter().map(|runs| size(runs)).collect()
    }

    pub(super) fn rank(&self) -> usize {
        self.axes.len()
    }

    /// The view whose axis `i` is axis `order[i]` of this one.
    pub(super) fn transposed(&self, order: &[usize]) -> Self {
        Self { axes: order.iter().map(|&axis| self.axes[axis].clone()).collect() }
    }

    /// Without the axes `gone`, which have size 1.
    pub(super) fn squeezed(&self, gone: &[usize]) -> Self {
        let kept = self.axes.iter().enumerate().filter(|(axis, _)| !gone.contains(axis));
        Self { axes: kept.map(|(_, runs)| runs.clone()).collect() }
    }

    /// With new axes of size 1, which stand at `new` (in ascending order) of the result.
    pub(super) fn unsqueezed(&self, new: &[usize]) -> Option<Self> {
        let mut axes = self.axes.clone();
        for &axis in new {
            (axis <= axes.len()).then(|| axes.insert(axis, Vec::new()))?;
        }
        Some(Self { axes })
    }

    /// The same places in the same order as a tensor of shape `dims`; `None` where that would split
    /// an axis unevenly.
    pub(super) fn reshaped(&self, dims: &[usize]) -> Option<Self> {
        let mut rest: Vec<Run> = self.axes.iter().flatten().rev().copied().collect();
        let mut axes = Vec::with_capacity(dims.len());
        for &dim in dims {
            let mut needed = dim;
            let mut runs: Vec<Run> = Vec::new();
            while needed > 1 {
                let run = rest.pop()?;
                let taken = if needed.is_multiple_of(run.size) {
                    run
                } else if run.size.is_multiple_of(needed) {
                    let inner = run.size / needed;
                    rest.push(Run { size: inner, ..run });
                    Run { size: needed, step: run.step * inner, ..run }
                } else {
                    return None;
                };
                needed /= taken.size;
                match runs.last_mut() {
                    // Two runs that follow each other are one.
                    Some(last) if last.axis == taken.axis && last.step == taken.size * taken.step => {
                        *last = Run { size: last.size * taken.size, ..taken };
                    }
                    _ => runs.push(taken),
                }
            }
            (dim > 0).then(|| axes.push(runs))?;
        }
        rest.is_empty().then_some(Self { axes })
    }

    /// For every place of the tensor, in order, the node's place.
    pub(super) fn order(&self, shape: Shape) -> Vec<usize> {
        let step = |run: &Run| {
            run.step
                * match run.axis {
                    NodeAxis::Channel => shape.area(),
                    NodeAxis::Row => shape.width,
                    NodeAxis::Column => 1,
                }
        };
        let mut places = vec![0];
        for run in self.axes.iter().flatten() {
            places = places.iter().flat_map(|&place| (0..run.size).map(move |i| place + i * step(run))).collect();
        }
        places
    }

    /// Whether axis `axis` is the whole of an axis of the node, in order.
    pub(super) fn is_whole(&self, axis: usize, of: NodeAxis, size: usize) -> bool {
        self.axes[axis] == whole(of, size)
    }

    /// If axis `axis` has all channels of the node, and nothing else: their order.
    pub(super) fn channel_order(&self, axis: usize, channels: usize) -> Option<Vec<usize>> {
        let runs = &self.axes[axis];
        if size(runs) != channels || runs.iter().any(|run| run.axis != NodeAxis::Channel) {
            return None;
        }
        let mut order = vec![0];
        for run in runs {
            order = order.iter().flat_map(|&channel| (0..run.size).map(move |i| channel + i * run.step)).collect();
        }
        Some(order)
    }

    /// The view with the channels of the node in order along `axis`.
    pub(super) fn with_channels(&self, axis: usize, channels: usize) -> Self {
        let mut axes = self.axes.clone();
        axes[axis] = whole(NodeAxis::Channel, channels);
        Self { axes }
    }

    /// The view of a node that has `size` places along `axis` in place of the rows, or columns,
    /// that make it up.
    pub(super) fn resized(&self, axis: usize, size: usize) -> Self {
        let mut axes = self.axes.clone();
        if let Some(run) = axes[axis].first().copied() {
            axes[axis] = whole(run.axis, size);
        }
        Self { axes }
    }

    /// The axis of the node that `axis` is, if it is one: its order of channels may be another.
    pub(super) fn node_axis(&self, axis: usize, shape: Shape) -> Option<NodeAxis> {
        let by_place = |order: [NodeAxis; 3]| (self.rank() == 3 && Self::of(shape, &order) == *self).then(|| order[axis]);
        let of_runs = match self.axes[axis].as_slice() {
            // An axis of size 1 is known by its place alone.
            [] => return by_place(CHANNELS_FIRST).or_else(|| by_place(CHANNELS_LAST)),
            [run] if self.is_whole(axis, NodeAxis::Row, shape.height) || self.is_whole(axis, NodeAxis::Column, shape.width) => {
                Some(run.axis)
            }
            _ => None,
        };
        of_runs.or_else(|| self.channel_order(axis, shape.channels).map(|_| NodeAxis::Channel))
    }

    /// The view of a node that became `to` where it was `from`: the same axes, of other sizes.
    pub(super) fn of_shape(&self, from: Shape, to: Shape) -> Self {
        let resized = |(axis, runs): (usize, &Vec<Run>)| match self.node_axis(axis, from) {
            Some(NodeAxis::Row) => whole(NodeAxis::Row, to.height),
            Some(NodeAxis::Column) => whole(NodeAxis::Column, to.width),
            _ => runs.clone(),
        };
        Self { axes: self.axes.iter().enumerate().map(resized).collect() }
    }

    /// The view without rows and columns, every axis kept: of one number per channel.
    pub(super) fn without_positions(&self) -> Self {
        let channels = |runs: &Vec<Run>| runs.iter().filter(|run| run.axis == NodeAxis::Channel).copied().collect();
        Self { axes: self.axes.iter().map(channels).collect() }
    }

    /// Which axes, other than those of size 1, are made of rows and columns alone, and which have
    /// nothing of them.
    pub(super) fn is_spatial(&self, axis: usize) -> bool {
        !self.axes[axis].is_empty() && self.axes[axis].iter().all(|run| run.axis != NodeAxis::Channel)
    }

    /// Whether the axis is made of channels, or has size 1.
    pub(super) fn is_channels(&self, axis: usize) -> bool {
        self.axes[axis].iter().all(|run| run.axis == NodeAxis::Channel)
    }

    /// For every channel, the place of its number in a constant of shape `dims` that is spread over
    /// the tensor (aligned at the last axis, the batch included); `None` if the constant differs
    /// between rows or columns or does not fit.
    pub(super) fn per_channel(&self, dims: &[usize], channels: usize) -> Option<Vec<usize>> {
        let mut places = vec![0; channels];
        let mut stride = 1;
        for (back, &dim) in dims.iter().rev().enumerate() {
            if dim == 1 {
                continue;
            }
            let axis = self.axes.len().checked_sub(back + 1)?;
            let runs = &self.axes[axis];
            if size(runs) != dim || runs.iter().any(|run| run.axis != NodeAxis::Channel) {
                return None;
            }
            for (channel, place) in places.iter_mut().enumerate() {
                let along = runs.iter().fold(0, |at, run| at * run.size + channel / run.step % run.size);
                *place += along * stride;
            }
            stride *= dim;
        }
        Some(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new(6, 2, 3);

    /// The places of a tensor after moves, by moving an array of places.
    fn moved(view: &View) -> Vec<usize> {
        view.order(SHAPE)
    }

    #[test]
    fn moves_are_those_of_arrays() {
        let image = View::image(SHAPE);
        assert_eq!(moved(&image), (0..36).collect::<Vec<_>>());
        let last = image.transposed(&[1, 2, 0]);
        assert_eq!(last, View::channels_last(SHAPE));
        let expected: Vec<usize> = (0..6).flat_map(|p| (0..6).map(move |c| c * 6 + p)).collect();
        assert_eq!(moved(&last), expected);
        assert_eq!(moved(&last.reshaped(&[36]).unwrap()), expected);
        assert_eq!(last.reshaped(&[4, 9]), None);
        assert_eq!(last.transposed(&[2, 0, 1]), image);
        // A shuffle of three groups of two channels.
        let groups = image.reshaped(&[3, 2, 2, 3]).unwrap();
        assert_eq!(groups.dims(), [3, 2, 2, 3]);
        let shuffled = groups.transposed(&[1, 0, 2, 3]).reshaped(&[6, 2, 3]).unwrap();
        assert_eq!(shuffled.channel_order(0, 6), Some(vec![0, 2, 4, 1, 3, 5]));
        assert_eq!(groups.reshaped(&[6, 2, 3]), Some(image.clone()), "split and joined again");
        assert_eq!(image.reshaped(&[6, 6]).unwrap().channel_order(1, 6), None);
    }

    #[test]
    fn axes_of_one_place_are_free() {
        let pooled = View::image(Shape::flat(6));
        assert_eq!(pooled.dims(), [6, 1, 1]);
        assert_eq!(pooled.squeezed(&[1, 2]), View::flat(6));
        assert_eq!(View::flat(6).unsqueezed(&[1, 2]), Some(pooled.clone()));
        assert_eq!(View::flat(6).unsqueezed(&[3]), None);
        assert_eq!(pooled.transposed(&[1, 2, 0]).reshaped(&[6]), Some(View::flat(6)));
        assert_eq!(View::image(SHAPE).without_positions(), pooled);
    }

    #[test]
    fn constants_are_spread_along_the_axis_of_the_channels() {
        let image = View::image(SHAPE);
        let in_order: Vec<usize> = (0..6).collect();
        assert_eq!(image.per_channel(&[6, 1, 1], 6), Some(in_order.clone()));
        assert_eq!(image.per_channel(&[1, 6, 1, 1], 6), Some(in_order.clone()));
        assert_eq!(image.per_channel(&[], 6), Some(vec![0; 6]));
        assert_eq!(image.per_channel(&[3], 6), None, "columns");
        assert_eq!(image.per_channel(&[5, 1, 1], 6), None);
        assert_eq!(image.per_channel(&[2, 6, 1, 1], 6), None, "samples");
        let last = View::channels_last(SHAPE);
        assert_eq!(last.per_channel(&[6], 6), Some(in_order));
        let groups = image.reshaped(&[3, 2, 2, 3]).unwrap();
        assert_eq!(groups.per_channel(&[3, 1, 1, 1], 6), Some(vec![0, 0, 1, 1, 2, 2]));
        assert_eq!(groups.per_channel(&[2, 1, 1], 6), Some(vec![0, 1, 0, 1, 0, 1]));
    }
}
