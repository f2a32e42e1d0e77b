//! What is kept of all runs: one row for each phase and trick.

use std::collections::BTreeMap;

use serde::Serialize;

/// All runs of one trick in one phase.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What the lane was busy with when the message was sent.
    pub phase: String,
    /// Who cheated.
    pub cheat: &'static str,
    /// What it did.
    pub trick: String,
    /// Runs: lanes, or batches of a series.
    pub runs: u64,
    /// Errors of the honest party, and how often it ended so.
    pub errors: BTreeMap<String, u64>,
    /// Batches that verification rejected.
    pub rejected: u64,
    /// Runs whose answers were accepted and right, or in which a server served to the end.
    pub no_effect: u64,
    /// Of these, batches in which labels changed nevertheless.
    pub changed: u64,
    /// Why they are harmless.
    pub why: String,
    /// Batches that were accepted with a wrong answer.
    pub fooled: u64,
    /// What is predicted of a series.
    pub predicted: Option<String>,
    /// What must not be.
    pub faults: Vec<String>,
}

impl Row {
    pub(super) fn new(phase: &str, cheat: &'static str, trick: &str) -> Self {
        Self {
            phase: phase.to_owned(),
            cheat,
            trick: trick.to_owned(),
            runs: 0,
            errors: BTreeMap::new(),
            rejected: 0,
            no_effect: 0,
            changed: 0,
            why: String::new(),
            fooled: 0,
            predicted: None,
            faults: Vec::new(),
        }
    }

    fn cells(&self) -> [String; 8] {
        let errors: Vec<String> = self.errors.iter().map(|(text, times)| format!("{times} x {text}")).collect();
        let count = |n: u64| if n == 0 { String::new() } else { n.to_string() };
        let harmless = if self.no_effect > 0 { format!("{}: {}", self.no_effect, self.why) } else { String::new() };
        let last = self.predicted.clone().map_or_else(|| count(self.fooled), |predicted| format!("{} ({predicted})", self.fooled));
        let (phase, trick) = (self.phase.clone(), self.trick.clone());
        [phase, self.cheat.to_owned(), trick, self.runs.to_string(), errors.join("; "), count(self.rejected), harmless, last]
    }
}

/// Everything that the harness found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// By phase and trick.
    pub rows: Vec<Row>,
    /// Lanes in which a server cheated with one message: their batches, and those that were
    /// accepted with a wrong answer.
    pub cheated_batches: (u64, u64),
    /// What soundness allows of the second.
    pub soundness: f64,
    /// Panics anywhere in the process.
    pub panics: Vec<String>,
    /// Most memory of the process, MiB; 0 where the system does not tell.
    pub peak_mib: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// What must not be.
    pub faults: Vec<String>,
}

const HEADING: [&str; 8] =
    ["phase", "cheats", "with", "runs", "precise error of the other", "rejected", "no effect, and why", "accepted wrong"];

impl Report {
    /// Runs in all.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.rows.iter().map(|row| row.runs).sum()
    }

    /// The table in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| cell.replace('|', "/")).collect::<Vec<_>>().join(" | "));
        let heading = line(&HEADING.map(str::to_owned)) + &line(&HEADING.map(|_| "---".to_owned()));
        self.rows.iter().fold(heading, |table, row| table + &line(&row.cells()))
    }

    /// One line of figures.
    #[must_use]
    pub fn summary(&self) -> String {
        let sum = |of: fn(&Row) -> u64| self.rows.iter().map(of).sum::<u64>();
        let errors: u64 = self.rows.iter().flat_map(|row| row.errors.values()).sum();
        let (batches, fooled) = self.cheated_batches;
        format!(
            "{} runs: {errors} ended by an error that names the fault, {} rejected by verification, {} without effect; of {batches} batches \
             with one message of the server changed {fooled} were accepted with a wrong answer, where soundness allows {:.1}; {} panics",
            self.runs(),
            sum(|row| row.rejected),
            sum(|row| row.no_effect),
            self.soundness * batches as f64,
            self.panics.len(),
        )
    }

    /// All of it, as `docs/hostile.md` has it.
    #[must_use]
    pub fn document(&self) -> String {
        format!(
            "# A peer that cheats\n\n\
         Made by `cargo xtask hostile`; do not edit. Every message of every phase of a lane, in both directions, is changed in nine ways, one message a run; then servers deviate in ways that take \
         knowledge of the protocol, in series of whole batches. A lane carries a mixed batch of a small network at full cryptographic parameters (three queries in two copies among four public samples, \
         tau = 1, kappa = 1), and its client verifies the answers. Seeds are fixed.\n\n\
         The command fails on a panic anywhere, a run that does not end, an error that names neither the peer nor the transport, more memory than a bound, and more wrong answers accepted than \
         `fusion-mix` predicts (outside an interval of 99.9 %).\n\n\
         * **precise error of the other**: how often the honest party ended so. That a peer \"sent nothing\" is told at once here, when both parties wait; the service waits for its idle limit. \
         Of the service, where a client cheats: what the server told it.\n\
         * **rejected**: the client's verification rejected the batch.\n\
         * **no effect**: the answers were accepted and right. A changed bit mostly meets an entry of a table that the receiver did not choose, or what does not decide a label; what follows the last \
         message of a party is not read in a lane, and an error of the service. The coin toss of the set-up decides the code of the silent extension, which a small lane does not use.\n\
         * **accepted wrong**: the batch was accepted with a wrong answer; in brackets, of series, what was accepted in all and the predicted rates of both. A server that cheats in one message is held \
         to the bound of soundness, {:.3} a batch at these parameters, which are so weak that accepting a wrong answer can be seen.\n\n\
         {}.\n\n{}",
            self.soundness,
            self.summary(),
            self.table()
        )
    }
}
