//! What the HTTP side and the workers share: settings, database, the state of things, and who is to
//! be woken.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fusion::LaneProgress;
use fusion::model::card::ModelCard;
use serde::Serialize;
use tokio::sync::broadcast;
use utoipa::ToSchema;

use crate::settings::GatewaySettings;
use crate::store::Store;
use crate::users::Users;

/// Events that a slow listener may be behind before it is told to look for itself.
const BACKLOG: usize = 8192;

/// The way to the Fusion server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServerState {
    /// Not reached yet since the gateway started.
    Connecting,
    /// Reached, and its model is trusted.
    Connected,
    /// Nobody answers, or the server has no room; it is tried again for ever.
    Away,
    /// Its model is refused, or no batch can be planned with it: somebody has to act.
    Refused,
}

/// How far the running batch is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Progress {
    /// Samples of the batch that are run since the batch was begun or resumed.
    pub samples: u64,
    /// Of those, done, from 0 to 1.
    pub done: f64,
    /// Lanes that run now.
    pub lanes: usize,
}

impl From<LaneProgress> for Progress {
    fn from(lanes: LaneProgress) -> Self {
        let all = lanes.samples * lanes.steps;
        Self { samples: lanes.samples, done: lanes.done as f64 / all.max(1) as f64, lanes: lanes.running }
    }
}

/// The state of things.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) server: ServerState,
    /// Why it is not connected, in words.
    pub(crate) reason: Option<String>,
    /// When that began.
    pub(crate) since: i64,
    /// The last model that was met, also before a restart.
    pub(crate) model: Option<Model>,
    pub(crate) progress: Option<Progress>,
}

/// A model that was met.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) card: Arc<ModelCard>,
    /// Its hint digest.
    pub(crate) hint: String,
}

/// Something that listeners hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    /// An image came, got a provisional label, or is gone.
    Image { user: String, id: String },
    /// A batch began or ended, and its images with it.
    Batch { id: String },
    /// The state of the server, or the progress of the batch.
    State,
}

/// What all parts of a gateway share.
pub(crate) struct Shared {
    pub(crate) settings: GatewaySettings,
    pub(crate) directory: PathBuf,
    pub(crate) store: Store,
    pub(crate) users: Users,
    live: Mutex<Live>,
    happened: broadcast::Sender<Happened>,
    /// Counts reasons to look for work.
    work: (Mutex<u64>, Condvar),
    stop: AtomicBool,
}

impl Shared {
    pub(crate) fn new(settings: GatewaySettings, store: Store, users: Users, model: Option<Model>) -> Self {
        let live = Live { server: ServerState::Connecting, reason: None, since: now(), model, progress: None };
        Self {
            directory: settings.directory(),
            settings,
            store,
            users,
            live: Mutex::new(live),
            happened: broadcast::channel(BACKLOG).0,
            work: (Mutex::new(0), Condvar::new()),
            stop: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn live(&self) -> Live {
        self.lock().clone()
    }

    /// Notes what is known of the server, and tells of a change.
    pub(crate) fn server_is(&self, server: ServerState, reason: Option<String>) {
        let mut live = self.lock();
        if live.server == server && live.reason == reason {
            return;
        }
        if live.server != server {
            live.since = now();
        }
        (live.server, live.reason) = (server, reason);
        drop(live);
        self.tell(Happened::State);
    }

    pub(crate) fn model_is(&self, model: Model) {
        self.lock().model = Some(model);
        self.tell(Happened::State);
    }

    pub(crate) fn progress_is(&self, progress: Option<Progress>) {
        let changed = std::mem::replace(&mut self.lock().progress, progress) != progress;
        if changed {
            self.tell(Happened::State);
        }
    }

    /// Tells listeners; without any, nobody misses it.
    pub(crate) fn tell(&self, happened: Happened) {
        let _ = self.happened.send(happened);
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Happened> {
        self.happened.subscribe()
    }

    /// Wakes the workers: there may be work.
    pub(crate) fn wake(&self) {
        let (count, changed) = &self.work;
        *count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        changed.notify_all();
    }

    /// How often the workers were woken so far.
    pub(crate) fn wakes(&self) -> u64 {
        *self.work.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the workers are woken once more than `seen` times, or the time is over.
    pub(crate) fn wait(&self, seen: u64, most: Duration) {
        let (count, changed) = &self.work;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |count: &mut u64| *count == seen && !self.stops();
        drop(changed.wait_timeout_while(count, most, waits));
    }

    /// Waits for the whole time, unless the gateway stops.
    pub(crate) fn pause(&self, whole: Duration) {
        let (count, changed) = &self.work;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_timeout_while(count, whole, |_| !self.stops()));
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake();
        self.tell(Happened::State);
    }

    pub(crate) fn stops(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
