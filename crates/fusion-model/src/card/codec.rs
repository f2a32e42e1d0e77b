//! Between the card and its protobuf messages.

use bytes::Bytes;
use fusion_ring::symmetric::digest::{Digest, Hasher};
use fusion_rlwe::precision::{DEGREE, ERROR_BITS, MODULUS_BITS, check_parameters};
use fusion_rlwe::{ConvGeometry, Padding, PublicSeed, Shape};
use prost::Message as _;

use super::error::CardError;
use super::facts::{AnswerFacts, Claim, Flips, HintFacts, ModelCard};
use super::limits::{MAX_CARD_BYTES, VERSION};
use super::proto;
use crate::preprocess::{Channels, Filter, Preprocess, Resize};
use crate::program::{Activation, Knot, LinearTerm, Op, Piecewise, PoolGeometry, Program, RingBits, Step, TensorId, TensorSpec, Window};

impl ModelCard {
    /// The canonical bytes.
    ///
    /// # Errors
    /// The card is invalid: no invalid card is ever encoded.
    pub fn encode(&self) -> Result<Vec<u8>, CardError> {
        self.validate()?;
        Ok(encode(self))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// The bytes are not a valid card in canonical form.
    pub fn decode(bytes: &[u8]) -> Result<Self, CardError> {
        if bytes.len() > MAX_CARD_BYTES {
            return Err(CardError::TooLong(bytes.len()));
        }
        let card = decode(bytes)?;
        if card.encode()? == bytes { Ok(card) } else { Err(CardError::NotCanonical) }
    }

    /// Names the served model: SHA3-256 of the canonical bytes.
    ///
    /// # Errors
    /// As [`ModelCard::encode`].
    pub fn digest(&self) -> Result<Digest, CardError> {
        Ok(Digest::of(&self.encode()?))
    }

    /// Seed of the public polynomials: a hash of the card without the hint, which depends on them.
    ///
    /// # Errors
    /// As [`ModelCard::encode`].
    pub fn seed(&self) -> Result<PublicSeed, CardError> {
        let bytes = Self { hint: None, ..self.clone() }.encode()?;
        let mut hasher = Hasher::default();
        hasher.update(b"fusion public polynomials v2");
        hasher.update(&bytes);
        Ok(PublicSeed(*hasher.finish().as_bytes()))
    }
}

fn encode(card: &ModelCard) -> Vec<u8> {
    let message = proto::ModelCard {
        version: VERSION,
        name: card.name.clone(),
        program: Some(program(&card.program)),
        preprocess: Some(preprocess(&card.preprocess)),
        labels: card.labels.clone(),
        claim: card.claim.as_ref().map(|c| proto::Claim { top1: c.top1, dataset: c.dataset.clone() }),
        rlwe: Some(proto::Rlwe { degree: small(DEGREE), modulus_bits: MODULUS_BITS, error_bits: ERROR_BITS }),
        weights_digest: Bytes::copy_from_slice(card.weights_digest.as_bytes()),
        hint_digest: card.hint.map(|h| Bytes::copy_from_slice(h.digest.as_bytes())).unwrap_or_default(),
        hint_bytes: card.hint.map_or(0, |h| h.bytes),
        logits_bits: card.logits_bits,
        answers: card.answers.map(|a| proto::Answers { digest: Bytes::copy_from_slice(a.digest.as_bytes()), bytes: a.bytes }),
        flips: card.flips.map(|f| proto::Flips { rate: f.rate, images: f.images, group: f.group }),
    };
    message.encode_to_vec()
}

fn decode(bytes: &[u8]) -> Result<ModelCard, CardError> {
    let message = proto::ModelCard::decode(bytes).map_err(|e| CardError::Decode(e.to_string()))?;
    if message.version != VERSION {
        return Err(CardError::Version(message.version));
    }
    let rlwe = message.rlwe.ok_or(CardError::Missing("encryption parameters"))?;
    check_parameters(rlwe.degree as usize, rlwe.modulus_bits, rlwe.error_bits)
        .map_err(|e| CardError::Invalid { field: "encryption parameters", reason: e.to_string() })?;
    let hint = match (message.hint_digest.is_empty(), message.hint_bytes) {
        (true, 0) => None,
        (_, bytes) => Some(HintFacts { digest: digest("hint digest", &message.hint_digest)?, bytes }),
    };
    let answers = match message.answers {
        Some(a) => Some(AnswerFacts { digest: digest("answers", &a.digest)?, bytes: a.bytes }),
        None => None,
    };
    Ok(ModelCard {
        name: message.name,
        program: read_program(message.program.ok_or(CardError::Missing("program"))?)?,
        preprocess: read_preprocess(message.preprocess.ok_or(CardError::Missing("preprocessing"))?)?,
        labels: message.labels,
        claim: message.claim.map(|c| Claim { top1: c.top1, dataset: c.dataset }),
        weights_digest: digest("weights digest", &message.weights_digest)?,
        hint,
        logits_bits: message.logits_bits,
        answers,
        flips: message.flips.map(|f| Flips { rate: f.rate, group: f.group, images: f.images }),
    })
}

fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, CardError> {
    Digest::from_slice(bytes).ok_or_else(|| CardError::Invalid { field, reason: format!("{} bytes long", bytes.len()) })
}

/// Sizes of a valid program are far below 2^32; the reader's validation refuses a saturated one.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn index(id: TensorId) -> u32 {
    small(id.0)
}

