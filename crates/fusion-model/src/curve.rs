//! Functions of one number: what activation functions compute, and what arithmetic makes of them.
//!
//! Exporters write `x * sigmoid(x)` or `0.5 * x * (1 + erf(x / sqrt 2))` node by node. The graph
//! holds such an expression as one [`Curve`], which the planner approximates by a piecewise linear
//! function, instead of paying for a product of two shared numbers.

use statrs::function::erf::erf;

/// A known function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// max(x, 0).
    Relu,
    /// The nearest number in `low..=high`.
    Clip {
        /// Least value.
        low: f32,
        /// Largest value.
        high: f32,
    },
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// ln(1 + e^x).
    Softplus,
    /// x / (1 + |x|).
    Softsign,
    /// x where it is positive, else x * alpha.
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
    /// gamma * x where x is positive, else gamma * alpha * (e^x - 1).
    Elu {
        /// Factor below zero.
        alpha: f32,
        /// Factor everywhere.
        gamma: f32,
    },
}

impl Function {
    /// Its value at `x`.
    #[must_use]
    pub fn value(self, x: f64) -> f64 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Clip { low, high } => x.max(f64::from(low)).min(f64::from(high)),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::Erf => erf(x),
            // Without the large exponential.
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::LeakyRelu { alpha } => x.max(0.0) + f64::from(alpha) * x.min(0.0),
            Self::Elu { alpha, gamma } => f64::from(gamma) * (x.max(0.0) + f64::from(alpha) * x.min(0.0).exp_m1()),
        }
    }
}

/// An expression in one number x.
#[derive(Debug, Clone, PartialEq)]
pub enum Curve {
    /// x.
    X,
    /// `inner * scale + shift`.
    Affine {
        /// What is scaled.
        inner: Box<Curve>,
        /// Factor.
        scale: f32,
        /// Addend.
        shift: f32,
    },
    /// A function of an expression.
    Apply(Function, Box<Curve>),
    /// A product.
    Product(Box<[Curve; 2]>),
    /// A sum.
    Sum(Box<[Curve; 2]>),
}

impl Curve {
    /// The function of x itself.
    #[must_use]
    pub fn of(function: Function) -> Self {
        Self::Apply(function, Box::new(Self::X))
    }

    /// Its value at `x`.
    #[must_use]
    pub fn value(&self, x: f64) -> f64 {
        match self {
            Self::X => x,
            Self::Affine { inner, scale, shift } => inner.value(x) * f64::from(*scale) + f64::from(*shift),
            Self::Apply(function, inner) => function.value(inner.value(x)),
            Self::Product(parts) => parts[0].value(x) * parts[1].value(x),
            Self::Sum(parts) => parts[0].value(x) + parts[1].value(x),
        }
    }

    /// This expression of what `inner` makes of x.
    #[must_use]
    pub fn after(&self, inner: &Self) -> Self {
        let boxed = |curve: &Self| Box::new(curve.after(inner));
        let both = |parts: &[Self; 2]| Box::new([parts[0].after(inner), parts[1].after(inner)]);
        match self {
            Self::X => inner.clone(),
            Self::Affine { inner, scale, shift } => Self::Affine { inner: boxed(inner), scale: *scale, shift: *shift },
            Self::Apply(function, inner) => Self::Apply(*function, boxed(inner)),
            Self::Product(parts) => Self::Product(both(parts)),
            Self::Sum(parts) => Self::Sum(both(parts)),
        }
    }

    /// How many parts it has: a chain of nodes that reads itself again and again doubles them.
    #[must_use]
    pub fn size(&self) -> usize {
        1 + match self {
            Self::X => 0,
            Self::Affine { inner, .. } | Self::Apply(_, inner) => inner.size(),
            Self::Product(parts) | Self::Sum(parts) => parts[0].size() + parts[1].size(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_functions_have_their_values() {
        let cases = [
            (Function::Relu, -1.5, 0.0),
            (Function::Clip { low: -1.0, high: 6.0 }, 7.0, 6.0),
            (Function::Sigmoid, 1.0, 0.731_058_578_630_004_9),
            (Function::Tanh, -0.5, -0.462_117_157_260_009_8),
            (Function::Erf, 0.5, 0.520_499_877_813_046_5),
            (Function::Softplus, -2.0, 0.126_928_011_042_972_5),
            (Function::Softplus, 900.0, 900.0),
            (Function::Softsign, 3.0, 0.75),
            (Function::LeakyRelu { alpha: 0.125 }, -2.0, -0.25),
            (Function::Elu { alpha: 2.0, gamma: 1.5 }, -1.0, -1.896_361_676_485_673),
        ];
        for (function, x, expected) in cases {
            assert!((function.value(x) - expected).abs() < 1e-9, "{function:?} at {x}: {}", function.value(x));
        }
    }

    #[test]
    fn expressions_are_put_into_one_another() {
        let silu = Curve::Product(Box::new([Curve::X, Curve::of(Function::Sigmoid)]));
        let doubled = Curve::Affine { inner: Box::new(Curve::X), scale: 2.0, shift: 1.0 };
        for x in [-3.0, 0.0, 0.7] {
            assert!((silu.value(x) - x / (1.0 + (-x).exp())).abs() < 1e-12);
            assert_eq!(silu.after(&doubled).value(x), silu.value(2.0 * x + 1.0));
            assert_eq!(doubled.after(&silu).value(x), 2.0 * silu.value(x) + 1.0);
        }
        assert_eq!((silu.size(), silu.after(&doubled).size()), (4, 6));
    }
}
