//! A run's report for a terminal.

use fusion_cli::tables::{human_bytes, plain_table};

use super::report::Report;
use super::scaling;

impl Report {
    /// The report for a terminal.
    pub(crate) fn text(&self) -> String {
        let mark = self.mark();
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
        let size = |bytes: f64| human_bytes(bytes as u64);
        let cores = self.cores_per_party.map_or_else(String::new, |n| format!(", {n} cores a side"));
        line(format!(
            "{mark}ResNet50, {} of {} samples on {} lanes, {}{cores}",
            self.samples,
            self.samples_wanted,
            self.lanes,
            self.link_text()
        ));
        if self.interrupted {
            line(format!("{mark}INTERRUPTED: figures of the lanes that were finished"));
        }
        self.failures.iter().for_each(|f| line(format!("{mark}FAILED {f}")));
        line(format!("{mark}model     {}", self.model));
        line(format!("{mark}photos    {}", self.photos));
        line(format!(
            "{mark}plan      h = {}, l = {}, w = {}, weights {} bits",
            self.plan.h, self.plan.l, self.plan.w, self.plan.weight_bits
        ));
        line(format!("{mark}lanes     {}", self.terms));
        let cached = if self.hint_cached { " (cached)" } else { "" };
        let prepare = self.seconds.prepare.map_or_else(String::new, |s| format!("; package prepared before, in {s:.1} s"));
        line(format!("{mark}set-up    {:.1} s with a hint of {}{cached}{prepare}", self.seconds.setup, size(self.hint_bytes as f64)));
        if self.samples == 0 {
            line(format!("{mark}No lane came to its end: there are no figures. Fewer samples a lane (more --lanes) end sooner."));
            return out;
        }
        let spread = self
            .seconds
            .spread
            .map_or_else(String::new, |(least, most)| format!(" (lanes, each at its own pace: {least:.2} to {most:.2})"));
        line(format!("{mark}seconds   {} per sample{spread}", number(self.seconds.per_sample)));
        line(format!(
            "{mark}processor {} s client, {} s server per sample",
            number(self.cpu_seconds_per_sample.client),
            number(self.cpu_seconds_per_sample.server)
        ));
        self.byte_lines().into_iter().for_each(&mut line);
        let share = 100.0 * self.efficiency.busier_direction;
        let bound = self.efficiency.times_bound.map_or_else(String::new, |times| {
            let link = self.efficiency.link_seconds.map_or_else(String::new, |s| format!("link {s:.2} s, "));
            format!(
                "; seconds are {times:.2} times what the slower of both allows ({link}cores {} s)",
                number(self.efficiency.core_seconds)
            )
        });
        line(format!("{mark}efficiency {share:.1} % of the bytes in the busier direction{bound}"));
        line(format!(
            "{mark}memory    {} MB client, {} MB server at peak",
            number(self.peak_rss_mb.client),
            number(self.peak_rss_mb.server)
        ));
        line(format!("{mark}labels    {} of {} equal the float model's", self.labels.matching, self.labels.total));
        for miss in &self.labels.mismatches {
            line(format!("{mark}          {}: float {}, opened {}", miss.photo, miss.float, miss.opened));
        }
        line(format!(
            "{mark}host      {} x {}, {}, {} build, commit {}",
            self.host.cores, self.host.cpu, self.isa, self.profile, self.commit
        ));
        line(String::new());
        line(self.phase_table());
        line(self.step_table());
        if !self.scaling.is_empty() {
            line(self.headed("By number of lanes (all figures but memory per sample)", &scaling::table(&self.scaling)));
        }
        line(self.verified_table());
        line(self.peer_table());
        out
    }

    fn byte_lines(&self) -> Vec<String> {
        let (mark, bytes) = (self.mark(), &self.bytes_per_sample);
        let size = |bytes: f64| human_bytes(bytes as u64);
        let mut lines = vec![format!(
            "{mark}bytes     {} per sample: {} to the server, {} to the client; of it {} lane set-up",
            size(bytes.total),
            size(bytes.client_to_server),
            size(bytes.server_to_client),
            size(bytes.lane_setup)
        )];
        let off = 100.0 * ((bytes.total - bytes.lane_setup) / bytes.predicted - 1.0);
        lines.push(format!("{mark}predicted {} per sample; measured without lane set-up {off:+.1}%", size(bytes.predicted)));
        if let Some(wire) = bytes.on_the_wire {
            lines.push(format!("{mark}wire      {} per sample with transport framing", size(wire)));
        }
        lines
    }