fn id(index: u32) -> TensorId {
    TensorId(index as usize)
}

fn shape(s: Shape) -> proto::Shape {
    proto::Shape { channels: small(s.channels), height: small(s.height), width: small(s.width) }
}

fn read_shape(s: Option<proto::Shape>) -> Result<Shape, CardError> {
    let s = s.ok_or(CardError::Missing("shape of a tensor"))?;
    Ok(Shape::new(s.channels as usize, s.height as usize, s.width as usize))
}

fn pair((rows, columns): (usize, usize)) -> Option<proto::Pair> {
    Some(proto::Pair { rows: small(rows), columns: small(columns) })
}

fn read_pair(p: Option<proto::Pair>) -> Result<(usize, usize), CardError> {
    let p = p.ok_or(CardError::Missing("size of a window"))?;
    Ok((p.rows as usize, p.columns as usize))
}

fn padding(p: Padding) -> proto::Padding {
    proto::Padding { top: small(p.top), left: small(p.left), bottom: small(p.bottom), right: small(p.right) }
}

fn read_padding(p: Option<proto::Padding>) -> Result<Padding, CardError> {
    let p = p.ok_or(CardError::Missing("padding of a window"))?;
    Ok(Padding { top: p.top as usize, left: p.left as usize, bottom: p.bottom as usize, right: p.right as usize })
}

fn pool(p: &PoolGeometry) -> proto::Pool {
    proto::Pool { kernel: pair(p.kernel), stride: pair(p.stride), padding: Some(padding(p.padding)) }
}

fn read_pool(p: proto::Pool) -> Result<PoolGeometry, CardError> {
    Ok(PoolGeometry { kernel: read_pair(p.kernel)?, stride: read_pair(p.stride)?, padding: read_padding(p.padding)? })
}

fn window(w: Window) -> proto::Window {
    proto::Window { shift: w.shift, bits: w.bits }
}

fn read_window(w: Option<proto::Window>) -> Result<Window, CardError> {
    let w = w.ok_or(CardError::Missing("window of a requantisation"))?;
    Ok(Window { shift: w.shift, bits: w.bits })
}

fn convolution(term: &LinearTerm) -> proto::Convolution {
    let g = &term.geometry;
    proto::Convolution {
        input: index(term.input),
        shape: Some(shape(g.input)),
        out_channels: small(g.out_channels),
        kernel: pair(g.kernel),
        stride: pair(g.stride),
        dilation: pair(g.dilation),
        padding: Some(padding(g.padding)),
        groups: small(g.groups),
    }
}

fn read_convolution(c: proto::Convolution) -> Result<LinearTerm, CardError> {
    let geometry = ConvGeometry {
        input: read_shape(c.shape)?,
        out_channels: c.out_channels as usize,
        kernel: read_pair(c.kernel)?,
        stride: read_pair(c.stride)?,
        dilation: read_pair(c.dilation)?,
        padding: read_padding(c.padding)?,
        groups: c.groups as usize,
    };
    Ok(LinearTerm { input: id(c.input), geometry })
}

