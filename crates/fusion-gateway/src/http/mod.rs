//! HTTP: routes, limits, and what each request passes through.
//!
//! ```text
//!   listen   connections: how many, TLS, time for a head       listen
//!   guard    other sites, headers of every answer              guard
//!   limits   requests at once, time for a request              here
//!   User     the bearer token                                  guard
//!   handler  images, batches, events, status, page
//! ```

mod batches;
mod error;
mod events;
mod guard;
mod images;
mod listen;
mod openapi;
mod page;
mod state;
mod status;
mod views;
mod webhook;

use std::sync::Arc;

use axum::error_handling::HandleErrorLayer;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{BoxError, Router, middleware};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;

use crate::shared::Shared;
use error::ApiError;
use state::Http;

pub(crate) use listen::{Listener, serve};
pub(crate) use webhook::{Target, tell_of_batches};

/// Bodies of images that are held in memory at the same time.
const UPLOADS: usize = 16;
/// Images that are decoded at the same time: one may take half a gigabyte.
const DECODED: usize = 2;

/// All routes.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let limits = shared.settings.limits;
    let permits = |count: usize| Arc::new(Semaphore::new(count));
    let http = Http { shared: Arc::clone(shared), uploads: permits(UPLOADS), decoding: permits(DECODED), streams: permits(limits.streams) };
    let bounded = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(overloaded))
        .load_shed()
        .layer(GlobalConcurrencyLimitLayer::new(limits.requests))
        .timeout(limits.request);
    Router::new()
        .route("/v1/images", post(images::post).get(images::list))
        .route("/v1/images/{id}", get(images::get).delete(images::delete))
        .route("/v1/images/{id}/picture", get(images::picture))
        .route("/v1/batches", get(batches::list).post(batches::post))
        .route("/v1/batches/{id}", get(batches::get))
        .route("/v1/batches/{id}/acknowledge", post(batches::acknowledge))
        .route("/v1/status", get(status::status))
        .route("/v1/model", get(status::model))
        .route("/v1/events", get(events::events))
        .route("/v1/openapi.json", get(openapi::document))
        .route("/", get(page::html))
        .route("/api.js", get(page::api))
        .route("/app.js", get(page::app))
        .route("/figures.js", get(page::figures))
        .route("/icon.svg", get(page::icon))
        .route("/style.css", get(page::style))
        // Handlers have limits of their own.
        .layer(DefaultBodyLimit::disable())
        .layer(bounded)
        // Whoever watches over the gateway is answered however many requests run.
        .route("/healthz", get(status::health))
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(http.clone(), guard::guard))
        .with_state(http)
}

async fn nowhere() -> ApiError {
    ApiError::new(axum::http::StatusCode::NOT_FOUND, "not-found", "there is nothing here: /v1/openapi.json says what there is")
}

async fn overloaded(error: BoxError) -> ApiError {
    if error.is::<tower::timeout::error::Elapsed>() {
        return ApiError::new(axum::http::StatusCode::REQUEST_TIMEOUT, "timeout", "the request took too long");
    }
    ApiError::busy("too many requests at the same time: try again")
}
