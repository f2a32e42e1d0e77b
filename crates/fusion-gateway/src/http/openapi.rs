//! The description of the interface, for programs that write programs.

use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{batches, events, images, status};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Fusion gateway",
        description = "Private image classification whose answers are checked: at once and PROVISIONAL, then verified in batches."
    ),
    paths(
        images::post,
        images::list,
        images::get,
        images::picture,
        images::delete,
        batches::list,
        batches::post,
        batches::get,
        batches::acknowledge,
        status::status,
        status::model,
        status::health,
        events::events
    ),
    modifiers(&Token)
)]
struct Description;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The document, which needs no token: it names nobody.
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}