fn parts(inputs: &[(TensorId, u32)]) -> proto::Parts {
    proto::Parts { inputs: inputs.iter().map(|&(id, shift)| proto::Shifted { input: index(id), shift }).collect() }
}

fn read_parts(p: proto::Parts) -> Vec<(TensorId, u32)> {
    p.inputs.into_iter().map(|s| (id(s.input), s.shift)).collect()
}

fn step(s: &Step) -> proto::Step {
    let op = match &s.op {
        Op::Linear { terms, weight_bits, row_norm, upload_bits, hint_bits } => proto::step::Op::Linear(proto::Linear {
            terms: terms.iter().map(convolution).collect(),
            weight_bits: *weight_bits,
            row_norm: *row_norm,
            upload_bits: *upload_bits,
            hint_bits: *hint_bits,
        }),
        Op::Requantise { input, window: w, pool: p, activation } => proto::step::Op::Requantise(proto::Requantise {
            input: index(*input),
            window: Some(window(*w)),
            pool: p.as_ref().map(pool),
            activation: match activation {
                Activation::Relu => proto::requantise::Activation::Relu,
                Activation::CoarseRelu { .. } => proto::requantise::Activation::CoarseRelu,
                Activation::Signed => proto::requantise::Activation::Signed,
                Activation::Clip { .. } => proto::requantise::Activation::Clip,
            }
            .into(),
            ceiling: if let Activation::Clip { ceiling } = activation { *ceiling } else { 0 },
            left_out: if let Activation::CoarseRelu { left_out } = activation { *left_out } else { 0 },
        }),
        Op::Add { inputs } => proto::step::Op::Add(parts(inputs)),
        Op::SumPool { input, pool: p } => proto::step::Op::SumPool(proto::SumPool { input: index(*input), pool: Some(pool(p)) }),
        Op::Concat { inputs } => proto::step::Op::Concat(parts(inputs)),
        Op::Piecewise { input, window: w, function } => proto::step::Op::Piecewise(proto::Piecewise {
            input: index(*input),
            window: Some(window(*w)),
            fraction: function.fraction,
            slope: function.slope,
            offset: function.offset,
            knots: function.knots.iter().map(|knot| proto::Knot { at: knot.at, change: knot.change }).collect(),
            left_out: function.left_out,
        }),
        Op::Multiply { input, factor, factor_bits } => {
            proto::step::Op::Multiply(proto::Multiply { input: index(*input), factor: index(*factor), factor_bits: *factor_bits })
        }
        Op::Select { input, channels } => {
            let channels = channels.iter().map(|channel| channel.map_or(0, |channel| small(channel + 1))).collect();
            proto::step::Op::Select(proto::Select { input: index(*input), channels })
        }
        Op::Flatten { input } => proto::step::Op::Flatten(proto::Flatten { input: index(*input) }),
    };
    proto::Step { name: s.name.clone(), output: index(s.output), op: Some(op) }
}

