//! Constants of an ONNX file: initializers and `Constant` nodes.

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
    pub(super) fn read(tensor: &proto::TensorProto) -> Result<Self, String> {
        if tensor.data_location() != 0 {
            return Err("its data is in another file; save the model with its weights inside".to_owned());
        }
        let mut dims = Vec::with_capacity(tensor.dims.len().min(8));
        let mut count = 1usize;
        for &dim in &tensor.dims {
            let dim = usize::try_from(dim).map_err(|_| format!("dimension {dim} is negative"))?;
            count = count.checked_mul(dim).ok_or("its size overflows")?;
            dims.push(dim);
        }
        let raw = tensor.raw_data.as_deref();
        let data = match (tensor.data_type(), raw) {
            (1, Some(raw)) => Numbers::Real(words(raw, f32::from_le_bytes)?),
            (1, None) => Numbers::Real(tensor.float_data.clone()),
            (6, Some(raw)) => Numbers::Integer(words(raw, |b| i64::from(i32::from_le_bytes(b)))?),
            (6, None) => Numbers::Integer(tensor.int32_data.iter().map(|&x| i64::from(x)).collect()),
            (7, Some(raw)) => Numbers::Integer(words(raw, i64::from_le_bytes)?),
            (7, None) => Numbers::Integer(tensor.int64_data.clone()),
            (10, Some(raw)) => Numbers::Real(words(raw, |b| half(u16::from_le_bytes(b)))?),
            (10, None) => Numbers::Real(tensor.int32_data.iter().map(|&x| half(x as u16)).collect()),
            (11, Some(raw)) => Numbers::Real(words(raw, |b| f64::from_le_bytes(b) as f32)?),
            (11, None) => Numbers::Real(tensor.double_data.iter().map(|&x| x as f32).collect()),
            (other, _) => {
                return Err(format!("element type {other} is not read (float, double, float16, int32 and int64 are)"));
            }
        };
        let constant = Self { dims, data };
        if constant.len() != count {
            return Err(format!("{} elements where its dimensions say {count}", constant.len()));
        }
        if let Numbers::Real(values) = &constant.data
            && values.iter().any(|x| !x.is_finite())
        {
            return Err("it holds a number that is not finite".to_owned());
        }
        Ok(constant)
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
    fn bad_tensors_are_refused() {
        let tensor = |dims: &[i64], data_type, raw: &[u8]| proto::TensorProto {
            dims: dims.to_vec(),
            data_type: Some(data_type),
            raw_data: Some(raw.to_vec().into()),
            ..Default::default()
        };
        assert!(Constant::read(&tensor(&[2], 1, &[0; 8])).is_ok());
        for (bad, message) in [
            (tensor(&[3], 1, &[0; 8]), "2 elements where its dimensions say 3"),
            (tensor(&[2], 1, &[0; 7]), "7 bytes of data are no whole number of 4-byte elements"),
            (tensor(&[-1], 1, &[0; 8]), "dimension -1 is negative"),
            (tensor(&[1 << 40, 1 << 40], 1, &[0; 8]), "its size overflows"),
            (tensor(&[1], 1, &f32::NAN.to_le_bytes()), "it holds a number that is not finite"),
            (tensor(&[8], 2, &[0; 8]), "element type 2 is not read (float, double, float16, int32 and int64 are)"),
        ] {
            assert_eq!(Constant::read(&bad).unwrap_err(), message);
        }
    }
}
