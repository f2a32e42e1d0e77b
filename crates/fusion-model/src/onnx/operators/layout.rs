//! Operators that move data, constants, and the tail behind the logits.

use fusion_rlwe::Padding;

use super::operator::{Operator, SIMPLIFY, TAIL_ONLY};
use crate::graph::FloatOp;
use crate::onnx::constant::Constant;
use crate::onnx::error::ImportError;
use crate::onnx::importer::Value;

impl Operator<'_> {
    pub(super) fn concat(self) -> Result<Value, ImportError> {
        let parts = (0..self.node.inputs().len()).map(|i| self.activation(i)).collect::<Result<Vec<_>, _>>()?;
        let Some(&(_, flat)) = parts.first() else { return Err(self.node.invalid("it has no inputs")) };
        let axis = self.node.int("axis", 1);
        let rank = if flat { 2 } else { 4 };
        if axis != 1 && axis + rank != 1 || parts.iter().any(|p| p.1 != flat) {
            return Err(self.node.unsupported(format!("it joins along axis {axis}"), "join along the channels (axis 1)"));
        }
        self.push(FloatOp::Concat, parts.into_iter().map(|p| p.0).collect(), flat)
    }

    pub(super) fn flatten(self) -> Result<Value, ImportError> {
        let (input, flat) = self.activation(0)?;
        let (axis, rank) = (self.node.int("axis", 1), if flat { 2 } else { 4 });
        if axis != 1 && axis + rank != 1 {
            return Err(self
                .node
                .unsupported(format!("it flattens from axis {axis}"), "flatten from axis 1, which keeps the samples apart"));
        }
        if flat { self.value(0) } else { self.push(FloatOp::Flatten, vec![input], true) }
    }

    /// Takes away the rows and columns of an image of one pixel.
    pub(super) fn squeeze(self) -> Result<Value, ImportError> {
        if let tail @ Value::Tail { .. } = self.value(0)? {
            return Ok(tail);
        }
        let (input, flat) = self.activation(0)?;
        let shape = self.importer.graph.node(input).shape;
        match self.sorted_axes(4)? {
            axes if !flat && (axes == [2, 3] || axes.is_empty()) && (shape.height, shape.width) == (1, 1) => {
                self.push(FloatOp::Flatten, vec![input], true)
            }
            axes => {
                Err(self.node.unsupported(format!("it takes axes {axes:?} away"), "take rows and columns of one pixel away (axes 2 and 3)"))
            }
        }
    }

    /// Gives a vector one row and one column.
    pub(super) fn unsqueeze(self) -> Result<Value, ImportError> {
        let (input, flat) = self.activation(0)?;
        match self.sorted_axes(4)? {
            axes if flat && axes == [2, 3] => Ok(Value::Activation { node: input, flat: false }),
            axes => Err(self.node.unsupported(format!("it adds axes {axes:?}"), "add rows and columns to a vector (axes 2 and 3)")),
        }
    }

    /// Axes by input or by attribute, counted from the front, in order.
    fn sorted_axes(&self, rank: i64) -> Result<Vec<i64>, ImportError> {
        let axes = match self.integers(1)? {
            Some(axes) => axes,
            None => self.node.attribute("axes").map(|a| a.ints.clone()).unwrap_or_default(),
        };
        let mut axes: Vec<i64> = axes.into_iter().map(|axis| if axis < 0 { axis.saturating_add(rank) } else { axis }).collect();
        axes.sort_unstable();
        Ok(axes)
    }

    pub(super) fn reshape(self) -> Result<Value, ImportError> {
        // What follows the class scores does not change which is the largest, as long as each
        // sample keeps one row of them.
        if let Value::Tail { node } = self.value(0)? {
            let classes = self.importer.graph.node(node).shape.channels;
            return match self.integers(1)?.as_deref() {
                Some([_, n]) if *n == -1 || usize::try_from(*n).ok() == Some(classes) => Ok(Value::Tail { node }),
                other => Err(self.node.unsupported(format!("it reshapes the result of a softmax or an argmax to {other:?}"), TAIL_ONLY)),
            };
        }
        let (input, flat) = self.activation(0)?;
        let shape = self.importer.graph.node(input).shape;
        let target = match (self.integers(1)?, self.node.attribute("shape")) {
            (Some(target), _) => target,
            (None, Some(attribute)) => attribute.ints.clone(),
            (None, None) => return Err(self.node.invalid("it has no target shape")),
        };
        let source: &[usize] = if flat { &[shape.channels] } else { &[shape.channels, shape.height, shape.width] };
        let Some(resolved) = resolve_shape(&target, source, self.node.int("allowzero", 0) != 0) else {
            let reason = format!("it turns {source:?} per sample into {target:?}");
            return Err(self.node.unsupported(reason, "only a reshape of a sample to one vector is supported: [N, -1]"));
        };
        match resolved.as_slice() {
            same if same == source => self.value(0),
            [_] => self.push(FloatOp::Flatten, vec![input], true),
            &[_, 1, 1] if flat => Ok(Value::Activation { node: input, flat: false }),
            _ => {
                let reason = format!("it turns {source:?} per sample into {resolved:?}");
                Err(self.node.unsupported(reason, "only a reshape of a sample to one vector is supported: [N, -1]"))
            }
        }
    }

    pub(super) fn pad(self) -> Result<Value, ImportError> {
        let input = self.image(0)?;
        let mode = self.node.string("mode", "constant")?;
        let value = match self.reals(2)? {
            Some((_, v)) => v.first().copied().unwrap_or(0.0),
            None => self.node.float("value", 0.0),
        };
        if mode != "constant" || value != 0.0 {
            return Err(self.node.unsupported(format!("it pads with {mode} {value}"), "pad with zeros"));
        }
        let pads = match self.integers(1)? {
            Some(pads) => pads,
            None => self.node.attribute("pads").map(|a| a.ints.clone()).unwrap_or_default(),
        };
        let axes = self.integers(3)?.unwrap_or_else(|| vec![0, 1, 2, 3]);
        if pads.len() != 2 * axes.len() {
            return Err(self.node.invalid(format!("{} pads for {} axes", pads.len(), axes.len())));
        }
        let mut around = [(0, 0); 4];
        for (i, &axis) in axes.iter().enumerate() {
            let axis = usize::try_from(if axis < 0 { axis + 4 } else { axis }).ok().filter(|&a| a < 4);
            let axis = axis.ok_or_else(|| self.node.invalid(format!("axes {axes:?}")))?;
            around[axis] = (pads[i], pads[i + axes.len()]);
        }
        let size = |n: i64| {
            let n = usize::try_from(n).ok().filter(|&n| n <= 4096);
            n.ok_or_else(|| self.node.unsupported(format!("pads {pads:?}"), "pad by 0 to 4096 rows and columns; cropping is not supported"))
        };
        if around[0] != (0, 0) || around[1] != (0, 0) {
            return Err(self.node.unsupported(format!("it pads samples or channels ({pads:?})"), "pad rows and columns only"));
        }
        let padding = Padding { top: size(around[2].0)?, bottom: size(around[2].1)?, left: size(around[3].0)?, right: size(around[3].1)? };
        self.push(FloatOp::Pad(padding), vec![input], false)
    }

    pub(super) fn constant(self) -> Result<Value, ImportError> {
        if let Some(tensor) = self.node.attribute("value").and_then(|a| a.t.as_ref()) {
            return Ok(Value::Constant(Constant::read(tensor).map_err(|reason| self.node.invalid(reason))?));
        }
        let constant = if let Some(a) = self.node.attribute("value_float") {
            Constant::real(Vec::new(), vec![a.f()])
        } else if let Some(a) = self.node.attribute("value_floats") {
            Constant::real(vec![a.floats.len()], a.floats.clone())
        } else if let Some(a) = self.node.attribute("value_int") {
            Constant::integers(vec![a.i()])
        } else if let Some(a) = self.node.attribute("value_ints") {
            Constant::integers(a.ints.clone())
        } else {
            return Err(self.node.unsupported("it holds no dense numbers", SIMPLIFY));
        };
        Ok(Value::Constant(constant))
    }

    pub(super) fn tail(self) -> Result<Value, ImportError> {
        let (node, rank) = match self.value(0)? {
            Value::Activation { node, flat } => (node, if flat { 2 } else { 4 }),
            // ArgMax of Softmax.
            Value::Tail { node } => (node, 2),
            Value::Constant(_) | Value::Unreadable(_) => return Err(self.node.unsupported("its input is a constant", SIMPLIFY)),
        };
        let default = match self.node.operator() {
            "ArgMax" => 0,
            _ if self.importer.opset >= 13 => -1,
            _ => 1,
        };
        let axis = self.node.int("axis", default);
        if axis != 1 && axis + rank != 1 {
            return Err(self.node.unsupported(format!("it works along axis {axis}"), "the classes should be axis 1"));
        }
        if self.node.int("select_last_index", 0) != 0 {
            return Err(self.node.unsupported("it resolves ties to the last index", "use select_last_index = 0"));
        }
        Ok(Value::Tail { node })
    }
}

