//! How a server came to its end, for whoever waits for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::NetError;

/// The end of a server, seen from outside it: another thread may wait here while the server's owner
/// does something else. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Ending(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the owner asked the server to stop.
    told: bool,
    ended: Option<Result<(), NetError>>,
}

impl Ending {
    /// Blocks until the server has ended. `None` if it was told to, else why it no longer serves
    /// ([`NetError::Stopped`]): then nobody can reach it, and its process should end.
    #[must_use]
    pub fn wait(&self) -> Option<NetError> {
        let mut state = self.lock();
        loop {
            if let Some(ended) = &state.ended {
                return ended.clone().err();
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Why the server no longer serves although nobody told it to stop, as far as is known now.
    #[must_use]
    pub fn failure(&self) -> Option<NetError> {
        self.lock().ended.clone().and_then(Result::err)
    }

    /// From now on an end is in order.
    pub(super) fn tell(&self) {
        self.lock().told = true;
    }

    /// The server is gone; the first end counts.
    pub(super) fn set(&self, how: Result<(), NetError>) {
        self.lock().ended.get_or_insert(how);
        self.0.changed.notify_all();
    }

    /// Serves until the end and says how that came.
    pub(super) async fn supervise<E>(self, serving: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        E: std::fmt::Display + Send + 'static,
    {
        let how = match tokio::spawn(serving).await {
            Ok(Ok(())) if self.lock().told => Ok(()),
            Ok(Ok(())) => Err("the listener closed".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(format!("the serving task panicked or was cancelled: {error}")),
        };
        if let Err(reason) = &how {
            tracing::error!(reason, "no longer serving");
        }
        self.set(how.map_err(NetError::Stopped));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(told: bool, serving: impl Future<Output = Result<(), String>> + Send + 'static) -> Option<NetError> {
        let ending = Ending::default();
        let waiting = std::thread::spawn({
            let ending = ending.clone();
            move || ending.wait()
        });
        if told {
            ending.tell();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ending.clone().supervise(serving));
        let seen = waiting.join().unwrap();
        assert_eq!(ending.failure(), seen);
        seen
    }

    #[test]
    fn an_end_that_nobody_asked_for_is_a_failure_and_wakes_who_waits() {
        assert_eq!(ended(true, async { Ok(()) }), None);
        assert_eq!(ended(false, async { Ok(()) }), Some(NetError::Stopped("the listener closed".into())));
        assert_eq!(ended(true, async { Err("no sockets".into()) }), Some(NetError::Stopped("no sockets".into())));
        let panicked = ended(false, async { panic!("a bug") });
        assert!(matches!(&panicked, Some(NetError::Stopped(text)) if text.contains("panicked")), "{panicked:?}");
    }
}
