//! What the gateway tells, as JSON. Times are milliseconds since 1970.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::shared::{Model, Progress, ServerState};
use crate::shown::shown;
use crate::store::{Answer, BatchRow, BatchState, ImageRow, ImageState};

/// An image and what is known of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ImageView {
    /// Its id.
    pub(super) id: String,
    /// The name that it came with.
    pub(super) name: String,
    /// When it came.
    pub(super) received_at: i64,
    /// What has become of it.
    pub(super) state: ImageState,
    /// The label of one plain run. PROVISIONAL: the server may have lied, and nothing was tested.
    pub(super) provisional: Option<Answer>,
    /// Whether it will get no provisional label any more, because lanes failed with it.
    pub(super) provisional_given_up: bool,
    /// Whether the verified label is another than the provisional one, of the same model: a near
    /// tie, or a trace of a cheating server.
    pub(super) provisional_differs: Option<bool>,
    /// The verified label; only if the state is `verified`.
    pub(super) verified: Option<Answer>,
    /// Its batch.
    pub(super) batch: Option<String>,
    /// When its batch ended.
    pub(super) ended_at: Option<i64>,
    /// Why it has no label, if it does not fit the model.
    pub(super) reason: Option<String>,
    /// Whether its bytes are still kept, so that there is a `/picture`.
    pub(super) has_picture: bool,
}

impl From<ImageRow> for ImageView {
    fn from(row: ImageRow) -> Self {
        let differs = row.differs();
        let open = matches!(row.state, ImageState::Waiting | ImageState::Running);
        Self {
            provisional_given_up: open && row.provisional.is_none() && row.tries >= crate::store::PROVISIONAL_TRIES,
            provisional_differs: differs,
            id: row.id,
            name: row.name,
            received_at: row.received,
            state: row.state,
            provisional: row.provisional,
            verified: row.verified,
            batch: row.batch,
            ended_at: row.ended,
            reason: row.reason,
            has_picture: row.has_bytes,
        }
    }
}

/// Images of a user, the newest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ImagesView {
    /// The images.
    pub(super) images: Vec<ImageView>,
    /// Give this as `before` to get older ones; null if there are none.
    pub(super) next: Option<String>,
}

/// A batch in short.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct BatchView {
    /// Its id.
    pub(super) id: String,
    /// What has become of it.
    pub(super) state: BatchState,
    /// When it began.
    pub(super) begun_at: i64,
    /// When it ended.
    pub(super) ended_at: Option<i64>,
    /// Images of all users in it.
    pub(super) images: u32,
    /// Name of the model on its card.
    pub(super) model: String,
    /// Digest of the model's hint, which is its identity.
    pub(super) hint_digest: String,
    /// The verdict in the words of reports.
    pub(super) verdict: Option<String>,
    /// Why it has none.
    pub(super) reason: Option<String>,
    /// Whether somebody has acknowledged its rejection.
    pub(super) acknowledged: bool,
    /// What was mixed: R queries in B copies, T public samples.
    #[schema(value_type = Object)]
    pub(super) plan: Value,
    /// How the public samples were answered, with the interval of the accuracy.
    #[schema(value_type = Object)]
    pub(super) public: Value,
    /// Samples per image: B + T/R for the batch, and one for the provisional run.
    pub(super) cost_per_image: Option<f64>,
}

/// The report of a batch, without the answers of other users.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ReportView {
    /// The batch in short.
    pub(super) batch: BatchView,
    /// The report: plan, verdict, evidence, guarantees in words, bytes and seconds. Answers stand
    /// with the images; of disagreements only those on own images are shown, by image id.
    #[schema(value_type = Object)]
    pub(super) report: Value,
    /// How many images' copies disagree, over all users.
    pub(super) disagreements: usize,
    /// Ids of the user's own images in it.
    pub(super) own_images: Vec<String>,
}

/// The report of a row, or null.
fn report_of(row: &BatchRow) -> Value {
    row.report.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
}

