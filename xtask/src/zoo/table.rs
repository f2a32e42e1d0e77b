//! The table of docs/models.md.

use super::compare::{Deviation, Verdict};
use super::measure::{LANE_SAMPLES, Row, options};
use super::photos::COMPARED;

/// Longest reason that is shown whole.
const NOTE_CHARACTERS: usize = 240;

/// What the importer reads.
const OPERATORS: &str = "
## Operators

Networks are read from ONNX files (those above are of operator sets 15 to 20), with channels first or last, any batch axis, and weights inside the \
file or beside it.

* **Linear**: Conv (groups, strides, dilations, pads, auto_pad), Gemm, MatMul by constants, BatchNormalization; Add, Sub, Mul and Div \
by constants that are one number or one for each channel; Add, Sub and Sum of values. They cost ciphertexts from the client only; \
normalisation and constants cost nothing.
* **Activation**: Relu; Clip, Min and Max with a number, HardSigmoid (two comparisons); PRelu (two ReLUs). \
LeakyRelu, Elu, Selu, Sigmoid, Tanh, HardSwish, SiLU and other products `x * f(x)`, Gelu, Mish, Erf, Softplus, Softsign by a piecewise \
linear function, of at most 24 knots, that aims at an error below 1/1024 of the largest value seen, or half a unit of the window, \
and is refused above 1/64 of the largest value it may take; each knot costs about \
as much as a ReLU.
* **Products** of two values, also of one number per channel (squeeze and excitation); squares.
* **Pooling**: MaxPool, AveragePool, GlobalAveragePool, ReduceMean and ReduceSum over rows and columns.
* **Data movement**, free: Reshape, Flatten, Squeeze, Unsqueeze and Transpose as far as they split, join or move whole axes; Concat, \
Split, Slice, Gather and Pad of channels; Pad of rows and columns, Slice of every n-th; Identity, Dropout.
* **Folded** where they depend on no image: Shape, Gather, Slice, Concat, Cast, Range, ConstantOfShape, Expand, Tile, arithmetic, \
DequantizeLinear of weights; weights may be float16, bfloat16 or sparse.
* **At the end**: Softmax, LogSoftmax, ArgMax and Sigmoid are left out, because they do not change which score is the largest. One \
score is a classifier of two classes, no (0) and yes (1). Of several labels an image may have, the answer is the strongest one.

Anything else is refused with the node, its operator and what to do. Not supported, among others: LRN, LayerNormalization and \
attention (they divide by what depends on the image), resizing, recurrent layers, quantised activations.
";

/// The whole document.
pub(super) fn document(rows: &[Row]) -> String {
    let mut text = format!(
        "# Networks that import\n\n\
        Made by `cargo xtask model-zoo`; do not edit. Networks of torchvision and Keras are exported to ONNX by the tools of \
        [requirements-torch.txt](../xtask/python/requirements-torch.txt) and [requirements-keras.txt](../xtask/python/requirements-keras.txt). \
        Their weights are seeded; photos scale the layers, give batch norms their statistics and are each imprinted on a class \
        of the last layer, so that labels differ and lead by about as much as after training. EfficientNet-Lite0 has real weights \
        (the file that we have computes SiLU where the published network has ReLU6, and is as good as chance at it).\n\n\
        * **import**: the largest difference from onnxruntime of the imported float network's logits, in deviations of the logits \
        over classes and {COMPARED} photos.\n\
        * **twin**: the same of the fixed-point network as two parties compute it, planned with windows of {} bits \
        and a margin of {} on other photos: seeded weights answer some photos with values far beyond those of the others.\n\
        * **labels**: photos of {COMPARED} on which the twin has onnxruntime's label. **distinct**: how many labels onnxruntime has for them.\n\
        * **MB**: predicted bytes of one inference, both directions, in lanes of {LANE_SAMPLES}.\n\
        * **right**: the import differs by less than 0.001 and at least {} labels are equal. **inexact**: fewer are. **WRONG**: the import \
        differs. **refused**: the reason is there.\n\n\
        {}\n\n\
        | network | exported by | result | import | twin | labels | distinct | MB | reason |\n\
        |---|---|---|---|---|---|---|---|---|\n",
        options().window_bits,
        options().margin,
        COMPARED - 1,
        summary(rows),
    );
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text.push_str(OPERATORS);
    text
}

/// The last line that the command prints.
pub(super) fn summary(rows: &[Row]) -> String {
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let (right, wrong) = (count(Verdict::Right), count(Verdict::Wrong));
    let others = format!("{} inexact, {wrong} WRONG, {} refused", count(Verdict::Inexact), count(Verdict::Refused));
    format!("{right} of {} rows right ({others})", rows.len())
}

/// One row of the table.
pub(super) fn line(row: &Row) -> String {
    let error = |of: Option<&Deviation>| of.map_or_else(String::new, |d| format!("{:.0e}", d.worst));
    let coarse = |of: Option<&Deviation>| of.map_or_else(String::new, |d| format!("{:.2}", d.worst));
    let labels = row.twin.as_ref().map_or_else(String::new, |d| d.labels.to_string());
    let megabytes = row.bytes.map_or_else(String::new, |bytes| format!("{:.0}", (bytes as f64 / 1e6).max(1.0)));
    format!(
        "| {} | {} | {} | {} | {} | {labels} | {} | {megabytes} | {} |\n",
        row.network,
        row.exporter,
        row.verdict.word(),
        error(row.float.as_ref()),
        coarse(row.twin.as_ref()),
        row.distinct,
        cell(&row.note),
    )
}

/// A reason as it may stand in a cell.
fn cell(note: &str) -> String {
    let flat = note.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    match flat.char_indices().nth(NOTE_CHARACTERS) {
        Some((end, _)) => format!("{}...", &flat[..end]),
        None => flat,
    }
}
