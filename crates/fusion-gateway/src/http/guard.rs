//! Who asks: the user of a token, or somebody on this machine and no page of another site.
//!
//! Without users there is no token that a page would have to know, so whatever a browser on this
//! machine is made to send arrives. Two checks keep other sites out: the `Host` must be a name of
//! this machine, against names that are made to point here (DNS rebinding), and a browser must not
//! say that another site asks. With users neither is needed: nothing is sent without being asked,
//! as a cookie would be.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::state::Http;

/// Scripts and styles from here only, none in the page; pictures also from memory; nothing may
/// frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The user who asks.
pub(super) struct User(pub(super) String);

impl FromRequestParts<Http> for User {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Http) -> Result<Self, ApiError> {
        let authorization = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        http.shared.users.who(authorization).map(Self).ok_or_else(ApiError::unauthorized)
    }
}

/// Refuses what another site makes a browser send, and sets the headers of every answer.
pub(super) async fn guard(State(http): State<Http>, request: Request, next: Next) -> Response {
    let refused = if http.shared.users.are_named() { None } else { foreign(&request) };
    let mut response = match refused {
        Some(reason) => ApiError::new(StatusCode::FORBIDDEN, "foreign", reason).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(header::CACHE_CONTROL, "no-store");
    response
}

/// Why a request is not of somebody on this machine.
fn foreign(request: &Request) -> Option<&'static str> {
    let text = |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let host = request.uri().authority().map(|authority| authority.as_str()).or(text(header::HOST))?;
    if !is_this_machine(host) {
        return Some("without users this gateway answers to localhost only: use that name, or give --users");
    }
    // A link from elsewhere to the page is all that another site may make of us.
    let follows = matches!(*request.method(), Method::GET | Method::HEAD)
        && text(header::HeaderName::from_static("sec-fetch-mode")).is_none_or(|mode| mode == "navigate")
        && request.uri().path() == "/";
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or("?", |(_, host)| host));
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    let other = origin.is_some_and(|origin| origin != host) || site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
    (other && !follows).then_some("a page of another site may not do this")
}

pub(super) fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let ip = || name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || ip().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_this_machine() {
        for good in ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080", "[::1]"] {
            assert!(is_this_machine(good), "{good}");
        }
        for bad in ["", "example.org", "localhost.example.org:80", "127.0.0.1.nip.io", "10.0.0.1:80", "localhost:80@evil", "[::2]:1", "?"] {
            assert!(!is_this_machine(bad), "{bad}");
        }
    }

    #[test]
    fn other_sites_may_not_change_anything() {
        let request = |method: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method).uri("/v1/batches");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            foreign(&request.body(axum::body::Body::empty()).unwrap()).is_none()
        };
        let host = ("host", "localhost:8080");
        assert!(request("POST", &[host]), "a program");
        assert!(request("POST", &[host, ("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]), "our page");
        for origin in ["http://evil.example", "null", "http://localhost:8081", "http://localhost"] {
            assert!(!request("POST", &[host, ("origin", origin)]), "{origin}");
        }
        assert!(!request("DELETE", &[host, ("sec-fetch-site", "cross-site")]));
        assert!(!request("GET", &[("host", "evil.example")]), "a name that is made to point here");
        assert!(!request("GET", &[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]), "events, for one");
        let link = Request::builder().uri("/").header("host", "localhost:8080").header("sec-fetch-site", "cross-site");
        let link = link.header("sec-fetch-mode", "navigate").body(axum::body::Body::empty()).unwrap();
        assert!(foreign(&link).is_none(), "a link to the page");
    }
}
