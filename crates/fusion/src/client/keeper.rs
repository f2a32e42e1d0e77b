//! What becomes of lanes that end: answers are kept, failures are counted.

use std::time::Duration;

use fusion_mix::batch::BatchAnswers;
use fusion_net::NetError;
use fusion_nn::exec::Opened;

use crate::client::costs::Costs;
use crate::client::journal::RunDir;
use crate::client::lanes::{Failed, LaneResult, Next};
use crate::client::run_error::FailureKind;
use crate::error::Error;

/// Keeps the answers of lanes as they come, and decides about those that fail.
pub(super) struct Keeper<'a> {
    dir: &'a mut RunDir,
    pub(super) sheet: BatchAnswers,
    pub(super) costs: Costs,
    /// What ended the run.
    pub(super) failure: Option<Error>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(dir: &'a mut RunDir, sheet: BatchAnswers) -> Self {
        Self { dir, sheet, costs: Costs::default(), failure: None }
    }

    /// Writes the answers of a finished lane down.
    pub(super) fn keep(&mut self, lane: &LaneResult) -> Next {
        let kept = match &lane.opened {
            Opened::Labels(labels) => {
                let written = self.dir.append(&lane.slice, labels).map_err(Error::from);
                written.and_then(|()| Ok(self.sheet.record(lane.slice.clone(), labels)?))
            }
            Opened::Logits(_) => Err(Error::Opened),
        };
        self.costs.add(lane);
        match kept {
            Ok(()) => Next::Go,
            Err(error) => {
                self.failure.get_or_insert(error);
                Next::Stop
            }
        }
    }

    /// Says whether a failed lane is to be run again. Misbehaviour is counted; a connection that
    /// broke, or a server without room, costs time instead.
    pub(super) fn judge(&mut self, failed: &Failed) -> Next {
        let kind = failed.error.kind();
        let counts = match kind {
            FailureKind::Outage | FailureKind::Busy { .. } => {
                tracing::info!(slice = ?failed.slice, error = %failed.error, "lane lost; it will be run again");
                false
            }
            FailureKind::Misbehaviour | FailureKind::Final => {
                tracing::warn!(slice = ?failed.slice, error = %failed.error, "lane failed; its answers are discarded unread");
                true
            }
        };
        let spent = if counts { self.count() } else { Ok(()) };
        if self.failure.is_some() {
            // One of the lanes that were still running when the run was given up.
            return Next::Stop;
        }
        let limit = match spent {
            Ok(()) if kind != FailureKind::Final => return Next::Again,
            Ok(()) => None,
            Err(Error::Mix(limit)) => Some(Box::new(limit)),
            Err(error) => {
                self.failure = Some(error);
                return Next::Stop;
            }
        };
        self.failure = Some(Error::LaneRun { error: Box::new(failed.error.clone()), limit });
        Next::Stop
    }

    /// Counts a failure, on disk before any other lane begins: a client that is killed now has
    /// spent it all the same.
    fn count(&mut self) -> Result<(), Error> {
        let counted = self.dir.lane_failed();
        let allowed = self.sheet.lane_failed();
        counted?;
        Ok(allowed?)
    }

    /// Ends the run because lanes have waited for as long as `patience` lasts.
    pub(super) fn give_up(&mut self, cause: NetError, patience: Duration) -> Next {
        self.failure.get_or_insert(Error::OutOfPatience { patience, cause });
        Next::Stop
    }
}
