//! Errors, by what they keep from happening.

use std::path::PathBuf;

use crate::client::journal::JournalError;
use crate::client::memory::MemoryError;
use crate::client::run_error::RunError;
use crate::client::trust::TrustError;
use crate::images::ImageError;

/// Why a call of this crate did not do its work. A rejected batch is no error but a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server, or the way to it.
    #[error(transparent)]
    Net(#[from] fusion_net::NetError),
    /// Nobody answers at the address.
    #[error("is the server running?")]
    NoServer(#[source] fusion_net::NetError),
    /// The server has no model of this name or digest.
    #[error("{address} serves no model {model:?}")]
    NoSuchModel {
        /// The server.
        address: String,
        /// What was asked for.
        model: String,
    },
    /// The server has several models, and none was asked for.
    #[error("{address} serves several models: which one?")]
    WhichModel {
        /// The server.
        address: String,
    },
    /// The server's model is not the one that was seen before, or that was asked for.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// What clients remember cannot be read or written.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The server's model cannot be used.
    #[error("the server's model is refused: {reason}")]
    Served {
        /// Why.
        reason: String,
    },
    /// A model card that is malformed.
    #[error(transparent)]
    Card(#[from] fusion_model::card::CardError),
    /// A package that cannot be read or written.
    #[error(transparent)]
    Package(#[from] fusion_model::package::PackageError),
    /// A model that cannot be evaluated.
    #[error(transparent)]
    Lane(#[from] fusion_nn::exec::LaneError),
    /// No plan, no batch, or a file of theirs that cannot be used.
    #[error(transparent)]
    Mix(#[from] fusion_mix::MixError),
    /// Nobody claims an accuracy for the model, and no mix was given.
    #[error("nobody claims an accuracy for this model: state one, certify the public labels, or give a whole mix")]
    NoClaim,
    /// No plan is as near to the float network as was asked.
    #[error(
        "no plan keeps {:.1}% of labels with errors of {logit_noise} of the logits: the last one tried kept {:.1}% of {images}, with errors of {noise:.4}; \
         ask for less, calibrate on more images, or give the widths of windows and weights",
        100.0 * label_agreement, 100.0 * kept
    )]
    Tolerance {
        /// Part of labels that was asked for.
        label_agreement: f64,
        /// Errors that were allowed, as a part of the logits.
        logit_noise: f64,
        /// Part of the labels that the last plan kept.
        kept: f64,
        /// Its errors as a part of the logits.
        noise: f64,
        /// Images that it was tried on.
        images: usize,
    },
    /// A plan that is weaker than what was asked of it.
    #[error("this plan lets cheating pass with chance 2^{log2:.2}, more than the 2^-{lambda} that was asked for")]
    Unsound {
        /// Its soundness.
        log2: f64,
        /// What was asked for, bits.
        lambda: f64,
    },
    /// The earlier runs that public samples are known from prove less than what is asked for.
    #[error(
        "an earlier run that public samples are known from lets cheating pass with chance 2^{log2:.2}, more than the 2^-{lambda} that is asked for now"
    )]
    WeakRun {
        /// Its soundness.
        log2: f64,
        /// What is asked for, bits.
        lambda: f64,
    },
    /// Flip rates on the card that nobody should believe.
    #[error(
        "the card says that a copy's label flips with chance {rate}, and that 32 copies disagree with chance {group}:          that much is not tolerated on a server's word"
    )]
    Flips {
        /// Of a copy.
        rate: f64,
        /// Of 32 copies.
        group: f64,
    },
    /// An accuracy is to be noticed, and nothing that is known can tell it.
    #[error("an accuracy can be told only by images whose true labels you know: the model's own answers do not")]
    NothingTells,
    /// The server publishes no answers, and nothing else is known of the images.
    #[error("the owner of this model has published no answers: labels of the public samples are needed")]
    NoAnswers,
    /// The model's published answers are worse than its owner claims.
    #[error(
        "the server's published answers do not bear out what it claims: {} of your {} labelled images are right ({} undecided and {} missing ones count as wrong), {wanted}",
        sheet.correct, sheet.total, sheet.undecided, sheet.missing
    )]
    SheetBelowClaim {
        /// What the answers say.
        sheet: fusion_mix::accuracy::SheetAccuracy,
        /// What they should say, in words.
        wanted: String,
    },
    /// Answers that were published are none.
    #[error(transparent)]
    Answers(#[from] fusion_model::answer_sheet::SheetError),
    /// One image with two labels.
    #[error("{name} occurs twice among the public samples, with different labels")]
    TwoLabels {
        /// One of its files.
        name: String,
    },
    /// Labels of the float model that are not one for every image.
    #[error("{labels} labels of the float model are given for {images} images")]
    FloatLabels {
        /// Labels.
        labels: usize,
        /// Images.
        images: usize,
    },
    /// A label that the model has no class for.
    #[error("{name} is labelled {label}, but the model's classes are 0 to {}: labels count from 0", classes.saturating_sub(1))]
    NoSuchClass {
        /// The image.
        name: String,
        /// Its label.
        label: u32,
        /// Classes of the model.
        classes: usize,
    },
    /// True labels and the model's own answers in one pool.
    #[error(
        "public samples with true labels and such with the model's own answers cannot be tested together: an honest server errs on them too differently"
    )]
    MixedPool,
    /// A run whose answers are not to be relied on.
    #[error("{} was not accepted but {verdict}: its answers are not known", path.display())]
    NotAccepted {
        /// Its directory.
        path: PathBuf,
        /// How it ended.
        verdict: fusion_mix::verify::Verdict,
    },
    /// A run of a program that kept no digests of its images.
    #[error("{} was begun by an older program, which did not keep what its images were", path.display())]
    NoDigests {
        /// Its directory.
        path: PathBuf,
    },
    /// An image that cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An image that does not fit the network.
    #[error("{name}: {reason}")]
    Encode {
        /// The image.
        name: String,
        /// Why.
        reason: String,
    },
    /// There is nothing to classify.
    #[error("there is nothing to classify")]
    NoInputs,
    /// The journal of the run.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A resumed run meets another model.
    #[error("the server serves another model now\n  run:    {run}\n  served: {served}")]
    OtherModel {
        /// Digest of the card that the run began with.
        run: String,
        /// Digest of the card that is served.
        served: String,
    },
    /// A resumed run is given other images.
    #[error("the input images changed since the run began")]
    OtherInputs,
    /// The run ended before every position was answered. What was answered is in the journal.
    #[error(
        "{answered} of {all} positions are answered; {}",
        if *resumable { "the run can be resumed" } else { "it cannot be resumed" }
    )]
    Incomplete {
        /// Positions answered.
        answered: u32,
        /// Positions in all.
        all: u32,
        /// Whether the run may go on from its journal.
        resumable: bool,
        /// Where the journal is.
        journal: PathBuf,
        /// Why it ended.
        #[source]
        cause: Box<Error>,
    },
    /// All positions are answered, but the batch cannot be recorded.
    #[error("the run is finished, but its outcome cannot be remembered: nothing of {} is lost, and resuming it runs no lane again", journal.display())]
    NotRecorded {
        /// Where the journal is.
        journal: PathBuf,
        /// Why it cannot be.
        #[source]
        cause: MemoryError,
    },
    /// The server was away, or had no room, for as long as patience lasts.
    #[error("the server was not to be reached, or had no room, for {} s", patience.as_secs())]
    OutOfPatience {
        /// How long lanes have waited in all.
        patience: std::time::Duration,
        /// What the last of them met.
        #[source]
        cause: fusion_net::NetError,
    },
    /// A lane failed in a way that another try cannot mend, or one time too often.
    #[error("{error}")]
    LaneRun {
        /// How it failed.
        error: Box<RunError>,
        /// What ended the run, if lanes may fail no more.
        #[source]
        limit: Option<Box<fusion_mix::MixError>>,
    },
    /// A lane opened something else than it was asked for.
    #[error("a lane opened logits where labels were asked for")]
    Opened,
    /// A float network that cannot be imported.
    #[error("cannot import {name}")]
    Import {
        /// The file.
        name: String,
        /// Why.
        #[source]
        cause: fusion_model::onnx::ImportError,
    },
    /// A network that cannot be calibrated.
    #[error(transparent)]
    Calibrate(#[from] fusion_model::calibrate::CalibrateError),
    /// A network that cannot be planned.
    #[error(transparent)]
    Plan(#[from] fusion_model::plan::PlanError),
    /// It cannot be measured what rounding does to the network.
    #[error(transparent)]
    Sensitivity(#[from] fusion_model::plan::SensitivityError),
    /// Twin and float network cannot be compared.
    #[error(transparent)]
    Eval(#[from] fusion_model::eval::EvalError),
    /// The cost of a plan cannot be predicted.
    #[error(transparent)]
    Cost(#[from] fusion_nn::cost::CostError),
    /// A file that cannot be read or written.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: std::io::Error,
    },
    /// A call that ran on a thread of its own did not come to its end.
    #[error("the call panicked: {0}")]
    Panicked(String),
}

impl Error {
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |cause| Self::File { path: path.to_owned(), cause }
    }
}