fn read_step(s: proto::Step) -> Result<Step, CardError> {
    let op = match s.op.ok_or(CardError::Missing("operation of a step"))? {
        proto::step::Op::Linear(l) => Op::Linear {
            terms: l.terms.into_iter().map(read_convolution).collect::<Result<_, _>>()?,
            weight_bits: l.weight_bits,
            row_norm: l.row_norm,
            upload_bits: l.upload_bits,
            hint_bits: l.hint_bits,
        },
        proto::step::Op::Requantise(r) => Op::Requantise {
            input: id(r.input),
            window: read_window(r.window)?,
            activation: match r.activation() {
                proto::requantise::Activation::Relu => Activation::Relu,
                proto::requantise::Activation::CoarseRelu => Activation::CoarseRelu { left_out: r.left_out },
                proto::requantise::Activation::Signed => Activation::Signed,
                proto::requantise::Activation::Clip => Activation::Clip { ceiling: r.ceiling },
                proto::requantise::Activation::Unspecified => return Err(CardError::Missing("activation of a requantisation")),
            },
            pool: r.pool.map(read_pool).transpose()?,
        },
        proto::step::Op::Add(p) => Op::Add { inputs: read_parts(p) },
        proto::step::Op::SumPool(p) => {
            Op::SumPool { input: id(p.input), pool: read_pool(p.pool.ok_or(CardError::Missing("window of a sum"))?)? }
        }
        proto::step::Op::Concat(p) => Op::Concat { inputs: read_parts(p) },
        proto::step::Op::Piecewise(p) => Op::Piecewise {
            input: id(p.input),
            window: read_window(p.window)?,
            function: Piecewise {
                fraction: p.fraction,
                slope: p.slope,
                offset: p.offset,
                knots: p.knots.into_iter().map(|knot| Knot { at: knot.at, change: knot.change }).collect(),
                left_out: p.left_out,
            },
        },
        proto::step::Op::Multiply(m) => Op::Multiply { input: id(m.input), factor: id(m.factor), factor_bits: m.factor_bits },
        proto::step::Op::Select(s) => {
            let channels = s.channels.into_iter().map(|channel| (channel as usize).checked_sub(1)).collect();
            Op::Select { input: id(s.input), channels }
        }
        proto::step::Op::Flatten(f) => Op::Flatten { input: id(f.input) },
    };
    Ok(Step { name: s.name, op, output: id(s.output) })
}

fn program(p: &Program) -> proto::Program {
    let tensor = |t: &TensorSpec| proto::Tensor { shape: Some(shape(t.shape)), ring: t.ring.0, frac: t.frac };
    proto::Program {
        tensors: p.tensors.iter().map(tensor).collect(),
        input: index(p.input),
        steps: p.steps.iter().map(step).collect(),
        logits: index(p.logits),
        logits_window: Some(window(p.logits_window)),
    }
}

fn read_program(p: proto::Program) -> Result<Program, CardError> {
    let tensor = |t: proto::Tensor| Ok(TensorSpec { shape: read_shape(t.shape)?, ring: RingBits(t.ring), frac: t.frac });
    Ok(Program {
        tensors: p.tensors.into_iter().map(tensor).collect::<Result<_, CardError>>()?,
        input: id(p.input),
        steps: p.steps.into_iter().map(read_step).collect::<Result<_, _>>()?,
        logits: id(p.logits),
        logits_window: read_window(p.logits_window)?,
    })
}

fn preprocess(p: &Preprocess) -> proto::Preprocess {
    let channels = match p.channels {
        Channels::Gray => proto::preprocess::Channels::Gray,
        Channels::Rgb => proto::preprocess::Channels::Rgb,
        Channels::Bgr => proto::preprocess::Channels::Bgr,
    };
    let filter = match p.filter {
        Filter::Bilinear => proto::preprocess::Filter::Bilinear,
        Filter::Bicubic => proto::preprocess::Filter::Bicubic,
    };
    let (short_side, width, height) = match p.resize {
        Resize::Keep => (0, 0, 0),
        Resize::ShortSide(side) => (side, 0, 0),
        Resize::Exact { width, height } => (0, width, height),
    };
    proto::Preprocess {
        short_side,
        filter: filter.into(),
        width,
        height,
        crop: p.crop,
        channels: channels.into(),
        mean: p.mean.clone(),
        scale: p.scale.clone(),
    }
}

fn read_preprocess(p: proto::Preprocess) -> Result<Preprocess, CardError> {
    let channels = match p.channels() {
        proto::preprocess::Channels::Gray => Channels::Gray,
        proto::preprocess::Channels::Rgb => Channels::Rgb,
        proto::preprocess::Channels::Bgr => Channels::Bgr,
        proto::preprocess::Channels::Unspecified => return Err(CardError::Missing("order of the image planes")),
    };
    // What is neither is not canonical: written again it is something else.
    let filter = match p.filter() {
        proto::preprocess::Filter::Bilinear => Filter::Bilinear,
        proto::preprocess::Filter::Bicubic => Filter::Bicubic,
    };
    let resize = match (p.short_side, p.width, p.height) {
        (0, 0, 0) => Resize::Keep,
        (side, 0, 0) => Resize::ShortSide(side),
        (_, width, height) => Resize::Exact { width, height },
    };
    Ok(Preprocess { resize, filter, crop: p.crop, channels, mean: p.mean, scale: p.scale })
}
