//! The state of things: for users, for whoever watches over the gateway, for programs that read
//! the description of the interface.

use axum::Json;
use axum::extract::State;

use super::error::{ApiError, ErrorView};
use super::guard::User;
use super::state::{Http, blocking};
use super::views::{HealthView, ModelView, StatusView};
use crate::shared::Shared;
use crate::shown::shown;

/// The state of the gateway: the server, what waits, when the next batch begins.
#[utoipa::path(get, path = "/v1/status", security(("token" = [])),
    responses((status = 200, body = StatusView), (status = 401, body = ErrorView)))]
pub(super) async fn status(State(http): State<Http>, User(user): User) -> Result<Json<StatusView>, ApiError> {
    Ok(Json(blocking(&http, move |shared| status_of(shared, user)).await?))
}

/// The state of the gateway for a user.
pub(super) fn status_of(shared: &Shared, user: String) -> rusqlite::Result<StatusView> {
    let (live, settings) = (shared.live(), &shared.settings);
    let waiting = shared.store.waiting()?;
    let every = i64::try_from(settings.every.as_millis()).unwrap_or(i64::MAX);
    Ok(StatusView {
        user,
        server: live.server,
        reason: live.reason,
        since: live.since,
        model: live.model.map(|model| shown(&model.card.name)),
        waiting: waiting.count,
        batch: settings.batch,
        next_batch_at: waiting.oldest.map(|oldest| oldest.saturating_add(every)),
        running: shared.store.running_batch()?.map(|batch| batch.id),
        progress: live.progress,
        held_by: shared.store.held_by()?,
        max_image_bytes: settings.most.bytes,
        forget_after: settings.forget_after.map(|after| after.as_secs()),
        keep_images: settings.keep_images,
    })
}

/// The model that is asked, as its owner describes it.
#[utoipa::path(get, path = "/v1/model", security(("token" = [])),
    responses((status = 200, body = ModelView), (status = 401, body = ErrorView), (status = 503, body = ErrorView)))]
pub(super) async fn model(State(http): State<Http>, User(_): User) -> Result<Json<ModelView>, ApiError> {
    let model = http.shared.live().model;
    model.map(|model| Json((&model).into())).ok_or_else(|| ApiError::busy("the Fusion server was never reached yet").after(10))
}

/// Whether the gateway works. It does while its server is away: images are taken in and wait.
#[utoipa::path(get, path = "/healthz",
    responses((status = 200, body = HealthView), (status = 500, description = "The database fails", body = ErrorView)))]
pub(super) async fn health(State(http): State<Http>) -> Result<Json<HealthView>, ApiError> {
    let held = blocking(&http, |shared| shared.store.held_by()).await?;
    let live = http.shared.live();
    Ok(Json(HealthView { status: if held.is_some() { "held" } else { "ok" }, server: live.server, since: live.since }))
}
