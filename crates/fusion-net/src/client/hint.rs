//! Downloads the hint and other public files into the cache, and goes on where a broken download
//! stopped.

use std::path::PathBuf;

use bytes::Bytes;
use tonic::Streaming;

use super::{Client, Served, dial, within};
use crate::error::{Fault, NetError};
use crate::hint_cache::{HintCache, HintProgress, Part};
use crate::limit_name::LimitName;
use crate::proto::fusion_client::FusionClient;
use crate::proto::{HintChunk, HintRequest};
use crate::tuning::HINT_CHUNK_BYTES;
use fusion_ring::symmetric::digest::Digest;

impl Client {
    /// The hint of `served` in the cache, downloaded first if it is not there. A broken download
    /// goes on where it stopped, in this call or in a later one.
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
        let _lock = cache.lock(digest)?;
        if let Some(path) = cache.lookup(digest)? {
            progress(HintProgress { done: total, total });
            return Ok(path);
        }
        let mut part = Part::open(cache.part_path(digest), total)?;
        progress(part.progress());
        let mut retries = self.settings.hint_retries;
        while !part.is_complete() {
            let before = part.progress().done;
            let attempt = self.open_hint(digest, before).and_then(|chunks| download(chunks, &mut part, progress));
            let done = part.progress().done;
            match attempt {
                Ok(()) => {}
                Err(error) if error.fault() == Fault::Network && done > before && retries > 0 => {
                    tracing::info!(%error, done, total, "taking up the hint download again");
                    retries -= 1;
                }
                Err(error) => return Err(error),
            }
        }
        let whole = cache.path(digest);
        part.finish(digest, &whole)?;
        Ok(whole)
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

/// Appends what arrives until the hint is complete; a stream that ends before is a lost connection.
fn download(mut chunks: HintStream<'_>, part: &mut Part, progress: &mut dyn FnMut(HintProgress)) -> Result<(), NetError> {
    while let Some(chunk) = chunks.next()? {
        part.append(chunk.offset, &chunk.data)?;
        progress(part.progress());
    }
    if part.is_complete() { Ok(()) } else { Err(NetError::Closed) }
}
