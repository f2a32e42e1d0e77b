//! Constants of an ONNX file: initializers and `Constant` nodes.

use super::external::ExternalData;
use super::proto;

/// A dense constant. Numbers are held as `f32` for arithmetic and as `i64` for shapes and axes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) data: Numbers,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Numbers {
    Real(Vec<f32>),
    Integer(Vec<i64>),
}

impl Constant {
    pub(super) fn real(dims: Vec<usize>, data: Vec<f32>) -> Self {
        Self { dims, data: Numbers::Real(data) }
    }

    pub(super) fn integers(data: Vec<i64>) -> Self {
        Self { dims: vec![data.len()], data: Numbers::Integer(data) }
    }

    /// Decodes a tensor; the error says what is wrong with it.
    pub(super) fn read(tensor: &proto::TensorProto, external: ExternalData<'_>) -> Result<Self, String> {
        let (dims, count) = sizes(&tensor.dims)?;
        let outside;
        let raw = if tensor.data_location() == 0 {
            tensor.raw_data.as_deref()
        } else {
            let width = width(tensor.data_type()).ok_or_else(|| unread_type(tensor.data_type()))?;
            outside = external.read(tensor, count.checked_mul(width).ok_or("its size overflows")?)?;
            Some(outside.as_slice())
        };
        let constant = Self { dims, data: numbers(tensor, raw)? };
        if constant.len() != count {
            return Err(format!("{} elements where its dimensions say {count}", constant.len()));
        }
        if let Numbers::Real(values) = &constant.data
            && values.iter().any(|x| x.is_nan())
        {
            return Err("it holds something that is not a number (NaN)".to_owned());
        }
        Ok(constant)
    }

    /// Decodes a tensor that is mostly zeros.
    pub(super) fn read_sparse(tensor: &proto::SparseTensorProto, external: ExternalData<'_>) -> Result<Self, String> {
        let (dims, count) = sizes(&tensor.dims)?;
        if count > MAX_SPARSE {
            return Err(format!("it has {count} elements, zeros included; at most {MAX_SPARSE} are read"));
        }
        let read = |part: &Option<proto::TensorProto>| Self::read(part.as_ref().ok_or("it has no numbers")?, external);
        let (values, places) = (read(&tensor.values)?, read(&tensor.indices)?);
        let (Numbers::Real(values), Numbers::Integer(indices)) = (&values.data, &places.data) else {
            return Err("a sparse constant should hold real numbers at integer places".to_owned());
        };
        let per_value = match places.dims.as_slice() {
            [n] if *n == values.len() => 1,
            [n, rank] if *n == values.len() && *rank == dims.len() => *rank,
            other => return Err(format!("its places are {other:?} for {} numbers", values.len())),
        };
        let mut dense = vec![0.0; count];
        for (value, place) in values.iter().zip(indices.chunks(per_value.max(1))) {
            let linear = if per_value == 1 && places.dims.len() == 1 {
                place.first().and_then(|&place| usize::try_from(place).ok())
            } else {
                place.iter().zip(&dims).try_fold(0usize, |at, (&place, &dim)| {
                    usize::try_from(place).ok().filter(|&place| place < dim).map(|place| at * dim + place)
                })
            };
            let slot = linear.and_then(|linear| dense.get_mut(linear)).ok_or_else(|| format!("place {place:?} is outside {dims:?}"))?;
            *slot = *value;
        }
        Ok(Self { dims, data: Numbers::Real(dense) })
    }

    /// A constant of these dimensions, made of the elements at `places`, each of which is there.
    pub(super) fn picked(&self, dims: Vec<usize>, places: &[usize]) -> Self {
        let data = match &self.data {
            Numbers::Real(values) => Numbers::Real(places.iter().map(|&place| values[place]).collect()),
            Numbers::Integer(values) => Numbers::Integer(places.iter().map(|&place| values[place]).collect()),
        };
        Self { dims, data }
    }

    pub(super) fn len(&self) -> usize {
        match &self.data {
            Numbers::Real(v) => v.len(),
            Numbers::Integer(v) => v.len(),
        }
    }
}

/// Elements of a sparse constant, zeros included.
const MAX_SPARSE: usize = 1 << 24;

