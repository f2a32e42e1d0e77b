//! Random blocks of networks.

use super::{Attribute, ModelBuilder, Value};

impl ModelBuilder {
    /// One random block of a network. The result may be wide (no ReLU at its end).
    pub(super) fn block(&mut self, x: &Value) -> Value {
        let c = x.1[0];
        match self.below(20) {
            // Residual block with an identity shortcut.
            0 => {
                let a = self.same_conv(x, c, 3, 1);
                let a = self.relu(&a);
                let a = self.same_conv(&a, c, 3, 1);
                let a = self.batch_norm(&a);
                let sum = self.add(&a, x);
                self.relu(&sum)
            }
            // Residual block with a convolution on the shortcut.
            1 => {
                let (out, stride) = (c + 1 + self.below(3), 1 + self.below(2));
                let a = self.same_conv(x, out, 3, stride);
                let a = self.batch_norm(&a);
                let b = self.same_conv(x, out, 1, stride);
                let sum = self.add(&a, &b);
                self.relu(&sum)
            }
            // Branches joined by channels.
            2 => {
                let a = self.same_conv(x, 2, 3, 1);
                let a = self.relu(&a);
                let b = self.same_conv(x, 3, 1, 1);
                let b = if self.coin() { self.relu(&b) } else { b };
                let joined = self.node("Concat", &[&a.0, &b.0, &x.0], &[Attribute::Int("axis", 1)]);
                (joined, [5 + c, x.1[1], x.1[2]])
            }
            // Depthwise.
            3 => {
                let (kernel, stride) = (1 + self.below(3), 1 + self.below(2));
                let y = self.conv(x, c * 2, kernel, stride, c);
                self.relu(&y)
            }
            4 => {
                let y = self.relu(x);
                self.max_pool(&y)
            }
            5 => self.average_pool(x),
            // Padding of its own, before a convolution or a maximum of non-negative values.
            6 => {
                let y = self.relu(x);
                let y = self.pad(&y, [1, 0, 1, 1]);
                if self.coin() { self.same_conv(&y, 3, 3, 2) } else { self.max_pool(&y) }
            }
            // Batch normalisation and a constant before the activation, on a value that others
            // read, too.
            7 => {
                let y = self.batch_norm(x);
                let shift = self.random(&[1, c, 1, 1], 0.3);
                let y = (self.node("Add", &[&shift, &y.0], &[]), y.1);
                let y = (self.node("Identity", &[&y.0], &[]), y.1);
                let y = self.relu(&y);
                self.add(&y, x)
            }
            n @ 8..=17 => self.modern_block(n - 8, x),
            _ => {
                let (out, kernel, stride) = (2 + self.below(4), 1 + self.below(4), 1 + self.below(2));
                let y = self.conv(x, out, kernel, stride, 1);
                self.relu(&y)
            }
        }
    }

