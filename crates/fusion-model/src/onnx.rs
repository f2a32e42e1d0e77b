//! ONNX import: from a file's bytes to a typed [`Graph`].
//!
//! The operators of image classifiers are supported: convolutions (groups, strides, pads,
//! dilations), dense layers, batch normalisation, ReLU and other activation functions, maxima,
//! averages, sums and products, concatenation and splitting of channels. Operators that only move
//! data (Reshape, Transpose, Squeeze, channels last) become another view of the same value, or an
//! order of channels; what computes shapes or rearranges constants is folded. Softmax, LogSoftmax,
//! ArgMax or Sigmoid at the end are left out, with what reshapes their result, because they do not
//! change the label. Anything else is refused with the node's name, its operator and what to do
//! about it. `docs/models.md` has the list.
//!
//! A network with one score is a classifier of two classes: no (0) and, above zero, yes (1).
//!
//! The batch axis is taken off: a graph describes one sample.
//!
//! The message types are generated (`cargo xtask codegen`) from `proto/onnx.proto`, the part of the
//! format that is read here.

mod attributes;
mod constant;
mod error;
mod external;
mod fold;
mod importer;
mod operators;
pub(crate) mod proto;
mod view;
mod window;

pub use error::ImportError;

use std::collections::HashSet;
use std::path::Path;

use bytes::Bytes;
use prost::Message as _;

use self::external::ExternalData;
use self::importer::Importer;
use crate::graph::Graph;
use crate::passes;

#[cfg(test)]
mod tests;

/// What a file alone does not say.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions<'a> {
    /// The folder of the file, for weights that are kept in files beside it. Without one such a
    /// model is refused.
    pub folder: Option<&'a Path>,
    /// The shape of an image in the file's order, with or without the batch, where the file leaves
    /// it open.
    pub input_shape: Option<Vec<usize>>,
    /// The output with the class scores, by its name; needed where there are several.
    pub output: Option<String>,
}

/// Imports an ONNX file and brings it into the form that the planner takes (see
/// [`passes::simplify`]).
///
/// # Errors
/// The file is malformed or uses something unsupported; the error names the node.
pub fn import(file: &[u8]) -> Result<Graph, ImportError> {
    import_with(file, &ImportOptions::default())
}

/// [`import`] with what the file does not say.
///
/// # Errors
/// As [`import`].
pub fn import_with(file: &[u8], options: &ImportOptions<'_>) -> Result<Graph, ImportError> {
    let graph = import_raw(file, options)?;
    Ok(passes::simplify(&graph)?)
}

/// Imports an ONNX file node by node, without simplifying anything.
///
/// # Errors
/// As [`import`].
pub fn import_raw(file: &[u8], options: &ImportOptions<'_>) -> Result<Graph, ImportError> {
    let model = proto::ModelProto::decode(Bytes::copy_from_slice(file)).map_err(|e| ImportError::Decode(e.to_string()))?;
    let opset = model.opset_import.iter().filter(|o| o.domain().is_empty() || o.domain() == "ai.onnx").map(|o| o.version()).max();
    let graph = model.graph.ok_or_else(|| ImportError::Decode("it has no graph".to_owned()))?;
    let output = output_name(&graph, options.output.as_deref())?;
    let needed = needed_nodes(&graph, output);
    let read: HashSet<&str> = needed.iter().flat_map(|&index| &graph.node[index].input).map(String::as_str).collect();
    let external = ExternalData { folder: options.folder };
    let shape = options.input_shape.as_deref();
    let mut importer = Importer::new(&graph, opset.unwrap_or(1), external, shape, |name| read.contains(name))?;
    for (_, node) in graph.node.iter().enumerate().filter(|(index, _)| needed.contains(index)) {
        let values = operators::import_node(&mut importer, node)?;
        importer.insert(node, values)?;
    }
    importer.finish(output)
}

/// The output that has the class scores.
fn output_name<'a>(graph: &'a proto::GraphProto, asked: Option<&'a str>) -> Result<&'a str, ImportError> {
    let names: Vec<&str> = graph.output.iter().map(proto::ValueInfoProto::name).collect();
    match (asked, names.as_slice()) {
        // Any value of the graph may be asked for: the scores may lie before the outputs.
        (Some(name), _) if graph.node.iter().any(|node| node.output.iter().any(|output| output == name)) => Ok(name),
        (Some(name), _) => Err(ImportError::Model(format!("it has no output `{name}`, only {}", quoted(&names)))),
        (None, [name]) => Ok(name),
        (None, []) => Err(ImportError::Model("it has no output".to_owned())),
        (None, _) => {
            Err(ImportError::Model(format!("it has the outputs {}; name the one with the class scores by --output", quoted(&names))))
        }
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Indices of the nodes that the output depends on. Training exports may hold others, which need
/// not be supported.
fn needed_nodes(file: &proto::GraphProto, output: &str) -> HashSet<usize> {
    let mut names = HashSet::from([output]);
    let mut needed = HashSet::new();
    for (index, node) in file.node.iter().enumerate().rev() {
        if node.output.iter().any(|o| names.contains(o.as_str())) {
            needed.insert(index);
            names.extend(node.input.iter().map(String::as_str));
        }
    }
    needed
}
