//! Images: taken in, shown, deleted.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest as _, Multipart, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fusion::client::encode;
use fusion::images::Sample;
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::{ApiError, ErrorView};
use super::guard::User;
use super::state::{Http, blocking};
use super::views::{ImageView, ImagesView};
use crate::ids;
use crate::shared::{Happened, now};
use crate::shown::shown;
use crate::store::{Added, Deleted, ImageState, NewImage, Room};

/// Characters of a name that are kept.
const NAME_CHARS: usize = 200;
/// Characters of a key.
const KEY_CHARS: usize = 64;
/// Images in one listing, unless told otherwise, and at most.
const LISTED: (u32, u32) = (200, 1000);
/// Longest side of a small picture, pixels.
const PICTURE: u32 = 160;
/// What multipart adds to an image at most.
const MULTIPART_BYTES: usize = 64 << 10;

/// What goes with a raw body.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Named {
    /// The image's name, for people.
    name: Option<String>,
}

/// Takes an image in: as `multipart/form-data` with one file, or as the body itself. It is decoded
/// and held against the model before the answer, and on disk. Whoever may have to send it again
/// gives an `Idempotency-Key`: it is taken in once, then.
#[utoipa::path(
    post, path = "/v1/images", security(("token" = [])),
    params(Named, ("idempotency-key" = Option<String>, Header, description = "The same for the same image, at most 64 characters")),
    request_body(content((Vec<u8> = "image/*"), (Vec<u8> = "multipart/form-data")), description = "PNG, JPEG, WebP, BMP or TIFF"),
    responses(
        (status = 202, description = "It waits for its provisional label and its batch", body = ImageView),
        (status = 400, description = "No image, or one that does not fit the model", body = ErrorView),
        (status = 401, body = ErrorView), (status = 413, description = "Too large", body = ErrorView),
        (status = 415, description = "Neither an image nor multipart", body = ErrorView),
        (status = 429, description = "Too many images wait", body = ErrorView),
        (status = 503, description = "The server was never reached, or the gateway is busy", body = ErrorView),
    )
)]
pub(super) async fn post(
    State(http): State<Http>,
    User(user): User,
    named: Result<Query<Named>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Query(named) = named.map_err(|error| ApiError::bad(error.body_text()))?;
    let key = key_of(request.headers())?;
    let shared = &http.shared;
    let Some(model) = shared.live().model else {
        return Err(ApiError::busy("the Fusion server was never reached yet: its model decides which images fit").after(10));
    };
    let waiting = blocking(&http, |shared| shared.store.waiting()).await?;
    let full = || {
        let text = "too many images wait for their batch: come back when it has run, or ask for one with POST /v1/batches";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "full", text).after(30)
    };
    let most = shared.settings.most;
    let most = Room { images: most.waiting, bytes: i64::try_from(most.disk).unwrap_or(i64::MAX) };
    if waiting.count >= most.images {
        return Err(full());
    }
    // Bounds the bytes in memory: whoever waits here has sent nothing yet.
    let upload = Arc::clone(&http.uploads).acquire_owned().await.map_err(|_| ApiError::busy("the gateway stops"))?;
    let (name, bytes) = body(request, named.name, shared.settings.most.bytes).await?;
    let bytes: Arc<[u8]> = bytes.into();
    let sample = Sample::of_bytes(name.clone(), Arc::clone(&bytes));
    let checked = {
        let decoding = Arc::clone(&http.decoding).acquire_owned().await.map_err(|_| ApiError::busy("the gateway stops"))?;
        // Whoever hangs up does not end a decoder: it keeps its places until it is done.
        let check = move || (encode(&model.card, &sample).map(drop).map_err(|error| error.to_string()), upload, decoding);
        tokio::task::spawn_blocking(check).await
    };
    let (checked, _upload, decoding) = checked.map_err(|_| ApiError::bad("the image made its decoder fail"))?;
    drop(decoding);
    checked.map_err(|reason| ApiError::new(StatusCode::BAD_REQUEST, "no-image", format!("{reason}. Nothing was kept of it.")))?;
    let id = ids::fresh().ok_or_else(|| ApiError::busy("the operating system has no randomness"))?;
    let row = blocking(&http, {
        let user = user.clone();
        move |shared| {
            let new = NewImage { id: &id, user: &user, name: &name, key: key.as_deref(), bytes: &bytes };
            match shared.store.add_image(&new, now(), most)? {
                Added::Full => Ok(Err(full())),
                Added::OtherKnown => Ok(Err(other_known())),
                Added::Waits => Ok(shared.store.image(&user, &id)?.ok_or_else(|| ApiError::unknown("image"))),
                Added::Known(id) => Ok(shared.store.image(&user, &id)?.ok_or_else(|| ApiError::unknown("image"))),
            }
        }
    })
    .await?;
    let row = row?;
    let id = row.id.clone();
    shared.tell(Happened::Image { user, id: id.clone() });
    shared.tell(Happened::State);
    shared.wake();
    let location = [(header::LOCATION, format!("/v1/images/{id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(ImageView::from(row))).into_response())
}

fn other_known() -> ApiError {
    let text = "another image was sent with this Idempotency-Key: take a new key for a new image. Nothing was kept of this one.";
    ApiError::new(StatusCode::CONFLICT, "key-reused", text)
}

/// What the sender will send the image with again, should it not hear the answer.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=KEY_CHARS).contains(&key.len()));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| ApiError::bad(format!("an Idempotency-Key has 1 to {KEY_CHARS} ASCII characters")))
}

/// The name and the bytes of the image in a request.
async fn body(request: Request, name: Option<String>, most: usize) -> Result<(String, Vec<u8>), ApiError> {
    let kind = content_type(request.headers());
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most.saturating_add(MULTIPART_BYTES)) {
        return Err(too_large(most));
    }
    if kind == "multipart/form-data" {
        return multipart(request, most).await;
    }
    if !(kind.starts_with("image/") || kind == "application/octet-stream") {
        let text = "send an image with its content type, such as image/png, or multipart/form-data with one file";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", text));
    }
    let bytes = axum::body::to_bytes(request.into_body(), most).await.map_err(|error| {
        let limit = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
            .any(|error| error.is::<http_body_util::LengthLimitError>());
        if limit { too_large(most) } else { ApiError::bad("the body ends before its end") }
    })?;
    Ok((clean(name.as_deref().unwrap_or("image")), bytes.into()))
}

