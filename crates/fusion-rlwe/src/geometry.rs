//! Shapes of a convolution, in the terms of the plain network.

/// Channels, height and width of one sample of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Channels (or features of a flat vector).
    pub channels: usize,
    /// Rows; 1 for a flat vector.
    pub height: usize,
    /// Columns; 1 for a flat vector.
    pub width: usize,
}

impl Shape {
    /// `channels` x `height` x `width`.
    #[must_use]
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// A flat vector of `features`.
    #[must_use]
    pub const fn flat(features: usize) -> Self {
        Self::new(features, 1, 1)
    }

    /// Elements of one sample.
    #[must_use]
    pub const fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether there are no elements.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Positions of one channel.
    #[must_use]
    pub const fn area(self) -> usize {
        self.height * self.width
    }
}

/// Zero padding of the two spatial axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

/// Geometry of a two-dimensional convolution (cross-correlation, as in ONNX `Conv`). A dense layer
/// is a 1x1 convolution on a 1x1 image.
///
/// Weights are ordered `[out_channel][in_channel / groups][kernel_row][kernel_column]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvGeometry {
    /// Input shape of one sample, without padding.
    pub input: Shape,
    /// Output channels.
    pub out_channels: usize,
    /// Kernel rows and columns.
    pub kernel: (usize, usize),
    /// Vertical and horizontal stride.
    pub stride: (usize, usize),
    /// Vertical and horizontal dilation.
    pub dilation: (usize, usize),
    /// Zero padding.
    pub padding: Padding,
    /// Channel groups: output channel j reads only the inputs of its own group.
    pub groups: usize,
}

impl ConvGeometry {
    /// A dense layer.
    #[must_use]
    pub const fn dense(inputs: usize, outputs: usize) -> Self {
        Self {
            input: Shape::flat(inputs),
            out_channels: outputs,
            kernel: (1, 1),
            stride: (1, 1),
            dilation: (1, 1),
            padding: Padding { top: 0, left: 0, bottom: 0, right: 0 },
            groups: 1,
        }
    }

    /// Output shape of one sample, or `None` if the geometry is impossible (a zero where none may
    /// be, a kernel larger than the padded input, groups that do not divide the channels, sizes
    /// that overflow).
    #[must_use]
    pub fn output(&self) -> Option<Shape> {
        let positive = [self.kernel.0, self.kernel.1, self.stride.0, self.stride.1, self.dilation.0, self.dilation.1, self.groups];
        if positive.contains(&0) || self.input.is_empty() || self.out_channels == 0 {
            return None;
        }
        if !self.input.channels.is_multiple_of(self.groups) || !self.out_channels.is_multiple_of(self.groups) {
            return None;
        }
        let axis = |size: usize, before: usize, after: usize, kernel: usize, stride: usize, dilation: usize| {
            let padded = size.checked_add(before)?.checked_add(after)?;
            let reach = (kernel - 1).checked_mul(dilation)?.checked_add(1)?;
            Some(padded.checked_sub(reach)? / stride + 1)
        };
        let p = self.padding;
        let height = axis(self.input.height, p.top, p.bottom, self.kernel.0, self.stride.0, self.dilation.0)?;
        let width = axis(self.input.width, p.left, p.right, self.kernel.1, self.stride.1, self.dilation.1)?;
        Some(Shape::new(self.out_channels, height, width))
    }

    /// Number of weights.
    #[must_use]
    pub const fn weights(&self) -> usize {
        self.out_channels * (self.input.channels / self.groups) * self.kernel.0 * self.kernel.1
    }
}
