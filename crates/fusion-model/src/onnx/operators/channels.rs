//! Operators that take some channels, or every so many rows and columns, of a value.

use fusion_rlwe::Padding;

use super::operator::{CHANNELS_FIRST, Operator};
use crate::graph::{FloatOp, NodeId};
use crate::onnx::error::ImportError;
use crate::onnx::importer::Value;
use crate::onnx::view::{NodeAxis, View};
use crate::program::PoolGeometry;

impl Operator<'_, '_> {
    /// Several values, of neighbouring channels each.
    pub(super) fn split(mut self) -> Result<Vec<Value>, ImportError> {
        let (node, view) = self.activation(0)?;
        let axis = self.axis(self.node.int("axis", 0), view.rank())?;
        let (node, view) = self.with_channels_in_order(node, view, axis)?;
        let (channels, parts) = (self.importer.shape(node).channels, self.node.outputs().len());
        let sizes = match self.listed(1, "split")? {
            Some(sizes) => sizes.into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect(),
            None => {
                let each = channels.div_ceil(parts.max(1));
                (0..parts).map(|part| each.min(channels - (part * each).min(channels))).collect::<Vec<_>>()
            }
        };
        if sizes.len() != parts || sizes.contains(&0) || sizes.iter().try_fold(0usize, |a, &b| a.checked_add(b)) != Some(channels) {
            return Err(self.node.invalid(format!("it splits {channels} channels into {sizes:?}")));
        }
        let mut first = 0;
        let mut values = Vec::with_capacity(parts);
        for size in sizes {
            let (node, view) = self.selected(node, &view, axis, (first..first + size).map(Some).collect())?;
            values.push(Value::Activation { node, view });
            first += size;
        }
        Ok(values)
    }

    /// The channels `chosen` of a node whose channels lie in order along `axis`.
    fn selected(&mut self, node: NodeId, view: &View, axis: usize, chosen: Vec<Option<usize>>) -> Result<(NodeId, View), ImportError> {
        let view = view.with_channels(axis, chosen.len());
        let node = self.importer.graph.push(&self.node.name(), FloatOp::Select(chosen), vec![node])?;
        Ok((node, view))
    }

    pub(super) fn gather(mut self) -> Result<Value, ImportError> {
        let (node, view) = self.activation(0)?;
        let axis = self.axis(self.node.int("axis", 0), view.rank())?;
        let (node, view) = self.with_channels_in_order(node, view, axis)?;
        let channels = self.importer.shape(node).channels;
        let indices = self.given_constant(1)?.ok_or_else(|| self.node.invalid("input 1 is missing"))?;
        let wanted = self.integers(1)?.unwrap_or_default();
        let place = |&at: &i64| usize::try_from(if at < 0 { at.saturating_add(channels as i64) } else { at }).ok();
        let chosen: Option<Vec<usize>> = wanted.iter().map(|at| place(at).filter(|&at| at < channels)).collect();
        let Some(chosen) = chosen.filter(|chosen| !chosen.is_empty()) else {
            return Err(self.node.invalid(format!("it takes channels {wanted:?} of {channels}")));
        };
        let (node, view) = self.selected(node, &view, axis, chosen.into_iter().map(Some).collect())?;
        match indices.dims.len() {
            1 => Ok(Value::Activation { node, view }),
            // One channel without its axis.
            0 => Ok(Value::Activation { node, view: view.squeezed(&[axis]) }),
            _ => Err(self.node.unsupported("its indices have several axes", "take channels by a list")),
        }
    }

