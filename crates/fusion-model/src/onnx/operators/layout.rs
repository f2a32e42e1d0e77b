//! Operators that move data, constants, and the tail behind the logits.

use super::operator::{CHANNELS_FIRST, Operator, SIMPLIFY, TAIL_ONLY};
use crate::graph::FloatOp;
use crate::onnx::constant::{Constant, Numbers};
use crate::onnx::error::ImportError;
use crate::onnx::importer::Value;
use crate::onnx::view::View;

impl Operator<'_, '_> {
    pub(super) fn concat(mut self) -> Result<Value, ImportError> {
        let parts = (0..self.node.inputs().len()).map(|i| self.activation(i)).collect::<Result<Vec<_>, _>>()?;
        let Some((_, first)) = parts.first() else { return Err(self.node.invalid("it has no inputs")) };
        let axis = self.axis(self.node.int("axis", 1), first.rank())?;
        if parts.iter().any(|(_, view)| view.rank() != first.rank()) {
            return Err(self.node.invalid("its inputs have different ranks"));
        }
        let mut nodes = Vec::with_capacity(parts.len());
        let mut views = Vec::with_capacity(parts.len());
        for (node, view) in parts {
            let (node, view) = if view.rank() == 1 {
                let name = self.node.name();
                (self.importer.flattened(&name, node, &view)?, View::flat(view.dims()[0]))
            } else {
                self.with_channels_in_order(node, view, axis)?
            };
            nodes.push(node);
            views.push(view);
        }
        let channels = nodes.iter().map(|&node| self.importer.shape(node).channels).sum();
        let joined: Vec<View> = views.iter().map(|view| view.with_channels(axis, channels)).collect();
        if joined.iter().any(|view| *view != joined[0]) {
            let dims: Vec<Vec<usize>> = views.iter().map(View::dims).collect();
            return Err(self
                .node
                .unsupported(format!("it joins {dims:?} along axis {}", axis + 1), "join values of one layout along the channels"));
        }
        let view = joined[0].clone();
        self.push(FloatOp::Concat, nodes, view)
    }

    pub(super) fn flatten(self) -> Result<Value, ImportError> {
        if let tail @ Value::Tail { .. } = self.value(0)? {
            return Ok(tail);
        }
        let (node, view) = self.activation(0)?;
        let all = view.rank() as i64 + 1;
        let axis = self.node.int("axis", 1);
        if axis != 1 && axis.saturating_add(all) != 1 {
            return Err(self
                .node
                .unsupported(format!("it flattens from axis {axis}"), "flatten from axis 1, which keeps the samples apart"));
        }
        self.moved(node, &view, &[view.dims().iter().product()])
    }

    /// The same numbers as a tensor of shape `dims`.
    fn moved(self, node: crate::graph::NodeId, view: &View, dims: &[usize]) -> Result<Value, ImportError> {
        match view.reshaped(dims) {
            Some(view) => Ok(Value::Activation { node, view }),
            None => {
                let reason = format!("it turns {:?} per image into {dims:?}", view.dims());
                Err(self.node.unsupported(reason, "reshape by splitting or joining whole axes, or to one vector: [N, -1]"))
            }
        }
    }

    /// Nothing, unless it is in training mode.
    pub(super) fn dropout(self) -> Result<Value, ImportError> {
        let trains = match self.node.input(2).map(|_| self.value(2)).transpose()? {
            Some(Value::Constant(Constant { data: Numbers::Integer(data), .. })) => data.contains(&1),
            // An engine does nothing without it, and a number that is read by nobody is not either.
            _ => false,
        };
        if trains {
            return Err(self.node.unsupported("it is in training mode", "export the model in inference mode (`model.eval()`)"));
        }
        self.value(0)
    }

    /// Between types of real numbers nothing changes that a plan would keep.
    pub(super) fn cast(self) -> Result<Value, ImportError> {
        match self.node.int("to", 1) {
            1 | 10 | 11 | 16 => self.value(0),
            other => Err(self.node.unsupported(
                format!("it turns values that depend on the image into another type ({other})"),
                "give the float model, without rounding or comparisons inside",
            )),
        }
    }

    /// Takes axes of size 1 away.
    pub(super) fn squeeze(self) -> Result<Value, ImportError> {
        if let tail @ Value::Tail { .. } = self.value(0)? {
            return Ok(tail);
        }
        let (node, view) = self.activation(0)?;
        let dims = view.dims();
        let gone = match self.listed(1, "axes")? {
            Some(axes) => axes.into_iter().map(|axis| self.axis(axis, dims.len())).collect::<Result<Vec<_>, _>>()?,
            None => {
                let reason = "it takes all axes of size 1 away, also the batch of one image";
                return Err(self.node.unsupported(reason, "name the axes, such as `squeeze(-1)` in the place of `squeeze()`"));
            }
        };
        if gone.iter().any(|&axis| dims[axis] != 1) {
            return Err(self.node.invalid(format!("it takes axes {gone:?} of {dims:?} away (the batch not counted)")));
        }
        Ok(Value::Activation { node, view: view.squeezed(&gone) })
    }

