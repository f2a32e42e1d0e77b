//! How fast this machine computes, measured.

use anyhow::Result;
use fusion::Speed;
use serde_json::json;

use super::finding::Finding;
use crate::settings::system_rng;

/// Slower than assumed by this factor is worth a word; below it are a busy neighbour and where the
/// extensions of random OTs happen to fall.
const SLOW: f64 = 4.0;

/// How fast this machine computes; nothing beside the finding if it could not be measured.
pub(super) fn measured() -> (Finding, Option<Speed>) {
    match measure() {
        Ok(speed) => (finding(speed), Some(speed)),
        Err(error) => (Finding::problem("compute", format!("{error:#}"), "report this: two parties on one machine failed"), None),
    }
}

fn measure() -> Result<Speed> {
    Ok(Speed::measure(&mut system_rng()?)?)
}

fn finding(speed: Speed) -> Finding {
    let (here, seconds) = (speed.seconds_per_ot() * 1e6, speed.time.as_secs_f64());
    let says = format!(
        "{} private ReLUs in {seconds:.2} s, both parties here: {here:.3} us per OT, {:.1} times what `fusion plan` assumes",
        speed.relus,
        speed.slower()
    );
    let finding = if speed.slower() > SLOW {
        let advice = "end what else keeps the processor busy; else plans are too hopeful for this machine: plan with --measured";
        Finding::warning("compute", says, advice)
    } else {
        Finding::ok("compute", says)
    };
    finding.with(json!({ "ots": speed.ots, "seconds": seconds, "seconds_per_ot": speed.seconds_per_ot() }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_slow_machine_is_told() {
        let state = |micros| finding(Speed { relus: 1, ots: 1_000_000, time: Duration::from_micros(micros) }).state;
        assert_eq!((state(100_000), state(1_000_000)), (State::Ok, State::Warning));
    }
}
