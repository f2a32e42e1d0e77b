//! What happens, as it happens: server-sent events.
//!
//! ```text
//!   event: image    one of the user's own images changed    as GET /v1/images/{id}; {"id"}: gone
//!   event: batch    a batch began or ended                  as in GET /v1/batches
//!   event: status   the state changed                       as GET /v1/status
//!   event: resync   too much happened: look for yourself    {}
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use serde_json::{Value, json};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::{Stream, StreamExt as _};

use super::error::{ApiError, ErrorView};
use super::guard::User;
use super::state::{Http, blocking};
use super::status::status_of;
use super::views::{BatchView, ImageView};
use crate::shared::{Happened, Shared};

/// A line is sent at least so often, so that nothing on the way gives up.
const ALIVE: Duration = Duration::from_secs(15);

/// Tells what happens to the user's own images, to batches and to the state of things.
#[utoipa::path(get, path = "/v1/events", security(("token" = [])),
    responses((status = 200, description = "Events `image`, `batch`, `status`, `resync`", content_type = "text/event-stream", body = String),
        (status = 401, body = ErrorView), (status = 503, description = "Too many listen", body = ErrorView)))]
pub(super) async fn events(
    State(http): State<Http>,
    User(user): User,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let permit =
        Arc::clone(&http.streams).try_acquire_owned().map_err(|_| ApiError::busy("too many listen to events: ask now and then"))?;
    let shared = Arc::clone(&http.shared);
    let stream = BroadcastStream::new(http.shared.listen());
    let first = tokio_stream::once(Ok(Happened::State));
    let told = first.chain(stream).take_while(move |_| !shared.stops());
    let events = told.then(move |happened| {
        // Held for as long as the stream is.
        let _permit = &permit;
        describe(http.clone(), user.clone(), happened)
    });
    Ok(Sse::new(events.filter_map(|event| event.map(Ok))).keep_alive(KeepAlive::new().interval(ALIVE)))
}

/// What a user is told of something that happened; nothing if it is none of theirs.
async fn describe(http: Http, user: String, happened: Result<Happened, BroadcastStreamRecvError>) -> Option<Event> {
    let Ok(happened) = happened else { return event("resync", &json!({})) };
    if matches!(&happened, Happened::Image { user: of, .. } if *of != user) {
        return None;
    }
    let (name, data) = blocking(&http, move |shared| look(shared, user, happened)).await.ok()??;
    event(name, &data)
}

fn look(shared: &Shared, user: String, happened: Happened) -> rusqlite::Result<Option<(&'static str, Value)>> {
    let value = |value: serde_json::Result<Value>| value.unwrap_or_default();
    Ok(match happened {
        Happened::Image { id, .. } => {
            let row = shared.store.image(&user, &id)?;
            let data = row.map_or_else(|| json!({ "id": id }), |row| value(serde_json::to_value(ImageView::from(row))));
            Some(("image", data))
        }
        Happened::Batch { id } => {
            let row = shared.store.batch(&id)?;
            Some(("batch", row.map_or_else(|| json!({ "id": id }), |row| value(serde_json::to_value(BatchView::from(&row))))))
        }
        Happened::State => Some(("status", value(serde_json::to_value(status_of(shared, user)?)))),
    })
}

fn event(name: &str, data: &Value) -> Option<Event> {
    Event::default().event(name).json_data(data).ok()
}
