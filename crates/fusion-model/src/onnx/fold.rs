//! Constant folding: nodes that compute shapes, or rearrange constants, before anything depends on
//! the image. Exporters write them around reshapes and pads that are fixed in the end.
//!
//! The batch axis counts as 1: a graph describes one sample, and reshapes take any batch.

mod arithmetic;
mod places;

use self::arithmetic::{binary, dequantize, expand, range, reduce_product, tile, unary};
use self::places::{MAX_ELEMENTS, axis_of, places, strides, volume};
use super::attributes::OnnxNode;
use super::constant::{Constant, Numbers};
use super::error::ImportError;
use super::importer::{Importer, Value};

/// The constant that `node` computes; `None` if it depends on the image or is none of these
/// operators.
pub(super) fn fold(importer: &Importer<'_>, node: OnnxNode<'_>) -> Result<Option<Constant>, ImportError> {
    if node.operator() == "Shape" {
        return shape(importer, node);
    }
    let mut inputs = Vec::with_capacity(node.inputs().len());
    let given = node.inputs().iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    if node.inputs()[..given].iter().any(String::is_empty) {
        // What is left out between others would move the others to other places.
        return Ok(None);
    }
    for name in node.inputs().iter().filter(|name| !name.is_empty()) {
        match importer.values.get(name.as_str()) {
            Some(Value::Constant(constant)) => inputs.push(constant),
            _ => return Ok(None),
        }
    }
    let Some(&first) = inputs.first() else { return Ok(None) };
    let invalid = |reason: &str| node.invalid(reason.to_owned());
    let folded = match node.operator() {
        "Identity" => Some(first.clone()),
        "Cast" => Some(cast(first, node.int("to", 1)).ok_or_else(|| invalid("it casts to a type that is not read"))?),
        "Gather" => gather(first, inputs.get(1).copied(), node.int("axis", 0)),
        "Unsqueeze" => unsqueeze(first, &axes(node, inputs.get(1).copied())),
        "Squeeze" => squeeze(first, &axes(node, inputs.get(1).copied())),
        "Concat" => concat(&inputs, node.int("axis", 0)),
        "Slice" => slice(first, &inputs[1..], node),
        "Transpose" => transpose(first, node),
        "Reshape" => reshape(first, inputs.get(1).copied()),
        "ConstantOfShape" => constant_of_shape(importer, first, node)?,
        "Range" => range(&inputs),
        "Expand" => expand(first, inputs.get(1).copied()),
        "Tile" => tile(first, inputs.get(1).copied()),
        "DequantizeLinear" if node.int("block_size", 0) == 0 => dequantize(&inputs, node.int("axis", 1)),
        "Neg" => unary(first, i64::checked_neg, |x| -x),
        "Sqrt" => unary(first, |_| None, f32::sqrt),
        "Reciprocal" => unary(first, |_| None, f32::recip),
        "Floor" => unary(first, Some, f32::floor),
        "Ceil" => unary(first, Some, f32::ceil),
        "ReduceProd" if inputs.len() == 1 && node.attribute("axes").is_none() => reduce_product(first, node),
        "Add" => binary(&inputs, i64::checked_add, |a, b| a + b),
        "Sub" => binary(&inputs, i64::checked_sub, |a, b| a - b),
        "Mul" => binary(&inputs, i64::checked_mul, |a, b| a * b),
        "Div" => binary(&inputs, i64::checked_div, |a, b| a / b),
        _ => return Ok(None),
    };
    let folded = folded.filter(|constant| volume(&constant.dims).is_some());
    folded.map(Some).ok_or_else(|| invalid("it rearranges constants in a way that is not possible, or not read"))
}

