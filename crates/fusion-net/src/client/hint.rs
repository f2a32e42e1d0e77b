//! Downloads the hint and other public files into the cache, and goes on where a broken download
//! stopped.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tonic::Streaming;

use super::pause::Pauses;
use super::{Client, Served, dial, within};
use crate::error::{Fault, Misbehaviour, NetError};
use crate::hint_cache::{HintCache, HintProgress, HintWait, Part};
use crate::limit_name::LimitName;
use crate::proto::fusion_client::FusionClient;
use crate::proto::{HintChunk, HintRequest};
use crate::tuning::HINT_CHUNK_BYTES;
use fusion_ring::symmetric::digest::Digest;

impl Client {
    /// The hint of `served` in the cache, downloaded first if it is not there. A download that
    /// broke, was cut or was refused for lack of room goes on where it stopped, in this call as
    /// long as its [`patience`](crate::ClientSettings::patience) lasts, or in a later one.
    /// `progress` is told of every piece and of every wait.
    ///
    /// # Errors
    /// [`Misbehaviour::HintDigest`](crate::Misbehaviour::HintDigest) with both digests if the bytes
    /// are not the announced ones (they are deleted); [`NetError::Limit`] for a hint above
    /// [`max_hint_bytes`](crate::ClientSettings::max_hint_bytes); [`NetError::Disk`]; errors of the
    /// transport, after which the part that arrived stays in the cache.
    pub fn fetch_hint(&self, served: &Served, cache: &HintCache, progress: &mut dyn FnMut(HintProgress)) -> Result<PathBuf, NetError> {
        self.fetch_published((served.description.hint_digest, served.description.hint_bytes), cache, progress)
    }

    /// A public file of the server, named by its digest and its length in bytes, as
    /// [`fetch_hint`](Self::fetch_hint) fetches the hint.
    ///
    /// # Errors
    /// As there; [`NetError::Mismatch`] if the server has no such file.
    pub fn fetch_published(
        &self,
        (digest, total): (Digest, u64),
        cache: &HintCache,
        progress: &mut dyn FnMut(HintProgress),
    ) -> Result<PathBuf, NetError> {
        if total > self.settings.max_hint_bytes {
            return Err(NetError::limit(LimitName::HintBytes));
        }
        let waits = |waits_for| HintProgress { done: 0, total, waits_for: Some(waits_for) };
        let _lock = cache.lock(digest, &mut || progress(waits(HintWait::OtherProcess)))?;
        if let Some(path) = cache.lookup(digest)? {
            progress(HintProgress { done: total, total, waits_for: None });
            return Ok(path);
        }
        let mut part = Part::open(cache.part_path(digest), total)?;
        progress(part.progress());
        let (mut patience, mut pauses) = (self.settings.patience, Pauses::default());
        while !part.is_complete() {
            let (before, began) = (part.progress().done, Instant::now());
            let attempt = self.open_hint(digest, before).and_then(|chunks| download(chunks, &mut part, progress));
            if attempt == Ok(()) && part.progress().done == before {
                return Err(Misbehaviour::HintEnded { done: before, total }.into());
            }
            let error = match attempt {
                Ok(()) if part.is_complete() => break,
                // A server that ends a stream early without saying why.
                Ok(()) => NetError::Closed,
                Err(error) => error,
            };
            let done = part.progress().done;
            if done > before {
                pauses.reset();
            } else {
                patience = patience.saturating_sub(began.elapsed());
            }
            let pause = pauses.next(retry_after(&error));
            if !is_passing(&error) || pause > patience {
                return Err(error);
            }
            tracing::info!(%error, done, total, ?pause, "the hint download goes on after a pause");
            progress(HintProgress { waits_for: Some(HintWait::Server(pause)), ..part.progress() });
            patience -= pause;
            std::thread::sleep(pause);
        }
        let whole = cache.path(digest);
        part.finish(digest, &whole)?;
        Ok(whole)
    }

    /// How fast the hint of `served` comes, by its beginning, which is thrown away: at most about
    /// `bytes` of it, for at most about `time`.
    ///
    /// # Errors
    /// The server's refusal of a download, errors of the transport.
    pub fn hint_rate(&self, served: &Served, bytes: u64, time: Duration) -> Result<HintRate, NetError> {
        let mut chunks = self.open_hint(served.description.hint_digest, 0)?;
        // Opening took round trips of its own, which a long download does not notice.
        let (began, mut rate) = (Instant::now(), HintRate { bytes: 0, time: Duration::ZERO });
        while rate.bytes < bytes && rate.time < time {
            let Some(chunk) = chunks.next()? else { break };
            rate = HintRate { bytes: rate.bytes + chunk.data.len() as u64, time: began.elapsed() };
        }
        Ok(rate)
    }

    /// Starts a download of the hint at `offset`.
    fn open_hint(&self, digest: Digest, offset: u64) -> Result<HintStream<'_>, NetError> {
        let request = self.request(HintRequest { digest: Bytes::copy_from_slice(digest.as_bytes()), offset });
        // A connection of its own: after a failure the control connection may be dead.
        let opening = async {
            let connection = dial(&self.endpoint, &self.settings).await?;
            let mut hints = FusionClient::new(connection.channel).max_decoding_message_size(4 * HINT_CHUNK_BYTES);
            within(self.settings.idle, hints.hint(request)).await
        };
        let chunks = self.transport.block_on(opening)?.into_inner();
        Ok(HintStream { client: self, chunks })
    }
}

/// How fast a part of a hint came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HintRate {
    /// Bytes that came.
    pub bytes: u64,
    /// In this time.
    pub time: Duration,
}

impl HintRate {
    /// As a rate in Mbit/s.
    #[must_use]
    pub fn mbit(&self) -> f64 {
        self.bytes as f64 * 8.0 / 1e6 / self.time.as_secs_f64().max(1e-9)
    }
}

/// Whether a download that ended so can be expected to go on later.
fn is_passing(error: &NetError) -> bool {
    if let NetError::Limit { limit, retry_after } = error {
        let cut = matches!(limit, LimitName::HintRate | LimitName::HintTime | LimitName::FirstRequest);
        return cut || retry_after.is_some();
    }
    error.fault() == Fault::Network
}

fn retry_after(error: &NetError) -> Option<Duration> {
    if let NetError::Limit { retry_after, .. } = error { *retry_after } else { None }
}

/// The pieces of a hint as they arrive.
struct HintStream<'a> {
    client: &'a Client,
    chunks: Streaming<HintChunk>,
}

impl HintStream<'_> {
    /// The next piece, or `None` after the last.
    fn next(&mut self) -> Result<Option<HintChunk>, NetError> {
        self.client.transport.block_on(within(self.client.settings.idle, self.chunks.message()))
    }
}

/// Appends what arrives until the stream ends.
fn download(mut chunks: HintStream<'_>, part: &mut Part, progress: &mut dyn FnMut(HintProgress)) -> Result<(), NetError> {
    while let Some(chunk) = chunks.next()? {
        part.append(chunk.offset, &chunk.data)?;
        progress(part.progress());
    }
    Ok(())
}