/// The shape per sample that a target shape with a batch axis stands for: 0 copies, -1 is inferred,
/// the batch axis may be 0, -1 or any number.
fn resolve_shape(target: &[i64], source: &[usize], zero_is_zero: bool) -> Option<Vec<usize>> {
    let (&batch, rest) = target.split_first()?;
    let total: usize = source.iter().product();
    let mut resolved = Vec::with_capacity(rest.len().min(8));
    let mut known = 1usize;
    let mut inferred = None;
    for (i, &n) in rest.iter().enumerate() {
        let size = match n {
            -1 if inferred.is_none() && batch != -1 => {
                inferred = Some(i);
                1
            }
            0 if !zero_is_zero => *source.get(i)?,
            n => usize::try_from(n).ok().filter(|&n| n > 0)?,
        };
        known = known.checked_mul(size)?;
        resolved.push(size);
    }
    match inferred {
        Some(i) if total.is_multiple_of(known) => resolved[i] = total / known,
        None if known == total => {}
        Some(_) | None => return None,
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::resolve_shape;

    #[test]
    fn reshape_targets() {
        assert_eq!(resolve_shape(&[0, -1], &[8, 2, 2], false), Some(vec![32]));
        assert_eq!(resolve_shape(&[-1, 32], &[8, 2, 2], false), Some(vec![32]));
        assert_eq!(resolve_shape(&[1, 0, -1], &[8, 2, 2], false), Some(vec![8, 4]));
        assert_eq!(resolve_shape(&[-1, -1], &[8, 2, 2], false), None);
        assert_eq!(resolve_shape(&[1, 31], &[8, 2, 2], false), None);
        assert_eq!(resolve_shape(&[1, 5, -1], &[8, 2, 2], false), None);
        assert_eq!(resolve_shape(&[1, 0, -1], &[8, 2, 2], true), None);
        assert_eq!(resolve_shape(&[], &[8], false), None);
    }
}
