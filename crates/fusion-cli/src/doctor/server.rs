//! A server as this machine meets it.

use std::time::{Duration, Instant};

use anyhow::Error;
use fusion::client::{lanes_for, terms_for};
use fusion::model::card::ModelCard;
use fusion::net::{Client, NetError, PROTOCOL_VERSION, RELEASE, Served};
use fusion::nn::LANE_VERSION;
use fusion::nn::cost::predict;
use fusion::{SampleSeconds, Speed};
use serde_json::json;

use super::finding::Finding;
use crate::advice::advice_on;
use crate::cli::ConnectArgs;
use crate::query::cores;
use crate::report::plain;
use crate::tables::human_bytes;

/// A server that says nothing for so long is told of, not waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often the description is asked for, to have the median of the times.
const ASKED: usize = 5;

/// What is downloaded of the hint at most, and for how long, to know the rate.
const DOWNLOAD: (u64, Duration) = (16 << 20, Duration::from_secs(5));

/// From less nothing certain follows: it fits into the buffers on the way.
const CERTAIN_BYTES: u64 = 2 << 20;

/// Samples per lane for which costs are predicted, as `fusion plan` does.
const LANE_SAMPLES: usize = 8;

/// All that can be told of the server at `address` and its model of this name; `speed` is this
/// machine's.
pub(super) fn look_at(connect: &ConnectArgs, (address, model): (&str, &str), speed: Option<Speed>) -> Vec<Finding> {
    let met = connect.settings(address).and_then(|mut settings| {
        settings.idle = PATIENCE;
        Ok((Client::connect(settings.clone())?, settings))
    });
    let client = match met {
        Ok((client, _)) => client,
        Err(error) => return vec![failed("server", &format!("{address} cannot be reached"), error)],
    };
    let mut findings = vec![Finding::ok("server", format!("{address} answers")), encryption(connect, address)];
    let (served, round_trip) = match described(&client, model) {
        Ok(described) => described,
        Err(error) => {
            findings.push(failed("version", "it does not say what it serves", error.into()));
            return findings;
        }
    };
    findings.extend([version(&served), lanes(&client, &served)]);
    let card = match ModelCard::decode(&served.description.card) {
        Ok(card) => card,
        Err(error) => {
            findings.push(Finding::problem(
                "model",
                format!("its card cannot be read: {error}"),
                "use programs of one version on both sides",
            ));
            return findings;
        }
    };
    findings.push(served_model(&card, &served));
    let milliseconds = round_trip.as_secs_f64() * 1e3;
    findings.push(
        Finding::ok("round trip", format!("{milliseconds:.1} ms, the median of {ASKED} descriptions"))
            .with(json!({ "milliseconds": milliseconds })),
    );
    let (rate, mbit) = rate(&client, &served);
    findings.push(rate);
    findings.extend(mbit.map(|mbit| seconds(&card, round_trip, mbit, speed)));
    findings
}

/// A problem, with the advice that the error has elsewhere.
fn failed(part: &'static str, what: &str, error: Error) -> Finding {
    let error = match error.downcast::<NetError>() {
        Ok(error) if matches!(error, NetError::Unreachable { .. }) => fusion::Error::NoServer(error).into(),
        Ok(error) => fusion::Error::Net(error).into(),
        Err(error) => error,
    };
    let reason = error.chain().last().map_or_else(String::new, ToString::to_string);
    let advice = advice_on(&error).unwrap_or_else(|| "ask whoever operates it, with this line".to_owned());
    Finding::problem(part, format!("{what}: {}", plain(&reason)), advice)
}

fn encryption(connect: &ConnectArgs, address: &str) -> Finding {
    if let Some(ca) = &connect.tls_ca {
        let own = if connect.client_cert.is_some() { ", and this client by its own certificate" } else { "" };
        return Finding::ok("encryption", format!("TLS; {} vouches for the server{own}", ca.display())).with(json!({ "tls": true }));
    }
    let finding = if connect.insecure {
        let says = "plaintext: images stay hidden, but whoever is on the way can cut, change and count what is sent, and read the token";
        Finding::warning("encryption", says, "use --tls-ca, unless something on the way encrypts")
    } else {
        Finding::ok("encryption", format!("plaintext, which {address} on this machine may have"))
    };
    finding.with(json!({ "tls": false }))
}

