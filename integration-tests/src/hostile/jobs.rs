//! Runs side by side, each in a thread of its own with a deadline.

use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::batch::Judgement;
use super::lane::End;
use super::problem::Problem;

/// A run that takes longer hangs: ten times what any took on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// What one run shows.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// How the honest party ended; not told of series.
    pub(super) honest: Option<End>,
    /// What the client of an honest party's batches concluded.
    pub(super) judged: Vec<Judgement>,
    /// Why it is no harm that the honest party finished, if that is known.
    pub(super) harmless: Option<String>,
    /// What must not be.
    pub(super) fault: Option<String>,
}

pub(super) type Run = Box<dyn FnOnce() -> Result<Outcome, Problem> + Send>;

/// A run and the row that it belongs to.
pub(super) struct Job {
    pub(super) phase: String,
    pub(super) cheat: &'static str,
    pub(super) trick: String,
    pub(super) run: Run,
}

/// Runs all jobs, so many at a time, and tells what came of each in the order of the jobs: an
/// outcome, or what must not be.
pub(super) fn run_all(jobs: Vec<Job>, at_once: usize, told: &(dyn Fn(usize, usize) + Sync)) -> Vec<(Job, Result<Outcome, String>)> {
    let all = jobs.len();
    let mut waiting: Vec<(usize, Job)> = jobs.into_iter().enumerate().collect();
    waiting.reverse();
    let (waiting, done) = (Mutex::new(waiting), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().ok().and_then(|mut waiting| waiting.pop());
                    let Some((number, mut job)) = next else { break };
                    let run = std::mem::replace(&mut job.run, Box::new(|| Ok(Outcome::default())));
                    let outcome = within_deadline(run);
                    if let Ok(mut done) = done.lock() {
                        done.push((number, job, outcome));
                        told(done.len(), all);
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(number, ..)| *number);
    done.into_iter().map(|(_, job, outcome)| (job, outcome)).collect()
}

/// A thread that hangs is left alone: there is no way to end it.
fn within_deadline(run: Run) -> Result<Outcome, String> {
    let (tell, hear) = mpsc::channel();
    std::thread::spawn(move || tell.send(run()));
    match hear.recv_timeout(DEADLINE) {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(problem)) => Err(problem.to_string()),
        Err(RecvTimeoutError::Timeout) => Err(format!("hangs for more than {} s", DEADLINE.as_secs())),
        Err(RecvTimeoutError::Disconnected) => Err("panicked".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(trick: &str, run: Run) -> Job {
        Job { phase: String::new(), cheat: "nobody", trick: trick.to_owned(), run }
    }

    #[test]
    fn a_panic_is_an_outcome_and_order_is_kept() {
        let jobs = vec![
            job("fine", Box::new(|| Ok(Outcome::default()))),
            job("panics", Box::new(|| panic!("on purpose"))),
            job("problem", Box::new(|| Err(Problem::new("what")))),
        ];
        let done = run_all(jobs, 2, &|_, _| ());
        let told: Vec<_> = done.iter().map(|(job, outcome)| (&job.trick[..], outcome.as_ref().err().map(String::as_str))).collect();
        assert_eq!(told, [("fine", None), ("panics", Some("panicked")), ("problem", Some("what"))]);
    }
}