impl From<&BatchRow> for BatchView {
    fn from(row: &BatchRow) -> Self {
        let report = report_of(row);
        Self {
            id: row.id.clone(),
            state: row.state,
            begun_at: row.begun,
            ended_at: row.ended,
            images: row.images,
            model: row.model.clone(),
            hint_digest: row.hint.clone(),
            verdict: report["verdict"].as_str().map(str::to_owned),
            reason: row.reason.clone(),
            acknowledged: row.acknowledged,
            cost_per_image: report["plan"]["overhead"].as_f64().map(|overhead| overhead + 1.0),
            plan: report["plan"].clone(),
            public: report["public"].clone(),
        }
    }
}

impl ReportView {
    /// The report for a user whose images stand at `own` places.
    pub(super) fn new(row: &BatchRow, own: Vec<(u32, String)>) -> Self {
        let mut report = report_of(row);
        let all = report["evidence"]["disagreements"].as_array().cloned().unwrap_or_default();
        let place = |one: &Value| one["query"].as_u64().and_then(|place| u32::try_from(place).ok());
        let shown = |one: &Value| {
            let (_, id) = own.iter().find(|(at, _)| Some(*at) == place(one))?;
            Some(json!({ "image": id, "split": one["split"] }))
        };
        if report.is_object() {
            report["evidence"]["disagreements"] = all.iter().filter_map(shown).collect();
        }
        Self { batch: row.into(), report, disagreements: all.len(), own_images: own.into_iter().map(|(_, id)| id).collect() }
    }
}

/// The model that is asked.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ModelView {
    /// Its name on the card.
    pub(super) name: String,
    /// Digest of its hint.
    pub(super) hint_digest: String,
    /// How many classes it has.
    pub(super) classes: usize,
    /// Their names; none if it has none.
    pub(super) labels: Vec<String>,
    /// The accuracy that its owner claims, from 0 to 1.
    pub(super) claimed_accuracy: Option<f64>,
    /// On which data.
    pub(super) dataset: Option<String>,
}

impl From<&Model> for ModelView {
    fn from(Model { card, hint }: &Model) -> Self {
        Self {
            name: shown(&card.name),
            hint_digest: hint.clone(),
            classes: card.classes(),
            labels: card.labels.clone(),
            claimed_accuracy: card.claim.as_ref().map(|claim| claim.top1),
            dataset: card.claim.as_ref().map(|claim| claim.dataset.clone()),
        }
    }
}

/// The state of the gateway, for one user.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct StatusView {
    /// Who asks.
    pub(super) user: String,
    /// The way to the Fusion server.
    pub(super) server: ServerState,
    /// Why it is not connected.
    pub(super) reason: Option<String>,
    /// Since when.
    pub(super) since: i64,
    /// Name of the model, if one was ever met.
    pub(super) model: Option<String>,
    /// Images of all users that wait.
    pub(super) waiting: u32,
    /// Images that fill a batch.
    pub(super) batch: u32,
    /// When the next batch begins at the latest; null if nothing waits.
    pub(super) next_batch_at: Option<i64>,
    /// The batch that runs.
    pub(super) running: Option<String>,
    /// How far it is.
    pub(super) progress: Option<Progress>,
    /// The rejected batch until whose acknowledgement nothing more is asked.
    pub(super) held_by: Option<String>,
    /// Bytes of an image at most.
    pub(super) max_image_bytes: usize,
    /// Seconds after which ended images are erased; null: never.
    pub(super) forget_after: Option<u64>,
    /// Whether images keep their bytes after their batch.
    pub(super) keep_images: bool,
}

/// How the gateway is, for whoever watches over it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct HealthView {
    /// `ok`; `held` after a rejected batch.
    pub(super) status: &'static str,
    /// The way to the Fusion server.
    pub(super) server: ServerState,
    /// Since when.
    pub(super) since: i64,
}

/// What `POST /v1/batches` answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct WantedView {
    /// Images of all users that the batch will take.
    pub(super) waiting: u32,
}
