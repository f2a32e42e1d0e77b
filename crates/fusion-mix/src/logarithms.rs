//! Logarithms of sums and differences, real and complex, and where a convex function is least: what
//! [`crate::firing`] computes with.

use num_complex::Complex64;

/// Where a convex function is least, by golden section.
pub(crate) fn least_of_convex(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    const RATIO: f64 = 0.618_033_988_749_894_8;
    let (mut left, mut right) = (high - RATIO * (high - low), low + RATIO * (high - low));
    let (mut at_left, mut at_right) = (f(left), f(right));
    // To 1e-7 of the range, far less than the inverse of any deviation.
    for _ in 0..34 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - RATIO * (high - low);
            at_left = f(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + RATIO * (high - low);
            at_right = f(right);
        }
    }
    0.5 * (low + high)
}

/// `n x`, and zero for `n = 0` whatever `x` is.
pub(crate) fn times<X: std::ops::Mul<f64, Output = X> + Default>(n: usize, x: X) -> X {
    if n == 0 { X::default() } else { x * n as f64 }
}

/// `ln(e^x - 1)` for `x >= 0`.
pub(crate) fn ln_exp_m1(x: f64) -> f64 {
    if x > 40.0 { x } else { x.exp_m1().ln() }
}

/// `ln(1 + e^x)`.
pub(crate) fn ln_1p_exp(x: f64) -> f64 {
    if x > 40.0 { x } else { x.exp().ln_1p() }
}

/// `ln(e^a + e^b)`.
pub(crate) fn ln_add_complex(a: Complex64, b: Complex64) -> Complex64 {
    let (high, low) = if a.re > b.re { (a, b) } else { (b, a) };
    high + ln_1p((low - high).exp())
}

/// `ln(1 + z)`, without loss of digits where `z` is small.
pub(crate) fn ln_1p(z: Complex64) -> Complex64 {
    Complex64::new(0.5 * (z.re * (2.0 + z.re) + z.im * z.im).ln_1p(), z.im.atan2(1.0 + z.re))
}

/// `e^z - 1`, without loss of digits where `z` is small.
pub(crate) fn exp_m1(z: Complex64) -> Complex64 {
    let half = (0.5 * z.im).sin();
    Complex64::new(z.re.exp_m1() * z.im.cos() - 2.0 * half * half, z.re.exp() * z.im.sin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_arguments_lose_no_digits() {
        for exponent in [-300, -30, -9, -3] {
            let z = Complex64::new(1.5, -0.5) * 10f64.powi(exponent);
            let square = z * z / 2.0;
            for (found, series) in [(ln_1p(z), z - square), (exp_m1(z), z + square)] {
                assert!((found - series).norm() <= 2.0 * (z * z * z).norm() + 1e-15 * z.norm(), "{z}: {found} {series}");
            }
        }
        assert!((exp_m1(Complex64::new(1.0, 2.0)) - (Complex64::new(1.0, 2.0).exp() - 1.0)).norm() < 1e-15);
        assert!((ln_exp_m1(50.0) - 50.0).abs() < 1e-15 && (ln_exp_m1(1.0) - 1f64.exp_m1().ln()).abs() < 1e-15);
        assert!((ln_1p_exp(-2.0) - (-2f64).exp().ln_1p()).abs() < 1e-15);
        assert_eq!((times(0, f64::INFINITY), times(3, 2.0)), (0.0, 6.0));
    }

    #[test]
    fn a_convex_function_is_least_where_it_is() {
        for at in [-39.5, -3.0, 0.25, 17.0] {
            assert!((least_of_convex(|x| (x - at).powi(2), -40.0, 40.0) - at).abs() < 1e-5);
            assert!((least_of_convex(|x| (x - at).abs(), -40.0, 40.0) - at).abs() < 1e-5);
        }
    }
}
