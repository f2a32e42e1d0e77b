//! The same calls for async programs.
//!
//! Calls of this crate block for seconds to minutes, and must not be made on a thread that drives
//! futures. Here they run on a thread of their own; the future waits for it and needs no particular
//! runtime. Dropping the future does not end the call: its result is dropped when it comes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fusion_mix::plan::Plan;
use rand_core::CryptoRng;

use crate::client::lanes::text_of;
use crate::client::{ClientSettings, Inputs, Journal, Outcome, PublicPool};
use crate::error::Error;
use crate::event::Event;

/// Runs `call` on a thread of its own. A panic in it is [`Error::Panicked`].
///
/// # Errors
/// Those of `call`; [`Error::File`] never, unless `call` says so.
pub async fn off_thread<T: Send + 'static>(call: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let (told, result) = tokio::sync::oneshot::channel();
    let run = move || {
        let outcome = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(Error::Panicked(text_of(&*panic))));
        // Nobody waits any more if the future was dropped.
        let _ = told.send(outcome);
    };
    std::thread::Builder::new().name("fusion".to_owned()).spawn(run).map_err(|e| Error::Panicked(e.to_string()))?;
    result.await.unwrap_or_else(|_| Err(Error::Panicked("its thread ended".to_owned())))
}

/// [`crate::Client`] for async programs. Cheap to clone.
#[derive(Clone)]
pub struct Client(crate::Client);

impl Client {
    /// See [`crate::Client::connect`].
    ///
    /// # Errors
    /// As there.
    pub async fn connect(settings: ClientSettings) -> Result<Self, Error> {
        off_thread(move || crate::Client::connect(settings).map(Self)).await
    }

    /// The client itself: for what does not block, such as the card and plans.
    #[must_use]
    pub fn blocking(&self) -> &crate::Client {
        &self.0
    }

    /// See [`crate::Client::query`]. `events` is called on the thread of the call.
    ///
    /// # Errors
    /// As there.
    pub async fn query(
        &self,
        inputs: Inputs,
        publics: PublicPool,
        plan: Plan,
        journal: Journal,
        mut rng: impl CryptoRng + Send + 'static,
        mut events: impl FnMut(Event<'_>) + Send + 'static,
    ) -> Result<Outcome, Error> {
        let client = self.0.clone();
        off_thread(move || client.query(&inputs, &publics, &plan, journal, &mut rng, &mut events)).await
    }

    /// See [`crate::Client::resume`].
    ///
    /// # Errors
    /// As there.
    pub async fn resume(
        &self,
        inputs: Inputs,
        publics: PublicPool,
        journal: std::path::PathBuf,
        mut rng: impl CryptoRng + Send + 'static,
        mut events: impl FnMut(Event<'_>) + Send + 'static,
    ) -> Result<Outcome, Error> {
        let client = self.0.clone();
        off_thread(move || client.resume(&inputs, &publics, &journal, &mut rng, &mut events)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_results_come_back() {
        assert_eq!(off_thread(|| Ok(7)).await.unwrap(), 7);
        let error = off_thread::<()>(|| panic!("no way")).await.unwrap_err();
        assert!(matches!(&error, Error::Panicked(text) if text == "no way"), "{error}");
    }

    #[tokio::test]
    async fn blocking_calls_may_be_made_from_async_code() {
        let home = tempfile::tempdir().unwrap();
        // Port 1 of the loopback interface: nobody listens there.
        let nobody = Client::connect(ClientSettings::new("127.0.0.1:1", home.path())).await;
        assert!(matches!(nobody.err(), Some(Error::NoServer(_))));
    }
}
