//! The service itself, over a relay that changes messages of gRPC: description, hint, the opening
//! of a lane, its frames.

use std::path::Path;
use std::time::Duration;

use fusion::{ClientSettings, Server, ServerSettings};
use fusion_model::card::{Digest, ModelCard};
use fusion_model::package::{PackageWriter, PrivateModel};
use fusion_model::preprocess::{Channels, Preprocess, Resize};
use fusion_net::relay::{Action, Direction, Fault, Link, Position, Relay, Script};
use fusion_net::{Extension, LaneRequest, Limits, NetError, Reveal, Split};
use fusion_nn::LANE_VERSION;
use fusion_nn::exec::{Client, Hint, Lane, Opened, PublicModel, ServerModel};
use fusion_nn::layers::LaneTerms;
use fusion_rlwe::ServerKey;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::batch::{Batch, Judgement, mix};
use super::lane::{CLIENT, End};
use super::network::{CLASSES, HONEST, SIDE, program, weights};
use super::problem::Problem;
use super::tamper::Mutation;

/// How long either side waits for a byte. Beyond what anything takes here on a busy machine.
const IDLE: Duration = Duration::from_secs(3);

/// A message of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    /// The question what is served, and the answer.
    Describe,
    /// The request for the hint, and its pieces.
    Hint,
    /// A lane, of which a direction's message of this number is meant.
    Lane(u64),
}

impl Exchange {
    pub(super) fn phase(self) -> &'static str {
        match self {
            Self::Describe => "service: description",
            Self::Hint => "service: hint",
            Self::Lane(0) => "service: opening of a lane",
            Self::Lane(_) => "service: frames of a lane",
        }
    }
}

/// A served package.
pub(super) struct Service {
    server: Server,
    model: PublicModel,
    hint: Hint,
    card_digest: Digest,
    _folder: tempfile::TempDir,
}

fn other(error: impl std::fmt::Display) -> Problem {
    Problem::Other(error.to_string())
}

impl Service {
    pub(super) fn start() -> Result<Self, Problem> {
        let folder = tempfile::tempdir().map_err(other)?;
        let path = folder.path().join("package");
        let (card, model) = package(&path)?;
        let limits = Limits { idle: IDLE, ..Limits::default() };
        let settings = ServerSettings { limits, ..ServerSettings::new(([127, 0, 0, 1], 0).into()) };
        let server = Server::serve(&path, settings, ChaCha20Rng::seed_from_u64(5)).map_err(other)?;
        let hint = Hint::open(&model, &path.join("hint.bin"))?;
        Ok(Self { server, model, hint, card_digest: Digest::of(&card.encode().map_err(other)?), _folder: folder })
    }

    fn relay(&self, connection: u64, message: u64, sender: usize, mutation: Mutation) -> Result<Relay, Problem> {
        let direction = if sender == CLIENT { Direction::ClientToServer } else { Direction::ServerToClient };
        let fault = Fault { connection, direction, position: Position::Message(message), action: action(mutation) };
        Relay::start(self.server.local_addr(), Link::LAN, Script { faults: vec![fault] }).map_err(other)
    }

    /// Runs as much of a client as `exchange` needs, with one message of `sender` changed.
    ///
    /// # Errors
    /// A mistake of the harness.
    pub(super) fn run(&self, exchange: Exchange, sender: usize, mutation: Mutation) -> Result<(End, Option<Judgement>), Problem> {
        match exchange {
            Exchange::Describe => Ok((self.connect(&self.relay(0, 0, sender, mutation)?)?, None)),
            Exchange::Hint => Ok((self.connect(&self.relay(1, 0, sender, mutation)?)?, None)),
            // The first connection is for control.
            Exchange::Lane(message) => self.lane(&self.relay(1, message, sender, mutation)?),
        }
    }

    /// Description, trust, hint.
    fn connect(&self, relay: &Relay) -> Result<End, Problem> {
        let home = tempfile::tempdir().map_err(other)?;
        let mut settings = ClientSettings::new(relay.address().to_string(), home.path());
        settings.connection.idle = IDLE;
        settings.connection.patience = IDLE;
        Ok(match fusion::Client::connect(settings) {
            Ok(_) => End::Finished,
            Err(fusion::Error::Net(error) | fusion::Error::NoServer(error)) => of_net(&error),
            // What a server says of its model.
            Err(error @ (fusion::Error::Served { .. } | fusion::Error::Card(_) | fusion::Error::Trust(_))) => End::Named(error.to_string()),
            Err(error) => End::Unnamed(error.to_string()),
        })
    }

