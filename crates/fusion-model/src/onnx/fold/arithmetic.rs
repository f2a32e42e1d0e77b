//! Arithmetic of constants, and constants spread over larger shapes.

use super::places::{MAX_ELEMENTS, axis_of, places, strides, volume};
use crate::onnx::attributes::OnnxNode;
use crate::onnx::constant::{Constant, Numbers};

/// Two constants, spread over one another as ONNX says.
pub(super) fn binary(inputs: &[&Constant], integers: fn(i64, i64) -> Option<i64>, reals: fn(f32, f32) -> f32) -> Option<Constant> {
    let &[a, b] = inputs else { return None };
    let dims = common_shape(&a.dims, &b.dims)?;
    let places = (spread(&a.dims, &dims)?, spread(&b.dims, &dims)?);
    let pairs = places.0.into_iter().zip(places.1);
    let data = match (&a.data, &b.data) {
        (Numbers::Integer(x), Numbers::Integer(y)) => Numbers::Integer(pairs.map(|(i, j)| integers(x[i], y[j])).collect::<Option<_>>()?),
        (Numbers::Real(x), Numbers::Real(y)) => {
            let values: Vec<f32> = pairs.map(|(i, j)| reals(x[i], y[j])).collect();
            values.iter().all(|value| value.is_finite()).then_some(Numbers::Real(values))?
        }
        _ => return None,
    };
    Some(Constant { dims, data })
}

/// The shape that two shapes have in common when axes of size 1 are spread.
fn common_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis]);
    let one = |axis: usize| match (at(a, axis), at(b, axis)) {
        (1, n) | (n, 1) => Some(n),
        (n, m) => (n == m).then_some(n),
    };
    (0..rank).map(one).collect()
}

/// For every place of a tensor of shape `dims`, the place of the constant of shape `source` that is
/// spread over it.
fn spread(source: &[usize], dims: &[usize]) -> Option<Vec<usize>> {
    let count = volume(dims)?;
    let own = source.iter().product::<usize>();
    (count <= MAX_ELEMENTS.max(own)).then_some(())?;
    let (strides, missing) = (strides(source), dims.len().checked_sub(source.len())?);
    let mut places = vec![0];
    for (axis, &dim) in dims.iter().enumerate() {
        let own = axis.checked_sub(missing).map_or((1, 0), |axis| (source[axis], strides[axis]));
        let step = if own.0 == 1 { 0 } else { own.1 };
        (own.0 == 1 || own.0 == dim).then_some(())?;
        places = places.iter().flat_map(|&place| (0..dim).map(move |at| place + at * step)).collect();
    }
    Some(places)
}

pub(super) fn unary(constant: &Constant, integers: fn(i64) -> Option<i64>, reals: fn(f32) -> f32) -> Option<Constant> {
    let data = match &constant.data {
        Numbers::Integer(values) => Numbers::Integer(values.iter().map(|&x| integers(x)).collect::<Option<_>>()?),
        Numbers::Real(values) => {
            let values: Vec<f32> = values.iter().map(|&x| reals(x)).collect();
            values.iter().all(|value| value.is_finite()).then_some(Numbers::Real(values))?
        }
    };
    Some(Constant { dims: constant.dims.clone(), data })
}

/// start, start + delta, .. up to and without the limit.
pub(super) fn range(inputs: &[&Constant]) -> Option<Constant> {
    let one = |constant: &&Constant| match &constant.data {
        Numbers::Integer(values) => values.first().copied().filter(|_| values.len() == 1),
        Numbers::Real(_) => None,
    };
    let &[start, limit, delta] = inputs.iter().map(one).collect::<Option<Vec<_>>>()?.as_slice() else { return None };
    let span = limit.checked_sub(start)?;
    let count = if delta == 0 || (span > 0) != (delta > 0) { 0 } else { span.unsigned_abs().div_ceil(delta.unsigned_abs()) };
    (delta != 0 && count <= MAX_ELEMENTS as u64).then(|| Constant::integers((0..count as i64).map(|i| start + i * delta).collect()))
}

pub(super) fn expand(constant: &Constant, target: Option<&Constant>) -> Option<Constant> {
    let Numbers::Integer(target) = &target?.data else { return None };
    let target: Vec<usize> = target.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<_>>()?;
    let dims = common_shape(&constant.dims, &target)?;
    let places = spread(&constant.dims, &dims)?;
    Some(constant.picked(dims, &places))
}

pub(super) fn tile(constant: &Constant, repeats: Option<&Constant>) -> Option<Constant> {
    let Numbers::Integer(repeats) = &repeats?.data else { return None };
    (repeats.len() == constant.dims.len()).then_some(())?;
    let mut chosen = Vec::with_capacity(repeats.len());
    let mut all = 1usize;
    for (&size, &times) in constant.dims.iter().zip(repeats) {
        let count = size.checked_mul(usize::try_from(times).ok()?)?;
        all = all.checked_mul(count).filter(|&all| all > 0 && all <= MAX_ELEMENTS.max(constant.len()))?;
        chosen.push((0..count).map(|at| at % size).collect::<Vec<usize>>());
    }
    Some(constant.picked(chosen.iter().map(Vec::len).collect(), &places(&constant.dims, &chosen)))
}

pub(super) fn reduce_product(constant: &Constant, node: OnnxNode<'_>) -> Option<Constant> {
    let Numbers::Integer(values) = &constant.data else { return None };
    let product = values.iter().try_fold(1i64, |all, &x| all.checked_mul(x))?;
    (constant.dims.len() == 1 && node.int("noop_with_empty_axes", 0) == 0).then_some(())?;
    let keep = node.int("keepdims", 1) != 0;
    Some(Constant { dims: if keep { vec![1] } else { Vec::new() }, data: Numbers::Integer(vec![product]) })
}

/// (x - zero) * scale, with one scale, or one for each place along `axis`.
pub(super) fn dequantize(inputs: &[&Constant], axis: i64) -> Option<Constant> {
    let (&x, &scale) = (inputs.first()?, inputs.get(1)?);
    let (Numbers::Integer(values), Numbers::Real(scales)) = (&x.data, &scale.data) else { return None };
    // One scale, or a list of them: blocks of scales have the rank of the constant.
    (scale.dims.len() <= 1).then_some(())?;
    let zeros = match inputs.get(2).map(|zero| &zero.data) {
        None => vec![0; scales.len()],
        Some(Numbers::Integer(zeros)) if zeros.len() == scales.len() => zeros.clone(),
        Some(_) => return None,
    };
    let (stride, along) = match scales.len() {
        1 => (x.len().max(1), 1),
        n => {
            let axis = axis_of(axis, x.dims.len())?;
            (x.dims[axis] == n).then_some(())?;
            (strides(&x.dims)[axis], n)
        }
    };
    let one = |(place, &value): (usize, &i64)| {
        let at = place / stride % along;
        (i128::from(value) - i128::from(zeros[at])) as f32 * scales[at]
    };
    Some(Constant { dims: x.dims.clone(), data: Numbers::Real(values.iter().enumerate().map(one).collect()) })
}
