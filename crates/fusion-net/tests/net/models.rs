//! Several models at one address: chosen by name or digest, replaced while lanes run.

use std::sync::Arc;

use crate::support::*;
use fusion_net::{
    Catalogue, Description, Digest, HintCache, HintSource, LaneFailure, LaneHandler, LaneRequest, Limits, Mismatch, NetError, Server,
};
use fusion_ring::channel::Channel;

/// A model whose name, card and hint are its name.
struct Named(String);

impl LaneHandler for Named {
    fn name(&self) -> String {
        self.0.clone()
    }

    fn describe(&self) -> Description {
        let card = self.0.clone().into();
        Description { card, hint_digest: Digest::of(self.0.as_bytes()), hint_bytes: self.0.len() as u64, params_version: PARAMS }
    }

    fn hint(&self) -> HintSource {
        HintSource::Memory(self.0.clone().into())
    }

    fn lane_bytes(&self, request: &LaneRequest) -> u64 {
        // The larger model has room for fewer samples.
        (self.0.len() as u64 * u64::from(request.n_samples)) << 20
    }

    fn run_lane(&self, _: LaneRequest, channel: &mut dyn Channel) -> Result<(), LaneFailure> {
        let mut go = [0];
        channel.recv(&mut go)?;
        channel.send(self.0.as_bytes())?;
        Ok(())
    }
}

fn named(names: &[&str]) -> Vec<Arc<Named>> {
    names.iter().map(|name| Arc::new(Named((*name).to_owned()))).collect()
}

fn serve_models(names: &[&str]) -> (Server, Catalogue<Named>) {
    let limits = Limits { memory: 110 << 20, ..Limits::default() };
    Server::builder_of(named(names)).limits(limits).start_replaceable(local()).unwrap()
}

fn lane_of(name: &str) -> LaneRequest {
    LaneRequest { card_digest: Digest::of(name.as_bytes()), ..lane(1) }
}

/// What a lane answers.
fn answer(channel: &mut dyn Channel, length: usize) -> String {
    channel.send(&[1]).unwrap();
    String::from_utf8(channel.recv_vec(length).unwrap()).unwrap()
}

#[test]
fn a_model_is_chosen_by_name_or_digest_and_has_its_own_hint_lanes_and_room() {
    let (server, _) = serve_models(&["alpha", "omega-the-second"]);
    let client = connect(&server);
    let facts = client.models().unwrap();
    assert_eq!(facts.iter().map(|model| &*model.name).collect::<Vec<_>>(), ["alpha", "omega-the-second"]);
    assert!(facts[0].samples_per_lane > facts[1].samples_per_lane && facts[1].samples_per_lane > 0, "{facts:?}");
    let scratch = tempfile::tempdir().unwrap();
    let cache = HintCache::new(scratch.path());
    for model in &facts {
        assert_eq!(model.card_digest, Digest::of(model.name.as_bytes()));
        for wanted in [model.name.clone(), model.card_digest.to_string(), model.card_digest.to_string().to_uppercase()] {
            let served = client.describe_model(&wanted).unwrap();
            assert_eq!((&served.description.card[..], served.card_digest), (model.name.as_bytes(), model.card_digest), "{wanted}");
            assert_eq!(served.limits.samples_per_lane, model.samples_per_lane);
            let hint = client.fetch_hint(&served, &cache, &mut |_| {}).unwrap();
            assert_eq!(std::fs::read(hint).unwrap(), model.name.as_bytes());
        }
        let mut lane = client.open_lane(lane_of(&model.name)).unwrap();
        assert_eq!(answer(&mut lane, model.name.len()), model.name);
    }
    assert_eq!(client.describe().unwrap_err(), NetError::Mismatch(Mismatch::Unnamed));
    for wrong in ["alph", "ALPHA", "alpha ", &Digest::of(b"another").to_string()] {
        assert_eq!(client.describe_model(wrong).unwrap_err(), NetError::Mismatch(Mismatch::Model), "{wrong}");
    }
}

#[test]
fn models_are_replaced_while_lanes_run() {
    let (server, catalogue) = serve_models(&["alpha", "beta"]);
    let client = connect(&server);
    let mut running = client.open_lane(lane_of("alpha")).unwrap();
    catalogue.replace([catalogue.handlers()[1..].to_vec(), named(&["gamma"])].concat()).unwrap();
    assert_eq!(client.models().unwrap(), catalogue.facts());
    assert_eq!(client.describe_model("gamma").unwrap().card_digest, Digest::of(b"gamma"));
    assert_eq!(client.describe_model("alpha").unwrap_err(), NetError::Mismatch(Mismatch::Model));
    assert_eq!(client.open_lane(lane_of("alpha")).unwrap_err(), NetError::Mismatch(Mismatch::Card));
    assert_eq!(answer(&mut running, 5), "alpha", "a lane keeps the model that it began with");
    let mut new = client.open_lane(lane_of("gamma")).unwrap();
    assert_eq!(answer(&mut new, 5), "gamma");
    // With one left nobody needs to choose.
    catalogue.replace(named(&["beta"])).unwrap();
    assert_eq!(client.describe().unwrap().card_digest, Digest::of(b"beta"));
}

#[test]
fn models_that_cannot_be_told_apart_or_have_no_room_change_nothing() {
    let (_server, catalogue) = serve_models(&["alpha", "beta"]);
    let before = catalogue.facts();
    let digest = Digest::of(b"alpha").to_string();
    let long = "x".repeat(201);
    for (names, said) in [
        (vec![], "no model"),
        (vec!["alpha", "alpha"], "given twice"),
        // One that is called what another's digest is.
        (vec!["alpha", &*digest], "two models are called"),
        (vec!["a name\nof two lines"], "control characters"),
        (vec![&*long], "at most 200 characters"),
        (vec!["a model with so long a name that not even a lane of one sample of it has any room here"], "memory"),
    ] {
        let error = catalogue.replace(named(&names)).unwrap_err();
        assert!(matches!(&error, NetError::Settings(text) if text.contains(said)), "{names:?}: {error}");
        assert_eq!(catalogue.facts(), before);
    }
}