/// The dimensions of a tensor and how many elements they make.
fn sizes(stated: &[i64]) -> Result<(Vec<usize>, usize), String> {
    let mut dims = Vec::with_capacity(stated.len().min(8));
    let mut count = 1usize;
    for &dim in stated {
        let dim = usize::try_from(dim).map_err(|_| format!("dimension {dim} is negative"))?;
        count = count.checked_mul(dim).ok_or("its size overflows")?;
        dims.push(dim);
    }
    if count == 0 && dims.len() > 1 {
        return Err(format!("it has no elements, its dimensions are {dims:?}"));
    }
    Ok((dims, count))
}

/// Bytes of an element of a type that is read.
fn width(data_type: i32) -> Option<usize> {
    match data_type {
        2 | 3 | 9 => Some(1),
        4 | 5 | 10 | 16 => Some(2),
        1 | 6 | 12 => Some(4),
        7 | 11 => Some(8),
        _ => None,
    }
}

fn unread_type(data_type: i32) -> String {
    let name = match data_type {
        8 => "text",
        13 => "uint64",
        14 | 15 => "complex numbers",
        17..=20 => "8-bit floats",
        21 | 22 => "4-bit integers",
        _ => "an unknown type",
    };
    format!(
        "its element type {data_type} ({name}) is not read (float, double, float16, bfloat16, bool and integers of 8, 16, 32 and 64 bits are)"
    )
}

fn numbers(tensor: &proto::TensorProto, raw: Option<&[u8]>) -> Result<Numbers, String> {
    let narrow = || &tensor.int32_data;
    let integers = |convert: fn(i32) -> i64| Numbers::Integer(narrow().iter().map(|&x| convert(x)).collect());
    Ok(match (tensor.data_type(), raw) {
        (1, Some(raw)) => Numbers::Real(words(raw, f32::from_le_bytes)?),
        (1, None) => Numbers::Real(tensor.float_data.clone()),
        (2, Some(raw)) => Numbers::Integer(words(raw, |b| i64::from(u8::from_le_bytes(b)))?),
        (3, Some(raw)) => Numbers::Integer(words(raw, |b| i64::from(i8::from_le_bytes(b)))?),
        (4, Some(raw)) => Numbers::Integer(words(raw, |b| i64::from(u16::from_le_bytes(b)))?),
        (5, Some(raw)) => Numbers::Integer(words(raw, |b| i64::from(i16::from_le_bytes(b)))?),
        (6, Some(raw)) => Numbers::Integer(words(raw, |b| i64::from(i32::from_le_bytes(b)))?),
        (2 | 4 | 9, None) => integers(|x| i64::from(x as u16)),
        (3 | 5 | 6, None) => integers(i64::from),
        (7, Some(raw)) => Numbers::Integer(words(raw, i64::from_le_bytes)?),
        (7, None) => Numbers::Integer(tensor.int64_data.clone()),
        (9, Some(raw)) => Numbers::Integer(words(raw, |[b]| i64::from(b != 0))?),
        (10, Some(raw)) => Numbers::Real(words(raw, |b| half(u16::from_le_bytes(b)))?),
        (10, None) => Numbers::Real(narrow().iter().map(|&x| half(x as u16)).collect()),
        (11, Some(raw)) => Numbers::Real(words(raw, |b| f64::from_le_bytes(b) as f32)?),
        (11, None) => Numbers::Real(tensor.double_data.iter().map(|&x| x as f32).collect()),
        (12, Some(raw)) => Numbers::Integer(words(raw, |b| i64::from(u32::from_le_bytes(b)))?),
        (16, Some(raw)) => Numbers::Real(words(raw, |b| brain(u16::from_le_bytes(b)))?),
        (16, None) => Numbers::Real(narrow().iter().map(|&x| brain(x as u16)).collect()),
        (other, _) => return Err(unread_type(other)),
    })
}

