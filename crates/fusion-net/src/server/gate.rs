//! What every call passes before any of its body is read: who calls, and for how long it may keep
//! us waiting.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tonic::body::Body;
use tonic::codegen::{BoxFuture, http};
use tonic::transport::server::TlsConnectInfo;
use tower::{Layer, Service};

use super::attempts::{ALLOWED, Attempts};
use super::connections::{Connections, Handle};
use super::counters::Tally;
use crate::error::NetError;
use crate::limit_name::LimitName;
use crate::security::Token;
use crate::status::to_status;

/// Path of our own service. Health and reflection stand beside it, and say nothing that needs a
/// token.
const SERVICE: &str = "/fusion.v1.Fusion/";
const LANE: &str = "/fusion.v1.Fusion/Lane";

/// The rules, shared by all connections.
#[derive(Clone)]
pub(super) struct Gate(Arc<Rules>);

struct Rules {
    token: Option<Token>,
    /// Time from the header of a call until it begins to be answered.
    time: Duration,
    attempts: Attempts,
    connections: Arc<Connections>,
    tally: Arc<Tally>,
}

impl Gate {
    pub(super) fn new(token: Option<Token>, time: Duration, connections: Arc<Connections>, tally: Arc<Tally>) -> Self {
        Self(Arc::new(Rules { token, time, attempts: Attempts::default(), connections, tally }))
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, rules: Arc::clone(&self.0) }
    }
}

/// The services behind the gate.
#[derive(Clone)]
pub(super) struct Gated<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> Service<http::Request<Body>> for Gated<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let rules = Arc::clone(&self.rules);
        let Some(handle) = request.extensions().get::<Handle>().cloned() else {
            // Every connection of the listener has one.
            return Box::pin(async { Ok(refuse(&NetError::Settings("a call without a connection".into()))) });
        };
        let ours = request.uri().path().starts_with(SERVICE);
        if ours && let Err(error) = rules.authorize(request.headers(), &handle) {
            rules.tally.refused(&error);
            return Box::pin(async move { Ok(refuse(&error)) });
        }
        // Without credentials anybody may ask; but a lane that was admitted is a client's.
        let credentials = rules.token.is_some() || request.extensions().get::<TlsConnectInfo<Handle>>().is_some_and(has_certificate);
        let lets_in = ours && (credentials || request.uri().path() == LANE);
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        let busy = handle.begin();
        Box::pin(async move {
            let Ok(answer) = tokio::time::timeout(rules.time, ready.call(request)).await else {
                let error = NetError::limit(LimitName::FirstRequest);
                rules.tally.refused(&error);
                return Ok(refuse(&error));
            };
            let answer = answer?;
            if is_ok(&answer) {
                handle.answered();
                if lets_in {
                    rules.connections.remember(handle.origin());
                }
            }
            drop(busy);
            Ok(answer)
        })
    }
}

impl Rules {
    /// Lets calls with the right token pass, and few with a wrong one.
    ///
    /// Where nobody has shown the right token before, even the right one is not looked at for a
    /// while after many wrong ones: else there would be nothing to stop a guesser. Where somebody
    /// has, a guesser beside them does not lock them out.
    fn authorize(&self, headers: &http::HeaderMap, handle: &Handle) -> Result<(), NetError> {
        let Some(expected) = &self.token else { return Ok(()) };
        let (origin, now) = (handle.origin(), Instant::now());
        let blocked = self.attempts.blocked(origin, now);
        let refused = blocked.map(|wait| NetError::Limit { limit: LimitName::WrongTokens, retry_after: Some(wait) });
        if let Some(refused) = &refused
            && !handle.is_authorized()
            && !self.connections.knows(origin)
        {
            return Err(refused.clone());
        }
        let presented = headers.get(http::header::AUTHORIZATION).ok_or(NetError::Unauthenticated)?;
        if expected.is_header(presented.as_bytes()) {
            handle.authorize();
            return Ok(());
        }
        self.tally.add(|counters| counters.wrong_tokens += 1);
        if let Some(refused) = refused {
            return Err(refused);
        }
        let wrong = self.attempts.wrong(origin, now);
        tracing::warn!(address = %handle.peer(), wrong, "a wrong bearer token");
        if wrong >= ALLOWED {
            tracing::warn!(%origin, "too many wrong tokens: further ones are refused unread for a minute");
        }
        Err(NetError::Unauthenticated)
    }
}

fn has_certificate(connection: &TlsConnectInfo<Handle>) -> bool {
    connection.peer_certs().is_some_and(|chain| !chain.is_empty())
}

fn refuse(error: &NetError) -> http::Response<Body> {
    to_status(error).into_http()
}

/// Whether a call went well so far: an error that comes before any answer stands in the header.
fn is_ok(answer: &http::Response<Body>) -> bool {
    answer.headers().get(tonic::Status::GRPC_STATUS).is_none_or(|status| status.as_bytes() == b"0")
}
