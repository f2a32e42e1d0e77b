//! A run's report for a terminal.

use fusion_cli::tables::{human_bytes, plain_table};

use super::report::{CostJson, NetworkRows, Report, Row};

impl Report {
    /// The report for a terminal.
    pub(crate) fn text(&self) -> String {
        let load = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |v| format!("{v:.1}"));
        let mut out = format!(
            "host      {} x {}, {}, {} build, commit {}\nload      {} before, {} after (both parties of a run share the cores)\n",
            self.host.cores,
            self.host.cpu,
            self.isa,
            self.profile,
            self.commit,
            load(self.load_average.0),
            load(self.load_average.1)
        );
        if self.interrupted {
            out.push_str("INTERRUPTED: figures of what was finished\n");
        }
        for network in &self.networks {
            out.push_str(&network.text(self.lambda));
        }
        out.push_str(&format!("\nAll in {:.0} s.\n", self.seconds_in_all));
        out
    }
}

impl NetworkRows {
    fn text(&self, lambda: f64) -> String {
        let prepared = self.prepare_seconds.map_or_else(|| "before".to_owned(), |s| format!("in {s:.1} s"));
        let mut out = format!("\n({}) {}: {}\n", self.letter, self.name, self.about);
        out.push_str(&format!("layers    {}\n", self.contents.layers.join(", ")));
        out.push_str(&format!("counts    {} ReLUs, {} multiplications\n", self.contents.relus, self.contents.multiplications));
        out.push_str(&format!("run       {}, {}, package prepared {prepared}\n", self.weights, self.images));
        for part in [self.inference_table(), self.setup_table(), self.query_table(lambda), self.peer_table()] {
            out.push_str(&format!("\n{part}"));
        }
        out
    }

    fn inference_table(&self) -> String {
        let headings =
            ["link", "samples, lanes", "weights", "seconds", "up", "down", "predicted", "CPU s: client", "server", "labels as in float"];
        let mut table = plain_table(&headings);
        let size = |bytes: f64| human_bytes(bytes as u64);
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
        for row in &self.rows {
            let last = row.batches.last();
            for run in std::iter::once(&row.alone).chain(&row.batches) {
                table.add_row([
                    link(row),
                    format!("{}, {}", run.samples, run.lanes),
                    if row.weights.starts_with("random") { "random weights".to_owned() } else { "trained".to_owned() },
                    format!("{:.3}", run.seconds),
                    size(run.bytes_up),
                    size(run.bytes_down),
                    if last == Some(run) { size(row.predicted_bytes) } else { String::new() },
                    number(run.cpu_seconds.0),
                    number(run.cpu_seconds.1),
                    format!("{} of {}", run.labels_matching, run.samples),
                ]);
            }
        }
        format!("An inference, measured on this machine (predicted: without the start of lanes)\n{table}\n")
    }

    fn setup_table(&self) -> String {
        let mut table = plain_table(&["link", "a lane: keys, base OTs", "", "model, once", "hint"]);
        for row in &self.rows {
            let of = |cost: CostJson| [format!("{:.3} s", cost.seconds), human_bytes(cost.bytes as u64)];
            table.add_row([vec![link(row)], [row.lane_setup, row.model_setup].map(of).concat()].concat());
        }
        format!("Set-up (of lanes: included above)\n{table}\n")
    }

    fn query_table(&self, lambda: f64) -> String {
        let mut table = plain_table(&["link", "R", "B", "T", "tau", "log2 P", "samples a query", "samples run", "seconds", "MB"]);
        for row in &self.rows {
            for query in &row.verified {
                let v = &query.verified;
                table.add_row([
                    row.link_name.to_owned(),
                    v.R.to_string(),
                    v.B.to_string(),
                    v.T.to_string(),
                    v.tau.to_string(),
                    format!("{:.2}", v.soundness_log2),
                    format!("{:.2}", v.overhead),
                    format!("{} of {}", query.measured_samples, query.samples),
                    v.seconds.map_or_else(|| "-".to_owned(), |s| format!("{s:.3}")),
                    format!("{:.2}", query.megabytes),
                ]);
            }
        }
        let assumed = format!("a model of accuracy {}, {}", self.accuracy, self.accuracy_from);
        format!(
            "A verified query, lambda = {lambda} ({assumed}; the whole batch was run, or the rest counts at the pace of what was)\n{table}\n"
        )
    }

    fn peer_table(&self) -> String {
        let of: Vec<String> = self
            .peers
            .iter()
            .map(|row| &row.ours)
            .max_by_key(|ours| ours.len())
            .map_or_else(Vec::new, |ours| ours.iter().map(|times| format!("ours, {}", times.of)).collect());
        let fixed = ["system", "security", "link", "seconds", "MB"];
        let headings: Vec<&str> = fixed.into_iter().chain(of.iter().map(String::as_str)).collect();
        let mut table = plain_table(&headings);
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
        for row in &self.peers {
            let peer = &row.peer;
            let (seconds, megabytes) = match &peer.ratio {
                Some(ratio) => (format!("{} times faster", ratio.seconds), format!("{} times less", ratio.bytes)),
                None => (number(peer.seconds), number(peer.megabytes)),
            };
            let against = row.against.map_or_else(String::new, |link| format!(" (ours: {link})"));
            let link = peer.link.clone().unwrap_or_else(|| "not known".to_owned()) + &against;
            let times = row.ours.iter().map(|t| format!("{}x, {}x", multiple(t.seconds), multiple(t.bytes)));
            let blank = std::iter::repeat_n(String::new(), of.len() - row.ours.len());
            table.add_row([peer.name.clone(), peer.security.clone(), link, seconds, megabytes].into_iter().chain(times).chain(blank));
        }
        if self.peers.is_empty() {
            return "Beside others: no figures\n".to_owned();
        }
        let mut out = format!(
            "Beside others, and how many times the seconds and the bytes of ours they take (ours among others in lanes: an inference of \
             the largest batch, a verified query at R; an inference alone takes longer)\n{table}\n"
        );
        for peer in self.peers.iter().map(|row| &row.peer) {
            out.push_str(&format!("  {}: {}; {}\n", peer.name, peer.machine, peer.source));
        }
        out
    }
}

/// A ratio, to as many digits as mean something.
fn multiple(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |r| if r < 100.0 { format!("{r:.1}") } else { format!("{r:.0}") })
}

fn link(row: &Row) -> String {
    format!("{} ({} Mbit/s, {} ms)", row.link_name, row.link.mbit, row.link.rtt_ms)
}
