//! Calls that take long: without Python's lock, told of while they work, and interruptible.
//!
//! ```text
//!   the caller's thread                         a thread of the call
//!   waits without the lock  <-- events, result --  the library's blocking call
//!   passes events on, sees Ctrl-C  -- stop -->     unwinds at its next event
//! ```
//! Python delivers signals to its main thread only, so the thread that called is the one that must
//! look for them. The library stops a call whose listener panics, finishing what must be on record
//! first; the panic that carries [`Stopped`] says nothing and ends at the thread's own edge.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use fusion::net::HintWait;
use fusion::{Event, Events};
use pyo3::prelude::*;
use serde_json::json;

use crate::faults::{Fault, Kind};

/// How often the caller's thread looks for signals.
const TICK: Duration = Duration::from_millis(50);

/// How long a call that was told to stop is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A moment, in which it may remove what it has begun; then its thread is left to itself.
    Moment,
    /// Until it has stopped, which takes as long as the lanes that run: its journal is free then.
    /// A second interrupt ends the wait.
    Whole,
}

/// What a moment is.
const MOMENT: Duration = Duration::from_secs(2);

/// What the panic that stops a call carries.
struct Stopped;

enum Told<T> {
    Event(String),
    Done(Result<T, Fault>),
}

/// Runs `work` on a thread of its own and calls `on_event` with JSON texts.
///
/// # Errors
/// What `work` says, as an exception; what `on_event` raises; what a signal handler raises, which
/// is `KeyboardInterrupt` for Ctrl-C.
pub(crate) fn call<T: Send + 'static>(
    py: Python<'_>,
    on_event: &Bound<'_, PyAny>,
    patience: Patience,
    work: impl FnOnce(&mut Events<'_>) -> Result<T, Fault> + Send + 'static,
) -> PyResult<T> {
    let (tell, mut told) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let run = move || {
        let outcome = caught(|| {
            work(&mut |event: Event<'_>| {
                if stopping.load(Ordering::Relaxed) {
                    resume_unwind(Box::new(Stopped));
                }
                // Nobody listens any more to a call that was left to itself.
                let _ = tell.send(Told::Event(text_of(&event)));
            })
        });
        let _ = tell.send(Told::Done(outcome));
    };
    let spawned = std::thread::Builder::new().name("fusion-call".to_owned()).spawn(run);
    spawned.map_err(|error| Fault::Own(Kind::FusionError, format!("no thread for the call: {error}")).raise(py))?;
    // What is to be raised, and since when.
    let mut raised: Option<(PyErr, Instant)> = None;
    loop {
        let next = &mut told;
        let message = py.detach(move || next.recv_timeout(TICK));
        let problem = match message {
            Ok(Told::Done(outcome)) => return raised.map_or_else(|| outcome.map_err(|fault| fault.raise(py)), |(error, _)| Err(error)),
            Ok(Told::Event(_)) if raised.is_some() => Ok(()),
            Ok(Told::Event(text)) if !on_event.is_none() => on_event.call1((text,)).map(drop),
            Ok(Told::Event(_)) | Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Fault::Own(Kind::FusionError, "the call ended without a result".to_owned()).raise(py))
            }
        };
        let problem = problem.and_then(|()| py.check_signals());
        match (problem, &raised) {
            (Ok(()), Some((_, since))) if patience == Patience::Moment && since.elapsed() > MOMENT => {
                return raised.map_or_else(|| Err(Fault::Stopped.raise(py)), |(error, _)| Err(error));
            }
            (Ok(()), _) => {}
            (Err(error), Some(_)) => return Err(error),
            (Err(error), None) => {
                stop.store(true, Ordering::Relaxed);
                if patience == Patience::Whole && !on_event.is_none() {
                    // What this raises is less than what is being raised.
                    let _ = on_event.call1((json!({ "event": "stopping" }).to_string(),));
                }
                raised = Some((error, Instant::now()));
            }
        }
    }
}

fn caught<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        if panic.is::<Stopped>() {
            return Err(Fault::Stopped);
        }
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned());
        Err(Fault::Own(Kind::FusionError, format!("the call panicked, which is a fault of this program: {text}")))
    })
}

/// An event as a JSON object with its name under `event`.
fn text_of(event: &Event<'_>) -> String {
    let value = match event {
        Event::Connected { card, trust } => json!({ "event": "connected", "model": card.name, "trust": trust }),
        Event::Hint { done, total } => json!({ "event": "hint", "done": done, "total": total }),
        Event::HintWaits(wait) => {
            json!({ "event": "hint_waits", "for": if matches!(wait, HintWait::OtherProcess) { "process" } else { "server" } })
        }
        Event::Waiting { why, at_most } => {
            json!({ "event": "waiting", "error": why.to_string(), "at_most_seconds": at_most.as_secs_f64() })
        }
        Event::Images { done, total } => json!({ "event": "images", "done": done, "total": total }),
        Event::Mixed { plan, lanes } => json!({ "event": "mixed", "samples": plan.mix.samples(), "lanes": lanes }),
        Event::Lanes(progress) => json!({
            "event": "lanes",
            "done": progress.done,
            "total": progress.samples * progress.steps,
            "samples": progress.samples,
            "running": progress.running,
            "sent": progress.sent,
            "received": progress.received,
        }),
        Event::LaneDone { slice, seconds } => json!({ "event": "lane_done", "samples": slice.len(), "seconds": seconds }),
        Event::LaneFailed { slice, error } => json!({ "event": "lane_failed", "samples": slice.len(), "error": error.to_string() }),
        Event::Answers { done, total } => json!({ "event": "answers", "done": done, "total": total }),
        Event::Package { done, total } => json!({ "event": "package", "done": done, "total": total }),
        // Added to the library after this was written.
        _ => json!({ "event": "other" }),
    };
    value.to_string()
}