/// bfloat16: the upper half of a single-precision number.
fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn words<const N: usize, T>(raw: &[u8], convert: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let (chunks, rest) = raw.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(format!("{} bytes of data are no whole number of {N}-byte elements", raw.len()));
    }
    Ok(chunks.iter().map(|&b| convert(b)).collect())
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => mantissa * 2f32.powi(-24),
        31 if mantissa == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        e => (1024.0 + mantissa) * 2f32.powi(e - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_exact() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0)] {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn every_type_is_read() {
        let raw = |data_type, raw: &[u8]| {
            let dims = vec![1];
            let tensor = proto::TensorProto { dims, data_type: Some(data_type), raw_data: Some(raw.to_vec().into()), ..Default::default() };
            Constant::read(&tensor, ExternalData::default()).unwrap().data
        };
        assert_eq!(raw(2, &[200]), Numbers::Integer(vec![200]));
        assert_eq!(raw(3, &[200]), Numbers::Integer(vec![-56]));
        assert_eq!(raw(4, &[1, 255]), Numbers::Integer(vec![65281]));
        assert_eq!(raw(5, &[1, 255]), Numbers::Integer(vec![-255]));
        assert_eq!(raw(9, &[7]), Numbers::Integer(vec![1]));
        assert_eq!(raw(12, &[255; 4]), Numbers::Integer(vec![(1 << 32) - 1]));
        assert_eq!(raw(16, &[0xc0, 0x3f]), Numbers::Real(vec![1.5]));
        assert_eq!(raw(1, &f32::NEG_INFINITY.to_le_bytes()), Numbers::Real(vec![f32::NEG_INFINITY]));
    }

    #[test]
    fn sparse_constants_are_filled_with_zeros() {
        let tensor = |dims: &[i64], reals: &[f32], integers: &[i64]| proto::TensorProto {
            dims: dims.to_vec(),
            data_type: Some(if integers.is_empty() { 1 } else { 7 }),
            float_data: reals.to_vec(),
            int64_data: integers.to_vec(),
            ..Default::default()
        };
        let sparse = |dims: &[i64], places: proto::TensorProto| {
            let values = Some(tensor(&[2], &[5.0, 6.0], &[]));
            let tensor = proto::SparseTensorProto { values, indices: Some(places), dims: dims.to_vec() };
            Constant::read_sparse(&tensor, ExternalData::default())
        };
        let expected = Constant::real(vec![2, 2], vec![0.0, 5.0, 0.0, 6.0]);
        assert_eq!(sparse(&[2, 2], tensor(&[2], &[], &[1, 3])), Ok(expected.clone()));
        assert_eq!(sparse(&[2, 2], tensor(&[2, 2], &[], &[0, 1, 1, 1])), Ok(expected));
        assert!(sparse(&[2, 2], tensor(&[2], &[], &[1, 4])).is_err());
        assert!(sparse(&[2, 2], tensor(&[2, 2], &[], &[0, 1, 1, 2])).is_err());
        assert!(sparse(&[2, 2], tensor(&[3], &[], &[0, 1, 2])).is_err());
        assert!(sparse(&[1 << 20, 1 << 20], tensor(&[2], &[], &[1, 3])).is_err());
    }

    #[test]
    fn bad_tensors_are_refused() {
        let tensor = |dims: &[i64], data_type, raw: &[u8]| proto::TensorProto {
            dims: dims.to_vec(),
            data_type: Some(data_type),
            raw_data: Some(raw.to_vec().into()),
            ..Default::default()
        };
        assert!(Constant::read(&tensor(&[2], 1, &[0; 8]), ExternalData::default()).is_ok());
        for (bad, message) in [
            (tensor(&[3], 1, &[0; 8]), "2 elements where its dimensions say 3"),
            (tensor(&[2], 1, &[0; 7]), "7 bytes of data are no whole number of 4-byte elements"),
            (tensor(&[-1], 1, &[0; 8]), "dimension -1 is negative"),
            (tensor(&[1 << 40, 1 << 40], 1, &[0; 8]), "its size overflows"),
            (tensor(&[1], 1, &f32::NAN.to_le_bytes()), "it holds something that is not a number (NaN)"),
            (
                tensor(&[8], 8, &[0; 8]),
                "its element type 8 (text) is not read (float, double, float16, bfloat16, bool and integers of 8, 16, 32 and 64 bits are)",
            ),
        ] {
            assert_eq!(Constant::read(&bad, ExternalData::default()).unwrap_err(), message);
        }
    }
}