/// The shape of a value, with the batch as 1.
fn shape(importer: &Importer<'_>, node: OnnxNode<'_>) -> Result<Option<Constant>, ImportError> {
    let name = node.input(0).ok_or_else(|| node.invalid("input 0 is missing"))?;
    let dims: Vec<usize> = match importer.values.get(name) {
        Some(Value::Constant(constant)) => constant.dims.clone(),
        Some(Value::Activation { view, .. }) => std::iter::once(1).chain(view.dims()).collect(),
        _ => return Ok(None),
    };
    let place = |attribute: &str, default: i64| {
        let at = node.int(attribute, default);
        let at = if at < 0 { at + dims.len() as i64 } else { at };
        at.clamp(0, dims.len() as i64) as usize
    };
    let (start, end) = (place("start", 0), place("end", dims.len() as i64));
    Ok(Some(Constant::integers(dims.get(start..end).unwrap_or_default().iter().map(|&n| n as i64).collect())))
}

fn cast(constant: &Constant, to: i64) -> Option<Constant> {
    let data = match (&constant.data, to) {
        (Numbers::Real(values), 1 | 11) => Numbers::Real(values.clone()),
        (Numbers::Real(values), 10) if values.iter().all(|v| v.abs() <= 65504.0) => Numbers::Real(values.clone()),
        (Numbers::Integer(values), 7) => Numbers::Integer(values.clone()),
        (Numbers::Integer(values), 6) if values.iter().all(|&v| i32::try_from(v).is_ok()) => Numbers::Integer(values.clone()),
        (Numbers::Integer(values), 9) => Numbers::Integer(values.iter().map(|&v| i64::from(v != 0)).collect()),
        (Numbers::Real(values), 6 | 7) if values.iter().all(|v| v.abs() < 2e9) => {
            Numbers::Integer(values.iter().map(|&v| v as i64).collect())
        }
        (Numbers::Integer(values), 1 | 11) => Numbers::Real(values.iter().map(|&v| v as f32).collect()),
        _ => return None,
    };
    Some(Constant { dims: constant.dims.clone(), data })
}

/// Axes by attribute (old operator sets) or by input.
fn axes(node: OnnxNode<'_>, given: Option<&Constant>) -> Option<Vec<i64>> {
    match (given.map(|constant| &constant.data), node.attribute("axes")) {
        (Some(Numbers::Integer(axes)), _) => Some(axes.clone()),
        (None, Some(attribute)) => Some(attribute.ints.clone()),
        _ => None,
    }
}

fn unsqueeze(constant: &Constant, axes: &Option<Vec<i64>>) -> Option<Constant> {
    let axes = axes.as_ref()?;
    let rank = constant.dims.len().checked_add(axes.len()).filter(|&rank| rank <= 8)?;
    let mut new: Vec<usize> = axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Option<_>>()?;
    new.sort_unstable();
    let mut dims = constant.dims.clone();
    for axis in new {
        (axis <= dims.len()).then(|| dims.insert(axis, 1))?;
    }
    Some(Constant { dims, data: constant.data.clone() })
}

fn squeeze(constant: &Constant, axes: &Option<Vec<i64>>) -> Option<Constant> {
    let rank = constant.dims.len();
    let gone: Vec<usize> = match axes {
        Some(axes) => axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Option<_>>()?,
        None => (0..rank).filter(|&axis| constant.dims[axis] == 1).collect(),
    };
    gone.iter().all(|&axis| constant.dims[axis] == 1).then_some(())?;
    let kept = |(axis, &size): (usize, &usize)| (!gone.contains(&axis)).then_some(size);
    Some(Constant { dims: constant.dims.iter().enumerate().filter_map(kept).collect(), data: constant.data.clone() })
}

fn reshape(constant: &Constant, target: Option<&Constant>) -> Option<Constant> {
    let Numbers::Integer(target) = &target?.data else { return None };
    let (all, mut known, mut inferred) = (constant.len(), 1usize, None);
    let mut dims = Vec::with_capacity(target.len().min(8));
    for (axis, &size) in target.iter().enumerate() {
        let size = match size {
            -1 if inferred.is_none() => {
                inferred = Some(axis);
                1
            }
            0 => *constant.dims.get(axis)?,
            size => usize::try_from(size).ok()?,
        };
        known = known.checked_mul(size)?;
        dims.push(size);
    }
    match inferred {
        Some(axis) if known > 0 && all.is_multiple_of(known) => dims[axis] = all / known,
        None if known == all => {}
        _ => return None,
    }
    Some(Constant { dims, data: constant.data.clone() })
}

