//! `fusion serve`: one package, any number of lanes.

use std::io::Read;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use fusion_model::package::Package;
use fusion_net::{Digest, HintSource, KeyPair, Limits, Server, ServerSecurity, Token};
use fusion_nn::exec::{PublicModel, ServerModel};

use crate::cli::ServeArgs;
use crate::served::ModelHandler;
use crate::terminal::show;

/// Variable that holds the bearer token if no file is given.
pub const TOKEN_VARIABLE: &str = "FUSION_TOKEN";

/// Loads a package as a handler.
///
/// # Errors
/// A package that is truncated, or whose parts do not match.
pub fn load(args: &ServeArgs) -> Result<ModelHandler> {
    let package = Package::open(&args.package).with_context(|| format!("cannot serve {}", args.package.display()))?;
    let card = package.card();
    let facts = card.hint.context("the package's card names no hint")?;
    let public = PublicModel::new(card.program.clone(), card.seed()?)?;
    let model = ServerModel::new(public, &package.private().weights, &package.private().key)?;
    let digest = Digest::from_slice(facts.digest.as_bytes()).context("a digest has 32 bytes")?;
    let handler = ModelHandler::new(model, Bytes::from(card.encode()?), HintSource::File(package.hint_path()), digest, facts.bytes);
    Ok(handler.cheating(args.cheat.clone()))
}

fn limits(args: &ServeArgs) -> Limits {
    let mut limits = Limits::default();
    let seconds = |value: Option<u64>, default| value.map_or(default, Duration::from_secs);
    limits.lanes_total = args.max_lanes.unwrap_or(limits.lanes_total);
    limits.lanes_per_client = args.max_lanes_per_client.unwrap_or(limits.lanes_per_client);
    limits.samples_per_lane = args.max_lane_samples.unwrap_or(limits.samples_per_lane);
    limits.bytes_per_lane = args.max_lane_bytes.unwrap_or(limits.bytes_per_lane);
    limits.idle = seconds(args.idle_seconds, limits.idle);
    limits.lane = seconds(args.lane_seconds, limits.lane);
    limits
}

fn security(args: &ServeArgs) -> Result<ServerSecurity> {
    let token = match &args.token_file {
        Some(path) => Some(Token::from_file(path)?),
        None => Token::from_env(TOKEN_VARIABLE)?,
    };
    let identity = args.tls_cert.clone().zip(args.tls_key.clone()).map(|(certificate, key)| KeyPair { certificate, key });
    Ok(ServerSecurity { identity, client_ca: args.client_ca.clone(), token, insecure: args.insecure })
}

/// Runs the command until it is interrupted.
///
/// # Errors
/// A package or an address that cannot be used.
pub fn run(args: &ServeArgs) -> Result<()> {
    let handler = load(args)?;
    if let Some(cheat) = &args.cheat {
        eprintln!("WARNING: this server cheats on purpose ({cheat:?})");
    }
    let plaintext = args.tls_cert.is_none() && !args.insecure && !args.listen.ip().is_loopback();
    let server = Server::builder(handler).limits(limits(args)).security(security(args)?).start(args.listen);
    let server = server.map_err(|error| {
        let advice = "give --tls-cert and --tls-key, or --insecure if nobody can listen in on the way";
        if plaintext { anyhow!("{error}: {advice}") } else { error.into() }
    })?;
    // A line of its own on standard output: parents and scripts read the port from it.
    show(format_args!("listening on {}", server.local_addr()))?;
    let (stop, stopped) = mpsc::channel();
    let interrupt = stop.clone();
    ctrlc::set_handler(move || _ = interrupt.send(())).context("cannot watch for interrupts")?;
    if args.until_stdin_closes {
        std::thread::spawn(move || {
            let mut sink = [0u8; 256];
            let mut input = std::io::stdin();
            while matches!(input.read(&mut sink), Ok(n) if n > 0) {}
            let _ = stop.send(());
        });
    }
    // The handler holds a sender for the life of the process: this waits for a signal.
    let _ = stopped.recv();
    let running = server.lanes_running();
    if running > 0 {
        eprintln!("finishing {running} lanes (at most {} s) ...", args.grace_seconds);
    }
    server.shutdown(Duration::from_secs(args.grace_seconds));
    Ok(())
}