    /// Adds axes of size 1.
    pub(super) fn unsqueeze(self) -> Result<Value, ImportError> {
        let (node, view) = self.activation(0)?;
        let axes = self.listed(1, "axes")?.unwrap_or_default();
        let mut new = axes.iter().map(|&axis| self.axis(axis, view.rank() + axes.len())).collect::<Result<Vec<_>, _>>()?;
        new.sort_unstable();
        match view.unsqueezed(&new) {
            Some(view) => Ok(Value::Activation { node, view }),
            None => Err(self.node.invalid(format!("it adds axes {axes:?} to {:?}", view.dims()))),
        }
    }

    pub(super) fn transpose(self) -> Result<Value, ImportError> {
        if let tail @ Value::Tail { .. } = self.value(0)? {
            return Ok(tail);
        }
        let (node, view) = self.activation(0)?;
        let order: Vec<i64> = match self.node.attribute("perm") {
            Some(perm) => perm.ints.clone(),
            None => (0..=view.rank() as i64).rev().collect(),
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..=view.rank() as i64) {
            return Err(self.node.invalid(format!("`perm` = {order:?} for {} axes", view.rank() + 1)));
        }
        if order[0] != 0 {
            return Err(self.node.unsupported("it moves the batch axis", CHANNELS_FIRST));
        }
        let order: Vec<usize> = order[1..].iter().map(|&axis| axis as usize - 1).collect();
        Ok(Value::Activation { node, view: view.transposed(&order) })
    }

    pub(super) fn reshape(self) -> Result<Value, ImportError> {
        // What follows the class scores does not change which is the largest, as long as each
        // sample keeps one row of them.
        if let Value::Tail { node } = self.value(0)? {
            let classes = self.importer.shape(node).channels;
            return match self.listed(1, "shape")?.as_deref() {
                Some([_, n]) if *n == -1 || usize::try_from(*n).ok() == Some(classes) => Ok(Value::Tail { node }),
                other => Err(self.node.unsupported(format!("it reshapes the result of a softmax or an argmax to {other:?}"), TAIL_ONLY)),
            };
        }
        let (node, view) = self.activation(0)?;
        let target = self.listed(1, "shape")?.ok_or_else(|| self.node.invalid("it has no target shape"))?;
        let source = view.dims();
        let Some(resolved) = resolve_shape(&target, &source, self.node.int("allowzero", 0) != 0) else {
            let reason = format!("it turns {source:?} per image into {target:?}, the batch first");
            return Err(self.node.unsupported(reason, "keep the samples apart: [N, -1]"));
        };
        self.moved(node, &view, &resolved)
    }

    pub(super) fn constant(self) -> Result<Value, ImportError> {
        if let Some(tensor) = self.node.attribute("value").and_then(|a| a.t.as_ref()) {
            return Ok(Value::Constant(Constant::read(tensor, self.importer.external).map_err(|reason| self.node.invalid(reason))?));
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
        if let Value::Tail { node } = self.value(0)? {
            // ArgMax of Softmax.
            return Ok(Value::Tail { node });
        }
        let (node, view) = self.activation(0)?;
        let all = view.rank() as i64 + 1;
        let default = match self.node.operator() {
            "ArgMax" => 0,
            _ if self.importer.opset >= 13 => -1,
            _ => 1,
        };
        let dims = view.dims();
        let axis = self.node.int("axis", default);
        let axis = if axis < 0 { axis.saturating_add(all) } else { axis };
        // Of one class there is one score, along whichever axis.
        let along = dims.iter().position(|&dim| dim > 1).map_or(axis, |place| place as i64 + 1);
        if dims.iter().filter(|&&dim| dim > 1).count() > 1 {
            let reason = format!("its input is {dims:?} per image, not one score for each class");
            return Err(self.node.unsupported(reason, TAIL_ONLY));
        }
        // Before operator set 13 a softmax works over all axes from the given one on.
        let coerced = self.node.operator() != "ArgMax" && self.importer.opset < 13 && (1..=along).contains(&axis);
        if axis != along && !coerced {
            return Err(self.node.unsupported(format!("it works along axis {axis}, the classes are axis {along}"), TAIL_ONLY));
        }
        if dims.iter().all(|&dim| dim == 1) {
            return Err(self.node.unsupported("its input is one score, of which it makes the same for every image", TAIL_ONLY));
        }
        if self.node.int("select_last_index", 0) != 0 {
            return Err(self.node.unsupported("it resolves ties to the last index", "use select_last_index = 0"));
        }
        let name = self.node.name();
        let node = self.importer.flattened(&name, node, &view)?;
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