async fn multipart(request: Request, most: usize) -> Result<(String, Vec<u8>), ApiError> {
    let (parts, body) = request.into_parts();
    let limited = http_body_util::Limited::new(body, most.saturating_add(MULTIPART_BYTES));
    let request = Request::from_parts(parts, Body::new(limited));
    let bad = |error: axum::extract::multipart::MultipartError| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE { too_large(most) } else { ApiError::bad(error.body_text()) }
    };
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| ApiError::bad(error.body_text()))?;
    let mut image = None;
    while let Some(mut field) = form.next_field().await.map_err(bad)? {
        let name = clean(field.file_name().unwrap_or("image"));
        let mut bytes = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(bad)? {
            if bytes.len() + chunk.len() > most {
                return Err(too_large(most));
            }
            bytes.extend_from_slice(&chunk);
        }
        if image.replace((name, bytes)).is_some() {
            return Err(ApiError::bad("one image a request: send the others in requests of their own"));
        }
    }
    image.ok_or_else(|| ApiError::bad("the form has no file"))
}

fn too_large(most: usize) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("more than {most} bytes: send a smaller image"))
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A name without folders, and without what could steer a terminal or reorder a line.
fn clean(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = shown(last).chars().take(NAME_CHARS).collect();
    if kept.trim().is_empty() { "image".to_owned() } else { kept }
}

/// Which images.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Which {
    /// Only those in this state.
    state: Option<ImageState>,
    /// Only those that are older than this image.
    before: Option<String>,
    /// So many at most (200; 1000 is the most).
    limit: Option<u32>,
}

/// Lists the user's own images, the newest first.
#[utoipa::path(get, path = "/v1/images", params(Which), security(("token" = [])),
    responses((status = 200, body = ImagesView), (status = 400, body = ErrorView), (status = 401, body = ErrorView)))]
