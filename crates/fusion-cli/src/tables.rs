//! Tables and figures for people.

use comfy_table::{CellAlignment, Table, presets};
use fusion::client::{Costs, LaneTime};
use fusion::nn::layers::{Phase, PhaseCost};

/// A table of the phases of a run.
#[must_use]
pub fn phase_table(costs: &Costs) -> Table {
    let mut table = plain_table(&["phase", "seconds (sum over lanes)", "to server", "to client", "rounds"]);
    for phase in Phase::ALL {
        let cost = costs.phases().get(phase);
        table.add_row(cost_row(phase.name(), &cost));
    }
    table.add_row(cost_row("total", &costs.phases().total()));
    table
}

/// What a run cost, in a few lines: time, bytes, phases, and how much of the time the link took.
#[must_use]
pub fn cost_lines(costs: &Costs) -> String {
    let (up, down) = costs.bytes();
    let all: f64 = costs.lanes.iter().map(|lane| lane.seconds).sum();
    let part = |of: fn(&LaneTime) -> f64| 100.0 * costs.lanes.iter().map(of).sum::<f64>() / all.max(f64::MIN_POSITIVE);
    let phases: Vec<String> = Phase::ALL
        .iter()
        .map(|&phase| (phase.name(), costs.phases().get(phase)))
        .filter(|(_, cost)| cost.traffic.total() > 0)
        .map(|(name, cost)| format!("{name} {} in {:.1} s", human_bytes(cost.traffic.total()), cost.time.as_secs_f64()))
        .collect();
    let waited = match costs.waited_seconds {
        seconds if seconds > 0.0 => format!("\x20            no lane could begin for {seconds:.1} s, because the server was away\n"),
        _ => String::new(),
    };
    format!(
        "costs        {} samples in {:.1} s (set-up {:.1} s): {} to the server, {} to the client\n\
         \x20            lanes computed {:.0}% of their time, waited {:.0}% for the server and {:.0}% for the link\n\
         {waited}\x20            by phase, summed over lanes: {}\n",
        costs.samples,
        costs.wall_seconds,
        costs.setup_seconds,
        human_bytes(up),
        human_bytes(down),
        part(LaneTime::computed),
        part(|lane| lane.waited_for_peer),
        part(|lane| lane.waited_for_link),
        phases.join("; ")
    )
}

/// A table of the lanes of a run: what the client's time went to.
#[must_use]
pub fn lane_table(costs: &Costs) -> Table {
    let mut table = plain_table(&["lane from position", "samples", "seconds", "computed", "waited for server", "waited for link"]);
    for lane in &costs.lanes {
        let seconds = [lane.seconds, lane.computed(), lane.waited_for_peer, lane.waited_for_link].map(|s| format!("{s:.2}"));
        table.add_row([lane.first.to_string(), lane.samples.to_string()].into_iter().chain(seconds));
    }
    table
}

/// A table of the steps of a run.
#[must_use]
pub fn step_table(costs: &Costs) -> Table {
    let mut table = plain_table(&["step", "seconds (sum over lanes)", "to server", "to client", "rounds"]);
    for (name, ledger) in costs.steps() {
        table.add_row(cost_row(name, &ledger.total()));
    }
    table
}

fn cost_row(name: &str, cost: &PhaseCost) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.2}", cost.time.as_secs_f64()),
        human_bytes(cost.traffic.sent),
        human_bytes(cost.traffic.received),
        cost.traffic.turns.to_string(),
    ]
}

/// A table without frills, for terminals and logs alike.
#[must_use]
pub fn plain_table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings);
    for column in 1..headings.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Bytes with a unit, for people.
#[must_use]
pub fn human_bytes(bytes: u64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let value = bytes as f64;
    units.iter().find(|u| value >= u.1).map_or_else(|| format!("{bytes} B"), |(unit, size)| format!("{:.2} {unit}", value / size))
}

#[cfg(test)]
mod tests {
    use super::human_bytes;

    #[test]
    fn bytes_are_readable() {
        assert_eq!(
            ["999 B", "1.00 kB", "280.00 MB", "1.41 GB"].map(str::to_owned),
            [999, 1000, 280_000_000, 1_410_000_000].map(human_bytes)
        );
    }
}
