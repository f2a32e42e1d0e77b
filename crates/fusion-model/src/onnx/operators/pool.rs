//! Maxima and averages over windows.

use fusion_rlwe::Padding;

use super::operator::Operator;
use crate::graph::{FloatOp, NodeId};
use crate::onnx::error::ImportError;
use crate::onnx::importer::Value;
use crate::onnx::window::SlidingWindow;
use crate::program::PoolGeometry;

impl Operator<'_> {
    fn pool(&self) -> Result<(NodeId, PoolGeometry, bool), ImportError> {
        let input = self.image(0)?;
        let window = SlidingWindow::read(self.node, self.importer.graph.node(input).shape, None)?;
        if window.dilation != (1, 1) {
            return Err(self.node.unsupported("its window is dilated", "use a pooling without dilation"));
        }
        let pool = PoolGeometry { kernel: window.kernel, stride: window.stride, padding: window.padding };
        Ok((input, pool, window.ceil_extra))
    }

    pub(super) fn max_pool(self) -> Result<Value, ImportError> {
        let (input, pool, _) = self.pool()?;
        self.push(FloatOp::MaxPool(pool), vec![input], false)
    }

    pub(super) fn average_pool(self) -> Result<Value, ImportError> {
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
        self.push(FloatOp::AveragePool(pool), vec![input], false)
    }

    /// A mean over rows and columns is a global average pool.
    pub(super) fn reduce_mean(self) -> Result<Value, ImportError> {
        let input = self.image(0)?;
        let axes = match self.integers(1)? {
            Some(axes) => axes,
            None => self.node.attribute("axes").map(|a| a.ints.clone()).unwrap_or_default(),
        };
        let mut spatial: Vec<i64> = axes.iter().map(|&axis| if axis < 0 { axis + 4 } else { axis }).collect();
        spatial.sort_unstable();
        if spatial != [2, 3] {
            return Err(self
                .node
                .unsupported(format!("it takes the mean over axes {axes:?}"), "take it over rows and columns (axes 2 and 3)"));
        }
        let shape = self.importer.graph.node(input).shape;
        let pool = PoolGeometry { kernel: (shape.height, shape.width), stride: (1, 1), padding: Padding::default() };
        let name = self.node.name();
        let pooled = self.importer.graph.push(&name, FloatOp::AveragePool(pool), vec![input])?;
        match self.node.int("keepdims", 1) {
            0 => self.push(FloatOp::Flatten, vec![pooled], true),
            _ => Ok(Value::Activation { node: pooled, flat: false }),
        }
    }

    pub(super) fn global_average_pool(self) -> Result<Value, ImportError> {
        let input = self.image(0)?;
        let shape = self.importer.graph.node(input).shape;
        let pool = PoolGeometry { kernel: (shape.height, shape.width), stride: (1, 1), padding: Padding::default() };
        self.push(FloatOp::AveragePool(pool), vec![input], false)
    }
}