    fn lane(&self, relay: &Relay) -> Result<(End, Option<Judgement>), Problem> {
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let batch = Batch::draw(self.model.program(), &mut rng)?;
        let settings = fusion_net::ClientSettings { idle: IDLE, ..fusion_net::ClientSettings::new(relay.address().to_string()) };
        let (card_digest, params_version, n_samples) = (self.card_digest, LANE_VERSION, mix()?.samples());
        let (split, extension) = (Split::FewestOts, Extension::Small);
        let request = LaneRequest { card_digest, params_version, n_samples, reveal: Reveal::Label, lane: 0, split, extension };
        let mut channel = match fusion_net::Client::connect(settings).and_then(|client| client.open_lane(request)) {
            Ok(channel) => channel,
            Err(error) => return Ok((of_net(&error), None)),
        };
        let (samples, reveal) = (n_samples as usize, fusion_nn::exec::Reveal::Label);
        let input = batch.input(self.model.program())?;
        let lane = Lane::<Client>::connect(&request.binding(), samples, reveal, LaneTerms::SHORT_LINK, Box::new(&mut channel), &mut rng);
        let ran = lane.and_then(|lane| lane.run(&self.model, &self.hint, input, &mut rng, &mut |_| ()));
        // The transport knows better than the protocol why a lane died.
        let opened = match (ran.map(|finished| finished.opened), channel.failure()) {
            (Ok(opened), _) => opened,
            (Err(_), Some(error)) => return Ok((of_net(error), None)),
            (Err(error), None) => return Ok((End::of_lane(&error), None)),
        };
        if let Err(error) = channel.finish() {
            return Ok((of_net(&error), None));
        }
        let Opened::Labels(labels) = opened else { return Err(Problem::new("labels were asked for")) };
        Ok((End::Finished, Some(batch.judge(&labels)?)))
    }
}

/// A package of the small network: its card, and what both parties know of the model.
fn package(path: &Path) -> Result<(ModelCard, PublicModel), Problem> {
    let card = ModelCard {
        name: "quarters".to_owned(),
        program: program(),
        preprocess: Preprocess { crop: SIDE as u32, resize: Resize::Keep, channels: Channels::Gray, ..Preprocess::mnist() },
        labels: (0..CLASSES).map(|class| format!("quarter {class}")).collect(),
        claim: None,
        weights_digest: Digest::of(b""),
        hint: None,
        logits_bits: 0,
        answers: None,
        flips: None,
    };
    let private = PrivateModel { weights: weights(HONEST), key: ServerKey::from_bytes([9; 32]) };
    let mut writer = PackageWriter::create(path, card, &private, None).map_err(other)?;
    let model = PublicModel::new(program(), writer.card().seed().map_err(other)?)?;
    let served = ServerModel::new(model.clone(), &private.weights, &private.key)?;
    let hint = served.hint(&mut ChaCha20Rng::seed_from_u64(7), |_| ());
    std::io::Write::write_all(&mut writer, &hint).map_err(other)?;
    Ok((writer.finish().map_err(other)?, model))
}

fn action(mutation: Mutation) -> Action {
    match mutation {
        Mutation::FlippedBit => Action::Corrupt,
        Mutation::Random => Action::Noise,
        Mutation::Zeros => Action::Zero,
        Mutation::Shorter => Action::Shorten,
        Mutation::Longer => Action::Lengthen,
        Mutation::Dropped => Action::Drop(1),
        Mutation::Repeated => Action::Repeat,
        Mutation::Swapped => Action::Reorder(1),
        Mutation::Silence => Action::Stall(None),
    }
}

/// An error of the transport names the fault, unless a server says that it failed itself: then its
/// client was told nothing of what a peer did.
fn of_net(error: &NetError) -> End {
    let unnamed = matches!(error, NetError::PeerFailed(_) | NetError::Settings(_) | NetError::Disk { .. });
    if unnamed { End::Unnamed(error.to_string()) } else { End::Named(error.to_string()) }
}
