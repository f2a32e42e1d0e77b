//! Maxima and averages over windows.

use fusion_rlwe::Padding;

use super::operator::Operator;
use crate::graph::{FloatOp, NodeId};
use crate::onnx::error::ImportError;
use crate::onnx::importer::Value;
use crate::onnx::window::SlidingWindow;
use crate::program::PoolGeometry;

impl Operator<'_, '_> {
    fn pool(&mut self) -> Result<(NodeId, PoolGeometry, bool), ImportError> {
        let input = self.image(0)?;
        let window = SlidingWindow::read(self.node, self.importer.graph.node(input).shape, None)?;
        if window.dilation != (1, 1) {
            return Err(self.node.unsupported("its window is dilated", "use a pooling without dilation"));
        }
        let pool = PoolGeometry { kernel: window.kernel, stride: window.stride, padding: window.padding };
        Ok((input, pool, window.ceil_extra))
    }

    pub(super) fn max_pool(mut self) -> Result<Value, ImportError> {
        let (input, pool, _) = self.pool()?;
        self.push_image(FloatOp::MaxPool(pool), vec![input])
    }

    pub(super) fn average_pool(mut self) -> Result<Value, ImportError> {
        let (input, pool, ceil_extra) = self.pool()?;
        if ceil_extra {
            return Err(self.node.unsupported(
                "in ceil mode its last windows average fewer elements than the others",
                "use ceil_mode = 0, or an input size that the stride divides",
            ));
        }
        if self.node.int("count_include_pad", 0) == 0 && pool.padding != Padding::default() {
            return Err(self.node.unsupported(
                "its windows at the border average fewer elements than the others (pads with count_include_pad = 0)",
                "set count_include_pad = 1 or remove the pads",
            ));
        }
        self.push_image(FloatOp::AveragePool(pool), vec![input])
    }

    /// A mean, or a sum, over rows and columns is a global pool.
    pub(super) fn reduce(self, of: fn(PoolGeometry) -> FloatOp) -> Result<Value, ImportError> {
        if let Value::Tail { .. } = self.value(0)? {
            return Err(self.node.unsupported("it reads the result of a softmax or an argmax", super::operator::TAIL_ONLY));
        }
        let (input, view) = self.activation(0)?;
        let rank = view.rank();
        let listed = self.listed(1, "axes")?.filter(|axes| !axes.is_empty());
        let axes = match listed {
            Some(axes) => axes.into_iter().map(|axis| self.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?,
            None if self.node.int("noop_with_empty_axes", 0) != 0 => return Ok(Value::Activation { node: input, view }),
            None => (0..rank).collect(),
        };
        let others = (0..rank).filter(|axis| !axes.contains(axis));
        let over_positions = axes.iter().all(|&axis| view.is_spatial(axis) || view.dims()[axis] == 1);
        if !over_positions || others.into_iter().any(|axis| !view.is_channels(axis)) {
            let reason = format!("it works over axes {axes:?} (the batch not counted) of {:?}", view.dims());
            return Err(self.node.unsupported(reason, "take it over the rows and columns of an image"));
        }
        let shape = self.importer.shape(input);
        let view = view.without_positions();
        let view = if self.node.int("keepdims", 1) == 0 { view.squeezed(&axes) } else { view };
        let pool = PoolGeometry { kernel: (shape.height, shape.width), stride: (1, 1), padding: Padding::default() };
        self.push(of(pool), vec![input], view)
    }

    pub(super) fn global_average_pool(mut self) -> Result<Value, ImportError> {
        let input = self.image(0)?;
        let shape = self.importer.graph.node(input).shape;
        let pool = PoolGeometry { kernel: (shape.height, shape.width), stride: (1, 1), padding: Padding::default() };
        self.push_image(FloatOp::AveragePool(pool), vec![input])
    }
}
