//! Windows over the spatial axes: kernel, stride, dilation, and ONNX's many ways to state padding.

use fusion_rlwe::{Padding, Shape};

use super::attributes::OnnxNode;
use super::error::ImportError;
use super::proto;
use super::view::View;

/// Largest image side, kernel, stride or padding that is read.
const MAX_SIDE: usize = 4096;

/// A window that slides over an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlidingWindow {
    pub(super) kernel: (usize, usize),
    pub(super) stride: (usize, usize),
    pub(super) dilation: (usize, usize),
    /// With the extra rows and columns of ceil mode.
    pub(super) padding: Padding,
    /// Whether ceil mode added any.
    pub(super) ceil_extra: bool,
}

impl SlidingWindow {
    /// Reads the attributes; `kernel` is what the weights say, if there are any.
    pub(super) fn read(node: OnnxNode<'_>, input: Shape, kernel: Option<(usize, usize)>) -> Result<Self, ImportError> {
        let kernel = match (kernel, node.attribute("kernel_shape")) {
            (Some(kernel), None) => kernel,
            (expected, Some(_)) => {
                let [rows, columns] = node.sizes("kernel_shape", 1, 1, MAX_SIDE)?;
                if expected.is_some_and(|e| e != (rows, columns)) {
                    return Err(node.invalid(format!("`kernel_shape` is {rows}x{columns}, the weights are {expected:?}")));
                }
                (rows, columns)
            }
            (None, None) => return Err(node.invalid("`kernel_shape` is missing")),
        };
        let [sy, sx] = node.sizes("strides", 1, 1, MAX_SIDE)?;
        let [dy, dx] = node.sizes("dilations", 1, 1, MAX_SIDE)?;
        let [top, left, bottom, right] = node.sizes("pads", 0, 0, MAX_SIDE)?;
        let ceil = node.int("ceil_mode", 0) == 1;
        let auto_pad = node.string("auto_pad", "NOTSET")?;
        if ceil && !matches!(auto_pad, "NOTSET" | "") {
            // Two engines disagree on what that is.
            let reason = format!("it rounds its size up (ceil_mode = 1) with auto_pad = {auto_pad}");
            return Err(node.unsupported(reason, "state the padding by `pads`, or use ceil_mode = 0"));
        }
        let axis = |size: usize, k: usize, s: usize, d: usize, before: usize, after: usize| -> Result<(usize, usize, bool), ImportError> {
            let reach = (k - 1) * d + 1;
            match auto_pad {
                "NOTSET" | "" => {
                    let padded = size + before + after;
                    if !ceil || reach > padded {
                        return Ok((before, after, false));
                    }
                    let mut outputs = (padded - reach).div_ceil(s) + 1;
                    // A window that would start in the padding after the image is left out.
                    if (outputs - 1) * s >= size + before {
                        outputs -= 1;
                    }
                    let extra = ((outputs - 1) * s + reach).saturating_sub(padded);
                    Ok((before, after + extra, extra > 0))
                }
                "VALID" => Ok((0, 0, false)),
                "SAME_UPPER" | "SAME_LOWER" => {
                    let total = ((size.div_ceil(s) - 1) * s + reach).saturating_sub(size);
                    let (small, large) = (total / 2, total - total / 2);
                    Ok(if auto_pad == "SAME_UPPER" { (small, large, false) } else { (large, small, false) })
                }
                other => Err(node.invalid(format!("unknown auto_pad `{other}`"))),
            }
        };
        let (top, bottom, ceil_y) = axis(input.height, kernel.0, sy, dy, top, bottom)?;
        let (left, right, ceil_x) = axis(input.width, kernel.1, sx, dx, left, right)?;
        Ok(Self {
            kernel,
            stride: (sy, sx),
            dilation: (dy, dx),
            padding: Padding { top, left, bottom, right },
            ceil_extra: ceil_y || ceil_x,
        })
    }
}

/// Shape of one sample of the graph's input, and how the file has it. `given` is what the user says
/// of it, with or without the batch, where the file leaves sizes open; `moves_axes` if the file has
/// a node that brings channels to the front.
pub(super) fn image_shape(input: &proto::ValueInfoProto, given: Option<&[usize]>, moves_axes: bool) -> Result<(Shape, View), String> {
    use proto::tensor_shape_proto::dimension::Value;
    use proto::type_proto::Value as Type;
    let name = input.name();
    let dims = match input.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(Type::TensorType(t)) => t.shape.as_ref().map(|s| s.dim.as_slice()).unwrap_or_default(),
        None => return Err(format!("its input `{name}` has no tensor type")),
    };
    let stated: Vec<Option<usize>> = dims
        .iter()
        .skip(1)
        .map(|dim| match dim.value {
            Some(Value::DimValue(n)) if n > 0 => usize::try_from(n).ok(),
            _ => None,
        })
        .collect();
    let given = given.map(|given| if given.len() == 4 || given.len() == 2 && stated.len() == 1 { &given[1..] } else { given });
    let sizes = match given {
        Some(given) if stated.is_empty() || stated.len() == given.len() => {
            let fits = stated.iter().zip(given).all(|(stated, given)| stated.is_none_or(|stated| stated == *given));
            if !fits {
                return Err(format!("its input `{name}` is {stated:?} per image, not {given:?} as stated by --input-shape"));
            }
            given.to_vec()
        }
        Some(given) => {
            return Err(format!("its input `{name}` has {} axes beside the batch, --input-shape states {}", stated.len(), given.len()));
        }
        None => match stated.iter().position(Option::is_none) {
            Some(open) => {
                return Err(format!(
                    "axis {} of its input `{name}` is not fixed; state the shape by --input-shape, such as 3x224x224",
                    open + 1
                ));
            }
            None => stated.into_iter().flatten().collect(),
        },
    };
    let elements = sizes.iter().try_fold(1usize, |all, &n| all.checked_mul(n));
    if elements.is_none_or(|elements| !(1..=1 << 24).contains(&elements)) {
        return Err(format!("its input `{name}` is {sizes:?} per image"));
    }
    match *sizes.as_slice() {
        // Only channels are that few, of images that are not tiny or of files that move their axes.
        [height, width, channels @ (1 | 3 | 4)]
            if !matches!(height, 1 | 3 | 4) && (moves_axes || height.min(width) >= 8) && height <= MAX_SIDE && width <= MAX_SIDE =>
        {
            let shape = Shape::new(channels, height, width);
            Ok((shape, View::channels_last(shape)))
        }
        [channels, height, width] if height <= MAX_SIDE && width <= MAX_SIDE => {
            let shape = Shape::new(channels, height, width);
            Ok((shape, View::image(shape)))
        }
        [features] => Ok((Shape::flat(features), View::flat(features))),
        _ => Err(format!("its input `{name}` is {sizes:?} per image; it should be [N, C, H, W], [N, H, W, C] or [N, features]")),
    }
}
