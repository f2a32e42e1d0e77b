//! The private weights file: safetensors with one array per convolution, one of biases per linear
//! step, and the server's key.

use fusion_rlwe::ServerKey;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use zeroize::Zeroizing;

use super::error::PackageError;
use crate::program::{LinearWeights, Op, Program, Weights};

/// What only the server holds.
pub struct PrivateModel {
    /// Integer weights of the program.
    pub weights: Weights,
    /// Key of the hint's masks, fresh for every package. It also hides the weights in the public
    /// digest of their file.
    pub key: ServerKey,
}

/// Name of the server's key.
const KEY: &str = "server_key";

fn term_name(step: usize, term: usize) -> String {
    format!("linear{step:04}.weight{term}")
}

fn bias_name(step: usize) -> String {
    format!("linear{step:04}.bias")
}

/// More bytes than any weights file of this program has.
pub(super) fn longest_file(program: &Program) -> u64 {
    let mut bytes = 1 << 16;
    for step in &program.steps {
        let Op::Linear { terms, .. } = &step.op else { continue };
        // Names, types and offsets take less than 256 bytes of header per array.
        bytes += 256 * (terms.len() + 1) + 8 * program.tensors[step.output.0].shape.channels;
        bytes += terms.iter().map(|t| 2 * t.geometry.weights()).sum::<usize>();
    }
    bytes as u64
}

pub(super) fn encode(private: &PrivateModel) -> Result<Zeroizing<Vec<u8>>, PackageError> {
    let mut arrays: Vec<(String, Dtype, usize, Zeroizing<Vec<u8>>)> = Vec::new();
    for (index, linear) in private.weights.linear.iter().enumerate() {
        for (term, weights) in linear.terms.iter().enumerate() {
            let bytes = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
            arrays.push((term_name(index, term), Dtype::I16, weights.len(), Zeroizing::new(bytes)));
        }
        let bytes = linear.bias.iter().flat_map(|b| b.to_le_bytes()).collect();
        arrays.push((bias_name(index), Dtype::I64, linear.bias.len(), Zeroizing::new(bytes)));
    }
    arrays.push((KEY.to_owned(), Dtype::U8, 32, Zeroizing::new(private.key.as_bytes().to_vec())));
    let mut views = Vec::with_capacity(arrays.len());
    for (name, dtype, len, bytes) in &arrays {
        views.push((name.as_str(), TensorView::new(*dtype, vec![*len], bytes).map_err(malformed)?));
    }
    Ok(Zeroizing::new(safetensors::serialize(views, None).map_err(malformed)?))
}

/// Reads a file for a valid program. Lengths are checked by [`Weights::validate`].
pub(super) fn decode(program: &Program, bytes: &[u8]) -> Result<PrivateModel, PackageError> {
    let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let array = |name: &str, dtype: Dtype| {
        let view = file.tensor(name).map_err(malformed)?;
        if view.dtype() == dtype { Ok(view.data()) } else { Err(PackageError::WeightsFormat(format!("`{name}` is not {dtype:?}"))) }
    };
    let mut weights = Weights::default();
    for step in &program.steps {
        let Op::Linear { terms, .. } = &step.op else { continue };
        let index = weights.linear.len();
        let mut linear = LinearWeights { terms: Vec::with_capacity(terms.len()), bias: Vec::new() };
        for term in 0..terms.len() {
            let (words, _) = array(&term_name(index, term), Dtype::I16)?.as_chunks::<2>();
            linear.terms.push(words.iter().map(|b| i16::from_le_bytes(*b)).collect());
        }
        let (words, _) = array(&bias_name(index), Dtype::I64)?.as_chunks::<8>();
        linear.bias = words.iter().map(|b| i64::from_le_bytes(*b)).collect();
        weights.linear.push(linear);
    }
    let key: &[u8; 32] =
        array(KEY, Dtype::U8)?.try_into().map_err(|_| PackageError::WeightsFormat(format!("`{KEY}` is not 32 bytes long")))?;
    Ok(PrivateModel { weights, key: ServerKey::from_bytes(*key) })
}

fn malformed(error: safetensors::SafeTensorError) -> PackageError {
    PackageError::WeightsFormat(error.to_string())
}