fn constant_of_shape(importer: &Importer<'_>, target: &Constant, node: OnnxNode<'_>) -> Result<Option<Constant>, ImportError> {
    let Numbers::Integer(target) = &target.data else { return Ok(None) };
    let value = match node.attribute("value").and_then(|a| a.t.as_ref()) {
        Some(tensor) => Constant::read(tensor, importer.external).map_err(|reason| node.invalid(reason))?,
        None => Constant::real(vec![1], vec![0.0]),
    };
    let dims: Option<Vec<usize>> = target.iter().map(|&size| usize::try_from(size).ok()).collect();
    let count = dims.as_ref().and_then(|dims| volume(dims));
    let (Some(dims), Some(count)) = (dims, count.filter(|&count| count <= MAX_ELEMENTS && value.len() == 1)) else { return Ok(None) };
    Ok(Some(value.picked(dims, &vec![0; count])))
}

fn gather(constant: &Constant, indices: Option<&Constant>, axis: i64) -> Option<Constant> {
    let indices = indices?;
    let Numbers::Integer(wanted) = &indices.data else { return None };
    let axis = axis_of(axis, constant.dims.len())?;
    let wanted = wanted.iter().map(|&at| axis_of(at, constant.dims[axis])).collect::<Option<Vec<_>>>()?;
    let rest = constant.len() / constant.dims[axis].max(1);
    (rest.saturating_mul(wanted.len()) <= MAX_ELEMENTS.max(constant.len())).then_some(())?;
    let chosen: Vec<Vec<usize>> =
        constant.dims.iter().enumerate().map(|(at, &size)| if at == axis { wanted.clone() } else { (0..size).collect() }).collect();
    let dims = [&constant.dims[..axis], &indices.dims, &constant.dims[axis + 1..]].concat();
    Some(constant.picked(dims, &places(&constant.dims, &chosen)))
}

fn concat(inputs: &[&Constant], axis: i64) -> Option<Constant> {
    let first = inputs.first()?;
    let axis = axis_of(axis, first.dims.len())?;
    // Along the first axis the elements of one input follow those of the one before.
    let others = |constant: &Constant| constant.dims.get(1..).map(<[usize]>::to_vec);
    (axis == 0 && inputs.iter().all(|input| others(input) == others(first))).then_some(())?;
    let mut dims = first.dims.clone();
    dims[0] = inputs.iter().map(|input| input.dims[0]).sum();
    let data = match &first.data {
        Numbers::Integer(_) => {
            let parts = inputs.iter().map(|input| if let Numbers::Integer(values) = &input.data { Some(values.clone()) } else { None });
            Numbers::Integer(parts.collect::<Option<Vec<_>>>()?.concat())
        }
        Numbers::Real(_) => {
            let parts = inputs.iter().map(|input| if let Numbers::Real(values) = &input.data { Some(values.clone()) } else { None });
            Numbers::Real(parts.collect::<Option<Vec<_>>>()?.concat())
        }
    };
    Some(Constant { dims, data })
}

