//! Reading a node's attributes and making its errors.

use super::error::ImportError;
use super::proto;

/// A node of the file, with typed access to its attributes.
#[derive(Clone, Copy)]
pub(super) struct OnnxNode<'a> {
    node: &'a proto::NodeProto,
}

impl<'a> OnnxNode<'a> {
    pub(super) fn new(node: &'a proto::NodeProto) -> Self {
        Self { node }
    }

    /// The node's name, or its output's if it has none.
    pub(super) fn name(self) -> String {
        match self.node.name() {
            "" => self.node.output.first().cloned().unwrap_or_default(),
            name => name.to_owned(),
        }
    }

    pub(super) fn operator(self) -> &'a str {
        self.node.op_type()
    }

    /// Name of input `index`; an omitted optional input is `None`.
    pub(super) fn input(self, index: usize) -> Option<&'a str> {
        self.node.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    pub(super) fn inputs(self) -> &'a [String] {
        &self.node.input
    }

    pub(super) fn outputs(self) -> &'a [String] {
        &self.node.output
    }

    pub(super) fn unsupported(self, reason: impl Into<String>, advice: &'static str) -> ImportError {
        ImportError::Unsupported { node: self.name(), operator: self.node.op_type().to_owned(), reason: reason.into(), advice }
    }

    pub(super) fn invalid(self, reason: impl Into<String>) -> ImportError {
        ImportError::Invalid { node: self.name(), operator: self.node.op_type().to_owned(), reason: reason.into() }
    }

    pub(super) fn attribute(self, name: &str) -> Option<&'a proto::AttributeProto> {
        self.node.attribute.iter().find(|a| a.name() == name)
    }

    pub(super) fn int(self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i())
    }

    pub(super) fn float(self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f())
    }

    pub(super) fn string(self, name: &str, default: &'static str) -> Result<&'a str, ImportError> {
        match self.attribute(name) {
            Some(a) => std::str::from_utf8(a.s()).map_err(|_| self.invalid(format!("attribute `{name}` is not text"))),
            None => Ok(default),
        }
    }

    /// A list of `N` numbers in `least..=most`; `N` times `default` if the attribute is absent.
    pub(super) fn sizes<const N: usize>(self, name: &str, default: usize, least: usize, most: usize) -> Result<[usize; N], ImportError> {
        let Some(attribute) = self.attribute(name) else { return Ok([default; N]) };
        let values: Option<Vec<usize>> =
            attribute.ints.iter().map(|&x| usize::try_from(x).ok().filter(|x| (least..=most).contains(x))).collect();
        values
            .and_then(|v| <[usize; N]>::try_from(v).ok())
            .ok_or_else(|| self.invalid(format!("`{name}` = {:?} should be {N} numbers in {least}..={most}", attribute.ints)))
    }
}