    pub(super) fn slice(mut self) -> Result<Value, ImportError> {
        let (mut node, mut view) = self.activation(0)?;
        let missing = |what: &str| self.node.invalid(format!("it has no {what}"));
        let starts = self.listed(1, "starts")?.ok_or_else(|| missing("starts"))?;
        let ends = self.listed(2, "ends")?.ok_or_else(|| missing("ends"))?;
        let axes = self.listed(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.listed(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err(self.node.invalid("starts, ends, axes and steps differ in number"));
        }
        self.distinct(axes.iter().copied(), view.rank())?;
        for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            if axis == 0 && (start, step) == (0, 1) && end >= 1 {
                // All samples.
                continue;
            }
            let axis = self.axis(axis, view.rank())?;
            let size = view.dims()[axis] as i64;
            let from_end = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size);
            let (start, end) = (from_end(start), from_end(end));
            let step = usize::try_from(step).ok().filter(|&step| step > 0);
            let Some(step) = step.filter(|_| start < end) else {
                return Err(self.node.unsupported(format!("it takes {start}..{end} of {size} places, or backwards"), "slice forwards"));
            };
            let chosen: Vec<usize> = (start as usize..end as usize).step_by(step).collect();
            if chosen.len() == size as usize {
                continue;
            }
            (node, view) = if view.is_channels(axis) {
                let (node, view) = self.with_channels_in_order(node, view, axis)?;
                self.selected(node, &view, axis, chosen.into_iter().map(Some).collect())?
            } else {
                self.every(node, &view, axis, step, &chosen)?
            };
        }
        Ok(Value::Activation { node, view })
    }

    /// Every `step`-th row or column, from the first to the last.
    fn every(&mut self, node: NodeId, view: &View, axis: usize, step: usize, chosen: &[usize]) -> Result<(NodeId, View), ImportError> {
        let shape = self.importer.shape(node);
        let along = view.node_axis(axis, shape);
        let rows = along == Some(NodeAxis::Row);
        let size = if rows { shape.height } else { shape.width };
        if !(rows || along == Some(NodeAxis::Column)) || chosen.first() != Some(&0) || chosen.len() != size.div_ceil(step) {
            let reason = format!("it takes places {chosen:?} along axis {} of {:?}", axis + 1, view.dims());
            return Err(self.node.unsupported(reason, "take every n-th row or column from the first one on; cropping is not supported"));
        }
        let stride = if rows { (step, 1) } else { (1, step) };
        let pool = PoolGeometry { kernel: (1, 1), stride, padding: Padding::default() };
        let node = self.importer.graph.push(&self.node.name(), FloatOp::SumPool(pool), vec![node])?;
        Ok((node, view.resized(axis, chosen.len())))
    }

    pub(super) fn pad(mut self) -> Result<Value, ImportError> {
        let (node, view) = self.activation(0)?;
        let rank = view.rank();
        let mode = self.node.string("mode", "constant")?;
        let value = self.scalar(2)?.unwrap_or_else(|| self.node.float("value", 0.0));
        let pads = self.listed(1, "pads")?.unwrap_or_default();
        let axes = self.integers(3)?.unwrap_or_else(|| (0..=rank as i64).collect());
        if pads.len() != 2 * axes.len() {
            return Err(self.node.invalid(format!("{} pads for {} axes", pads.len(), axes.len())));
        }
        let around: Vec<(i64, (i64, i64))> =
            axes.iter().enumerate().map(|(i, &axis)| (axis, (pads[i], pads[i + axes.len()]))).filter(|(_, pads)| *pads != (0, 0)).collect();
        if around.is_empty() {
            return Ok(Value::Activation { node, view });
        }
        self.distinct(around.iter().map(|pads| pads.0), rank)?;
        let lowest = value <= -1e30;
        if mode != "constant" || !(value == 0.0 || lowest) {
            return Err(self.node.unsupported(format!("it pads with {mode} {value}"), "pad with zeros"));
        }
        let (mut padding, mut before, mut after, mut along) = (Padding::default(), 0, 0, None);
        let shape = self.importer.shape(node);
        for (axis, (first, last)) in around {
            let axis = self.axis(axis, rank)?;
            let size = |n: i64| {
                let n = usize::try_from(n).ok().filter(|&n| n <= 4096);
                n.ok_or_else(|| self.node.unsupported(format!("pads {pads:?}"), "pad by 0 to 4096 places; cropping is not supported"))
            };
            let (first, last) = (size(first)?, size(last)?);
            match view.node_axis(axis, shape) {
                Some(NodeAxis::Row) => (padding.top, padding.bottom) = (first, last),
                Some(NodeAxis::Column) => (padding.left, padding.right) = (first, last),
                Some(NodeAxis::Channel) if !lowest => (before, after, along) = (first, last, Some(axis)),
                _ => {
                    let reason = format!("it pads axis {} of {:?}", axis + 1, view.dims());
                    return Err(self.node.unsupported(reason, CHANNELS_FIRST));
                }
            }
        }
        let (mut node, mut view) = (node, view);
        if let Some(axis) = along {
            (node, view) = self.with_channels_in_order(node, view, axis)?;
            let kept = (0..shape.channels).map(Some);
            let chosen = std::iter::repeat_n(None, before).chain(kept).chain(std::iter::repeat_n(None, after)).collect();
            (node, view) = self.selected(node, &view, axis, chosen)?;
        }
        if padding == Padding::default() {
            return Ok(Value::Activation { node, view });
        }
        let op = if lowest { FloatOp::PadLowest(padding) } else { FloatOp::Pad(padding) };
        let node = self.importer.graph.push(&self.node.name(), op, vec![node])?;
        let padded = self.importer.shape(node);
        let view = view.of_shape(shape, padded);
        Ok(Value::Activation { node, view })
    }
}