pub(super) async fn list(
    State(http): State<Http>,
    User(user): User,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<ImagesView>, ApiError> {
    let Query(Which { state, before, limit }) = which.map_err(|error| ApiError::bad(error.body_text()))?;
    if before.as_deref().is_some_and(|id| !ids::is_id(id)) {
        return Err(ApiError::bad("`before` is the id of an image"));
    }
    let most = limit.unwrap_or(LISTED.0).clamp(1, LISTED.1);
    let mut rows = blocking(&http, move |shared| shared.store.images(&user, state, before.as_deref(), most + 1)).await?;
    let more = rows.len() > most as usize;
    rows.truncate(most as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id.clone());
    Ok(Json(ImagesView { images: rows.into_iter().map(ImageView::from).collect(), next }))
}

/// Shows one of the user's own images.
#[utoipa::path(get, path = "/v1/images/{id}", params(("id" = String, Path)), security(("token" = [])),
    responses((status = 200, body = ImageView), (status = 401, body = ErrorView), (status = 404, body = ErrorView)))]
pub(super) async fn get(State(http): State<Http>, User(user): User, Path(id): Path<String>) -> Result<Json<ImageView>, ApiError> {
    let id = own_id(id)?;
    let row = blocking(&http, move |shared| shared.store.image(&user, &id)).await?;
    row.map(|row| Json(row.into())).ok_or_else(|| ApiError::unknown("image"))
}

/// A small picture of one of the user's own images, while its bytes are kept.
#[utoipa::path(get, path = "/v1/images/{id}/picture", params(("id" = String, Path)), security(("token" = [])),
    responses((status = 200, body = Vec<u8>, content_type = "image/png"), (status = 401, body = ErrorView), (status = 404, body = ErrorView)))]
pub(super) async fn picture(State(http): State<Http>, User(user): User, Path(id): Path<String>) -> Result<Response, ApiError> {
    let id = own_id(id)?;
    let decoding = Arc::clone(&http.decoding).acquire_owned().await.map_err(|_| ApiError::busy("the gateway stops"))?;
    let bytes = blocking(&http, move |shared| shared.store.picture(&user, &id)).await?;
    let bytes = bytes.ok_or_else(|| ApiError::unknown("picture"))?;
    let small = tokio::task::spawn_blocking(move || (Sample::of_bytes("image", bytes).thumbnail(PICTURE), decoding)).await;
    let png = small.ok().and_then(|(png, _)| png.ok()).ok_or_else(|| ApiError::unknown("picture"))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

/// Deletes one of the user's own images, with its labels; not while its batch runs.
#[utoipa::path(delete, path = "/v1/images/{id}", params(("id" = String, Path)), security(("token" = [])),
    responses((status = 204), (status = 401, body = ErrorView), (status = 404, body = ErrorView),
        (status = 409, description = "Its batch runs", body = ErrorView)))]
pub(super) async fn delete(State(http): State<Http>, User(user): User, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let id = own_id(id)?;
    let deleted = blocking(&http, {
        let (user, id) = (user.clone(), id.clone());
        move |shared| shared.store.delete_image(&user, &id)
    })
    .await?;
    match deleted {
        Deleted::Gone => {
            http.shared.tell(Happened::Image { user, id });
            http.shared.tell(Happened::State);
            Ok(StatusCode::NO_CONTENT)
        }
        Deleted::Unknown => Err(ApiError::unknown("image")),
        Deleted::Running => {
            let text = "its batch runs, and would not be the same without it: delete it when the batch has ended";
            Err(ApiError::new(StatusCode::CONFLICT, "running", text))
        }
    }
}

fn own_id(id: String) -> Result<String, ApiError> {
    if ids::is_id(&id) { Ok(id) } else { Err(ApiError::unknown("image")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_folders_and_what_steers() {
        assert_eq!(clean("../../etc/passwd"), "passwd");
        assert_eq!(clean("C:\\fotos\\katze.png"), "katze.png");
        assert_eq!(clean("a\r\nSet-Cookie: x\u{202e}gnp.exe\u{0}"), "aSet-Cookie: xgnp.exe");
        assert_eq!(clean("<img src=x onerror=alert(1)>"), "<img src=x onerror=alert(1)>", "kept as text, and shown as text");
        assert_eq!((clean("   ").as_str(), clean("x/").as_str()), ("image", "image"));
        assert_eq!(clean(&"x".repeat(999)).len(), NAME_CHARS);
    }
}