    fn headed(&self, heading: &str, table: &comfy_table::Table) -> String {
        format!("{}{heading}\n{table}\n", self.mark())
    }

    fn phase_table(&self) -> String {
        let mut table = plain_table(&["phase", "seconds in lanes", "bytes", "predicted"]);
        for (name, &bytes) in &self.bytes_by_phase {
            let seconds = self.seconds.by_phase.get(name).copied().unwrap_or(0.0);
            let predicted = self.predicted_by_phase.get(name).map_or_else(|| "-".to_owned(), |&b| human_bytes(b as u64));
            table.add_row([(*name).to_owned(), format!("{seconds:.3}"), human_bytes(bytes as u64), predicted]);
        }
        self.headed("By phase, per sample (the prediction of activation includes pooling)", &table)
    }

    fn step_table(&self) -> String {
        let mut table = plain_table(&["step", "seconds in lanes", "to server", "to client", "both", "predicted", "rounds"]);
        for step in &self.steps {
            table.add_row([
                step.name.clone(),
                format!("{:.3}", step.seconds),
                human_bytes(step.client_to_server as u64),
                human_bytes(step.server_to_client as u64),
                human_bytes((step.client_to_server + step.server_to_client) as u64),
                human_bytes(step.predicted as u64),
                format!("{:.0}", step.rounds),
            ]);
        }
        self.headed("By step, per sample (rounds: per lane)", &table)
    }

    fn verified_table(&self) -> String {
        let mut table = plain_table(&["R", "B", "T", "tau", "max_inconclusive", "log2 P", "overhead", "seconds", "GiB"]);
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
        for v in &self.verified {
            table.add_row([
                v.R.to_string(),
                v.B.to_string(),
                v.T.to_string(),
                v.tau.to_string(),
                v.max_inconclusive.to_string(),
                format!("{:.2}", v.soundness_log2),
                format!("{:.2}", v.overhead),
                number(v.seconds),
                number(v.gib),
            ]);
        }
        let lambda = self.verified.first().map_or(f64::NAN, |v| v.lambda);
        self.headed(&format!("A verified query, lambda = {lambda} (per sample x overhead; seconds and GiB per query)"), &table)
    }

    fn peer_table(&self) -> String {
        let mut table = plain_table(&["system", "verified", "seconds", "MB"]);
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
        let ours = self.seconds.per_sample;
        table.add_row(["this run".to_owned(), "no".to_owned(), number(ours), number(ours.map(|_| self.bytes_per_sample.total * 1e-6))]);
        for peer in &self.peers.peers {
            let verified = if peer.verified { "yes" } else { "no" };
            table.add_row([peer.name.clone(), verified.to_owned(), format!("{:.1}", peer.seconds), format!("{:.1}", peer.megabytes)]);
        }
        if let Some((ratio, v)) = self.ratio.and_then(|ratio| Some((ratio, self.verified.iter().find(|v| v.R == ratio.queries)?))) {
            let megabytes = v.gib.map(|gib| gib * f64::from(1 << 30) * 1e-6);
            table.add_row([format!("this run, R = {}", ratio.queries), "yes".to_owned(), number(v.seconds), number(megabytes)]);
        }
        let paper = &self.peers.paper;
        table.add_row([paper.name.clone(), "yes".to_owned(), format!("{:.1}", paper.seconds), format!("{:.1}", paper.gigabytes * 1e3)]);
        let mut text = self.headed("Beside others (sources: benches/peers.json)", &table);
        if let Some(ratio) = self.ratio {
            text.push_str(&format!(
                "{}Against the paper at R = {}: {:.1}x faster, {:.1}x less traffic\n",
                self.mark(),
                ratio.queries,
                ratio.time_vs_paper,
                ratio.bytes_vs_paper
            ));
        }
        text
    }
}