    /// A block as newer networks have them.
    fn modern_block(&mut self, kind: usize, x: &Value) -> Value {
        let [c, h, w] = x.1;
        match kind {
            // Inverted residual with clips.
            0 => {
                let y = self.same_conv(x, c * 2, 1, 1);
                let y = self.clip(&y);
                let y = self.conv(&y, c * 2, 1 + self.count % 3, 1, c * 2);
                let y = self.clip(&y);
                self.same_conv(&y, c + 1, 1, 1)
            }
            1 => {
                let y = self.same_conv(x, c + 1, 3, 1);
                self.smooth(&y)
            }
            // Squeeze and excitation.
            2 => {
                let pooled = (self.node("GlobalAveragePool", &[&x.0], &[]), [c, 1, 1]);
                let y = self.same_conv(&pooled, 2, 1, 1);
                let y = self.relu(&y);
                let y = self.same_conv(&y, c, 1, 1);
                let gate = self.node(["Sigmoid", "HardSigmoid"][self.count % 2], &[&y.0], &[]);
                let factors = if self.coin() { [&x.0, &gate] } else { [&gate, &x.0] };
                (self.node("Mul", &[factors[0], factors[1]], &[]), x.1)
            }
            // Half of the channels through a convolution, then a shuffle.
            3 => {
                let y = self.same_conv(x, 4, 1, 1);
                let sizes = self.integers(&[1, 3]);
                let [a, b] = self.split(&y, &sizes);
                let a = self.same_conv(&(a, [1, y.1[1], y.1[2]]), 3, 3, 1);
                let joined = self.node("Concat", &[&a.0, &b], &[Attribute::Int("axis", 1)]);
                self.shuffle(&(joined, [6, y.1[1], y.1[2]]))
            }
            // Channels last, with an addend, and back.
            4 => {
                let moved = self.node("Transpose", &[&x.0], &[Attribute::Ints("perm", vec![0, 2, 3, 1])]);
                let shift = self.random(&[c], 0.5);
                let y = self.node("Add", &[&moved, &shift], &[]);
                let y = self.node("Relu", &[&y], &[]);
                let y = self.node("Concat", &[&y, &moved], &[Attribute::Int("axis", 3)]);
                (self.node("Transpose", &[&y], &[Attribute::Ints("perm", vec![0, 3, 1, 2])]), [2 * c, h, w])
            }
            // Every other row and column, with channels of zeros.
            5 => {
                let numbers = [&[0, 0][..], &[i64::MAX, i64::MAX], &[2, 3], &[2, 2]].map(|n| self.integers(n));
                let y = self.node("Slice", &[&x.0, &numbers[0], &numbers[1], &numbers[2], &numbers[3]], &[]);
                let pads = self.integers(&[0, 1, 0, 0, 0, 2, 0, 0]);
                (self.node("Pad", &[&y, &pads], &[]), [c + 3, h.div_ceil(2), w.div_ceil(2)])
            }
            // A product of two values.
            6 => {
                let (a, b) = (self.same_conv(x, 3, 1, 1), self.same_conv(x, 3, 3, 1));
                let b = self.relu(&b);
                (self.node("Mul", &[&a.0, &b.0], &[]), a.1)
            }
            // A swish of a value that others read as well.
            7 => {
                let gate = self.node("Sigmoid", &[&x.0], &[]);
                let y = (self.node("Mul", &[&x.0, &gate], &[]), x.1);
                self.add(&y, x)
            }
            8 => {
                let y = self.same_conv(x, c, 1, 1);
                let slopes = self.random(&[c, 1, 1], 0.5);
                (self.node("PRelu", &[&y.0, &slopes], &[]), y.1)
            }
            // Some channels, some of them twice.
            _ => {
                let chosen: Vec<i64> = (0..c as i64 + 1).map(|i| i * 7 % c as i64).collect();
                let indices = self.integers(&chosen);
                let y = self.node("Gather", &[&x.0, &indices], &[Attribute::Int("axis", 1)]);
                let y = (y, [c + 1, h, w]);
                if self.coin() { self.relu(&y) } else { y }
            }
        }
    }

    fn clip(&mut self, x: &Value) -> Value {
        let low = [0.0, 0.0, -0.5, -1.0][self.below(4)];
        let high = low + 0.5 + self.below(3) as f32;
        let (low, high) = (self.constant(&[], vec![low]), self.constant(&[], vec![high]));
        (self.node("Clip", &[&x.0, &low, &high], &[]), x.1)
    }

    /// An activation function that is approximated.
    fn smooth(&mut self, x: &Value) -> Value {
        let y = match self.below(8) {
            0 => self.node("Sigmoid", &[&x.0], &[]),
            1 => self.node("Tanh", &[&x.0], &[]),
            2 => self.node("HardSwish", &[&x.0], &[]),
            3 => self.node("LeakyRelu", &[&x.0], &[Attribute::Float("alpha", 0.2)]),
            4 => self.node("Elu", &[&x.0], &[Attribute::Float("alpha", 0.7)]),
            5 => self.node("Softplus", &[&x.0], &[]),
            6 => {
                let gate = self.node("Sigmoid", &[&x.0], &[]);
                self.node("Mul", &[&x.0, &gate], &[])
            }
            _ => {
                // x * 0.5 * (1 + erf(x / sqrt 2)).
                let [root, one, half] = [std::f32::consts::SQRT_2, 1.0, 0.5].map(|n| self.constant(&[], vec![n]));
                let y = self.node("Div", &[&x.0, &root], &[]);
                let y = self.node("Erf", &[&y], &[]);
                let y = self.node("Add", &[&y, &one], &[]);
                let y = self.node("Mul", &[&x.0, &y], &[]);
                self.node("Mul", &[&y, &half], &[])
            }
        };
        (y, x.1)
    }

    fn shuffle(&mut self, x: &Value) -> Value {
        let [c, h, w] = x.1;
        let [h64, w64] = [h as i64, w as i64];
        let groups = self.integers(&[0, 2, c as i64 / 2, h64, w64]);
        let y = self.node("Reshape", &[&x.0, &groups], &[]);
        let y = self.node("Transpose", &[&y], &[Attribute::Ints("perm", vec![0, 2, 1, 3, 4])]);
        let back = self.integers(&[0, -1, h64, w64]);
        (self.node("Reshape", &[&y, &back], &[]), x.1)
    }

    fn split(&mut self, x: &Value, sizes: &str) -> [String; 2] {
        let first = self.node("Split", &[&x.0, sizes], &[Attribute::Int("axis", 1)]);
        let second = format!("{first}b");
        self.more_output(&second);
        [first, second]
    }
}