fn slice(constant: &Constant, inputs: &[&Constant], node: OnnxNode<'_>) -> Option<Constant> {
    let integers = |index: usize, name: &str| match (inputs.get(index).map(|c| &c.data), node.attribute(name)) {
        (Some(Numbers::Integer(values)), _) => Some(values.clone()),
        (None, Some(attribute)) => Some(attribute.ints.clone()),
        _ => None,
    };
    let (starts, ends) = (integers(0, "starts")?, integers(1, "ends")?);
    let axes = integers(2, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = integers(3, "steps").unwrap_or_else(|| vec![1; starts.len()]);
    (starts.len() == ends.len() && starts.len() == axes.len() && starts.len() == steps.len()).then_some(())?;
    let mut chosen: Vec<Vec<usize>> = constant.dims.iter().map(|&size| (0..size).collect()).collect();
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = axis_of(axis, constant.dims.len())?;
        let size = i64::try_from(constant.dims[axis]).ok()?;
        let from_end = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (start, end) = (from_end(start), from_end(end));
        chosen[axis] = match step {
            1.. => (start.clamp(0, size)..end.clamp(0, size)).step_by(usize::try_from(step).ok()?).map(|at| at as usize).collect(),
            0 => return None,
            _ => {
                let (start, end) = (start.clamp(-1, size - 1), end.clamp(-1, size - 1));
                let back = usize::try_from(step.checked_neg()?).ok()?;
                (end + 1..=start).rev().step_by(back).map(|at| at as usize).collect()
            }
        };
    }
    Some(constant.picked(chosen.iter().map(Vec::len).collect(), &places(&constant.dims, &chosen)))
}

fn transpose(constant: &Constant, node: OnnxNode<'_>) -> Option<Constant> {
    let rank = constant.dims.len();
    let order: Vec<usize> = match node.attribute("perm") {
        Some(attribute) => attribute.ints.iter().map(|&axis| axis_of(axis, rank)).collect::<Option<_>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    (sorted == (0..rank).collect::<Vec<_>>()).then_some(())?;
    let strides = strides(&constant.dims);
    let mut places = vec![0];
    for &axis in &order {
        let (size, stride) = (constant.dims[axis], strides[axis]);
        places = places.iter().flat_map(|&place| (0..size).map(move |at| place + at * stride)).collect();
    }
    Some(constant.picked(order.iter().map(|&axis| constant.dims[axis]).collect(), &places))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integers(dims: &[usize], data: &[i64]) -> Constant {
        Constant { dims: dims.to_vec(), data: Numbers::Integer(data.to_vec()) }
    }

    #[test]
    fn constants_are_rearranged_as_onnx_says() {
        let matrix = integers(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(gather(&matrix, Some(&integers(&[2], &[2, -3])), 1), Some(integers(&[2, 2], &[3, 1, 6, 4])));
        assert_eq!(gather(&matrix, Some(&integers(&[], &[1])), 0), Some(integers(&[3], &[4, 5, 6])));
        assert_eq!(gather(&matrix, Some(&integers(&[1], &[3])), 1), None);
        assert_eq!(unsqueeze(&matrix, &Some(vec![0, -1])), Some(integers(&[1, 2, 3, 1], &[1, 2, 3, 4, 5, 6])));
        assert_eq!(squeeze(&integers(&[1, 2, 1], &[7, 8]), &None), Some(integers(&[2], &[7, 8])));
        assert_eq!(squeeze(&matrix, &Some(vec![0])), None);
        assert_eq!(reshape(&matrix, Some(&integers(&[2], &[-1, 2]))), Some(integers(&[3, 2], &[1, 2, 3, 4, 5, 6])));
        assert_eq!(reshape(&matrix, Some(&integers(&[1], &[4]))), None);
        assert_eq!(concat(&[&matrix, &integers(&[1, 3], &[7, 8, 9])], 0), Some(integers(&[3, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9])));
        let row = integers(&[3], &[2, 4, 9]);
        assert_eq!(binary(&[&row, &integers(&[], &[2])], i64::checked_div, |a, b| a / b), Some(integers(&[3], &[1, 2, 4])));
        assert_eq!(binary(&[&row, &integers(&[], &[0])], i64::checked_div, |a, b| a / b), None);
        assert_eq!(binary(&[&row, &integers(&[2], &[1, 1])], i64::checked_add, |a, b| a + b), None);
        assert_eq!(cast(&Constant::real(vec![2], vec![1.9, -1.9]), 7), Some(integers(&[2], &[1, -1])));
    }
}
