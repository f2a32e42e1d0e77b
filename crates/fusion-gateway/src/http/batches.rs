//! Batches and their reports.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::error::{ApiError, ErrorView};
use super::guard::User;
use super::state::{Http, blocking};
use super::views::{BatchView, ReportView, WantedView};
use crate::ids;
use crate::shared::Happened;

/// Batches in a listing.
const LISTED: u32 = 100;

/// Lists the newest batches, of all users together: a batch mixes them.
#[utoipa::path(get, path = "/v1/batches", security(("token" = [])),
    responses((status = 200, body = Vec<BatchView>), (status = 401, body = ErrorView)))]
pub(super) async fn list(State(http): State<Http>, User(_): User) -> Result<Json<Vec<BatchView>>, ApiError> {
    let rows = blocking(&http, |shared| shared.store.batches(LISTED)).await?;
    Ok(Json(rows.iter().map(BatchView::from).collect()))
}

/// Begins a batch of whatever waits, without waiting for it to fill.
#[utoipa::path(post, path = "/v1/batches", security(("token" = [])),
    responses((status = 202, description = "It begins as soon as no other runs", body = WantedView), (status = 401, body = ErrorView),
        (status = 409, description = "Nothing waits, or a rejected batch was not acknowledged", body = ErrorView)))]
pub(super) async fn post(State(http): State<Http>, User(_): User) -> Result<(StatusCode, Json<WantedView>), ApiError> {
    let (waiting, held) = blocking(&http, |shared| {
        let (waiting, held) = (shared.store.waiting()?, shared.store.held_by()?);
        if waiting.count > 0 && held.is_none() {
            shared.store.want_batch()?;
        }
        Ok((waiting, held))
    })
    .await?;
    if let Some(batch) = held {
        let text = format!("batch {batch} was rejected: the server is asked nothing more until that is acknowledged");
        return Err(ApiError::new(StatusCode::CONFLICT, "held", text));
    }
    if waiting.count == 0 {
        return Err(ApiError::new(StatusCode::CONFLICT, "empty", "no image waits for a batch"));
    }
    http.shared.wake();
    Ok((StatusCode::ACCEPTED, Json(WantedView { waiting: waiting.count })))
}

/// The report of a batch, with what concerns the user's own images.
#[utoipa::path(get, path = "/v1/batches/{id}", params(("id" = String, Path)), security(("token" = [])),
    responses((status = 200, body = ReportView), (status = 401, body = ErrorView), (status = 404, body = ErrorView)))]
pub(super) async fn get(State(http): State<Http>, User(user): User, Path(id): Path<String>) -> Result<Json<ReportView>, ApiError> {
    if !ids::is_id(&id) {
        return Err(ApiError::unknown("batch"));
    }
    let found = blocking(&http, move |shared| {
        let Some(row) = shared.store.batch(&id)? else { return Ok(None) };
        let own = shared.store.places_of(&user, &id)?;
        Ok(Some((row, own)))
    })
    .await?;
    let (row, own) = found.ok_or_else(|| ApiError::unknown("batch"))?;
    Ok(Json(ReportView::new(&row, own)))
}

/// Acknowledges that a batch was rejected: the server may be asked again.
#[utoipa::path(post, path = "/v1/batches/{id}/acknowledge", params(("id" = String, Path)), security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorView), (status = 404, description = "No such rejected batch", body = ErrorView)))]
pub(super) async fn acknowledge(State(http): State<Http>, User(user): User, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    if !ids::is_id(&id) {
        return Err(ApiError::unknown("batch"));
    }
    let batch = id.clone();
    if !blocking(&http, move |shared| shared.store.acknowledge(&batch)).await? {
        return Err(ApiError::unknown("rejected batch"));
    }
    tracing::warn!(batch = id, user, "a rejected batch is acknowledged; the server is asked again");
    http.shared.tell(Happened::Batch { id });
    http.shared.tell(Happened::State);
    http.shared.wake();
    Ok(StatusCode::NO_CONTENT)
}