/// What is served, and the median of the times that it took to say so.
fn described(client: &Client, model: &str) -> Result<(Served, Duration), NetError> {
    let mut times = Vec::new();
    let mut served = client.describe_model(model)?;
    for _ in 0..ASKED {
        let asked = Instant::now();
        served = client.describe_model(model)?;
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    Ok((served, times[ASKED / 2]))
}

fn version(served: &Served) -> Finding {
    let (release, parameters) = (plain(&served.release), served.description.params_version);
    let says = format!("release {release}, protocol {PROTOCOL_VERSION}, parameters {parameters}");
    let figures = json!({ "release": served.release, "protocol": PROTOCOL_VERSION, "parameters": parameters });
    let finding = if parameters != LANE_VERSION {
        let advice = format!("use programs of one version on both sides: this one has parameters {LANE_VERSION}");
        Finding::problem("version", says, advice)
    } else if served.release != RELEASE {
        Finding::ok("version", format!("{says}; this program is release {RELEASE}, and they understand each other"))
    } else {
        Finding::ok("version", says)
    };
    finding.with(figures)
}

fn lanes(client: &Client, served: &Served) -> Finding {
    let limits = served.limits;
    let says = format!(
        "{} lanes, {} for one client, of at most {} samples and {}",
        limits.lanes_total,
        limits.lanes_per_client,
        limits.samples_per_lane,
        human_bytes(limits.bytes_per_lane)
    );
    let finding = match client.is_serving() {
        Ok(true) => Finding::ok("lanes", says),
        Ok(false) => Finding::problem("lanes", "it is stopping and takes no more lanes", "wait until it is back; runs can be resumed"),
        Err(error) => failed("lanes", "whether it takes lanes cannot be told", error.into()),
    };
    finding.with(json!({ "total": limits.lanes_total, "per_client": limits.lanes_per_client, "samples": limits.samples_per_lane, "bytes": limits.bytes_per_lane }))
}

fn served_model(card: &ModelCard, served: &Served) -> Finding {
    let (digest, bytes) = (served.card_digest.to_string(), served.description.hint_bytes);
    let says = format!("{} of {} classes, hint {}, digest {digest}", plain(&card.name), card.classes(), human_bytes(bytes));
    let figures = json!({ "name": card.name, "classes": card.classes(), "digest": digest, "hint_bytes": bytes });
    let finding = match card.claim {
        Some(_) => Finding::ok("model", says),
        None => Finding::warning("model", format!("{says}; nobody claims an accuracy"), "queries need --claimed-accuracy or --certified"),
    };
    finding.with(figures)
}

/// How fast the hint comes, in Mbit/s.
fn rate(client: &Client, served: &Served) -> (Finding, Option<f64>) {
    let rate = match client.hint_rate(served, DOWNLOAD.0, DOWNLOAD.1) {
        Ok(rate) => rate,
        Err(error) => return (failed("rate", "the hint cannot be downloaded", error.into()), None),
    };
    let mbit = rate.mbit();
    let says = format!("{mbit:.0} Mbit/s to here, by {} of the hint; the other direction is not measured", human_bytes(rate.bytes));
    let finding = if rate.bytes < CERTAIN_BYTES && rate.time < DOWNLOAD.1 {
        Finding::ok("rate", format!("{says}, and so little tells only the order of magnitude"))
    } else {
        Finding::ok("rate", says)
    };
    (finding.with(json!({ "mbit": mbit, "bytes": rate.bytes, "seconds": rate.time.as_secs_f64() })), Some(mbit))
}

/// What one inference will take over this link.
fn seconds(card: &ModelCard, round_trip: Duration, mbit: f64, speed: Option<Speed>) -> Finding {
    let terms = terms_for(cores(), round_trip, &card.program);
    let lane = match predict(&card.program, LANE_SAMPLES, terms) {
        Ok(lane) => lane,
        Err(error) => return Finding::problem("seconds", format!("its cost cannot be predicted: {error}"), "use programs of one version"),
    };
    let assumed = SampleSeconds::of(&lane, mbit);
    let slower = speed.map_or(1.0, |speed| speed.slower());
    let computing = assumed.computing * slower / cores() as f64;
    let longer = computing.max(assumed.network);
    let says = format!(
        "{longer:.3} s per inference once lanes run: {:.3} s for {} over this link, {computing:.3} s of computing on {} cores if the server's are as fast; \
         `fusion plan` says how many inferences a query takes",
        assumed.network,
        human_bytes(lane.bytes_per_sample()),
        cores()
    );
    let figures = json!({
        "per_inference": longer, "network": assumed.network, "computing": computing,
        "bytes_per_inference": lane.bytes_per_sample(), "lanes": lanes_for(cores(), round_trip), "terms": terms.to_string(),
    });
    Finding::ok("seconds", says).with(figures)
}
