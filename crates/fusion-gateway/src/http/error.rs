//! What a request is answered that cannot be served.

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// An answer with a status, a word for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds.
    retry_after: Option<u32>,
}

/// The body of an error.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ErrorView {
    /// A word for programs.
    code: &'static str,
    /// What is wrong, and what to do.
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    pub(super) fn unknown(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no such {what} of yours"))
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "send a token that is known here: Authorization: Bearer TOKEN")
    }

    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).after(5)
    }

    pub(super) fn after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        // The text may name what was written: it is for the log of whoever runs the gateway.
        tracing::error!(%error, "the gateway's database fails");
        let full = matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
        let (status, message) = if full {
            (StatusCode::INSUFFICIENT_STORAGE, "the gateway's disk is full: nothing was kept of this request")
        } else {
            (StatusCode::INTERNAL_SERVER_ERROR, "the gateway's database fails: its log says why")
        };
        Self::new(status, "database", message).after(30)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message, retry_after } = self;
        let mut response = (status, Json(ErrorView { code, message })).into_response();
        let mut set = |name: HeaderName, value: axum::http::HeaderValue| response.headers_mut().insert(name, value);
        if let Some(seconds) = retry_after {
            set(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            set(header::WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
        }
        response
    }
}
