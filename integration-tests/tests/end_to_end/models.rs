//! Several models at one address: `fusion serve` of folders, `fusion models`, `--model`, SIGHUP.

use std::fs;

use crate::harness::User;

const QUERY: &str = "query <queries> --public-mnist --copies 1 --public 8 --tau 8 --max-inconclusive 0 --allow-unsound --lanes 2";

fn prepare(user: &User, name: &str, package: &str) {
    let line = "--preprocess mnist --calibrate <queries> --margin 1.5 --claimed-accuracy 0.9887";
    user.run(&format!("prepare <mnist.onnx> {line} --name {name} --out {{{package}}}")).expect(0);
}

/// Names and digests of a server's models.
fn listed(user: &User, address: &str) -> Vec<(String, String)> {
    user.run(&format!("models --server {address} --json {{models.json}}")).expect(0);
    let text = |model: &serde_json::Value, key: &str| model[key].as_str().unwrap().to_owned();
    let models = user.json("models.json");
    models.as_array().unwrap().iter().map(|model| (text(model, "name"), text(model, "digest"))).collect()
}

fn names(user: &User, address: &str) -> Vec<String> {
    listed(user, address).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn models_are_chosen_remembered_and_taken_in_without_a_restart() {
    let user = User::new();
    fs::create_dir(user.path("all")).unwrap();
    prepare(&user, "first", "all/a");
    let (server, address, _) = user.operate("all", "");
    // The only one needs no name, and its address is remembered.
    user.run(&format!("{QUERY} --server {address}")).expect(0);

    prepare(&user, "second", "all/b");
    assert_eq!(names(&user, &address), ["first"], "nothing changes by itself");
    server.signal("HUP");
    server.hears("now serves second");
    let models = listed(&user, &address);
    assert_eq!(models.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["first", "second"]);

    user.run(&format!("{QUERY} --server {address}")).expect_error(&["several models", "fusion models --server", "--model"]);
    user.run(&format!("{QUERY} --server {address} --model third")).expect_error(&["no model \"third\"", "fusion models --server"]);
    // The model that was alone here is known under its name, too; the other one is new.
    user.run(&format!("{QUERY} --server {address} --model first --json {{first.json}} --out {{run}}")).expect(0);
    assert_eq!(user.json("run/run.json")["model"], "first");
    user.run(&format!("{QUERY} --server {address} --model {}", models[1].1)).expect(0);
    user.run(&format!("plan --queries 2 --server {address} --model second --certified")).expect(0);

    // Another model under a known name is a changed model.
    fs::remove_dir_all(user.path("all/a")).unwrap();
    prepare(&user, "first", "all/c");
    server.signal("HUP");
    server.hears("no longer serves first");
    user.run(&format!("{QUERY} --server {address} --model first")).expect_error(&["changed since it was first seen", "#first"]);
    // One that was asked for by its digest is gone, whatever is called so now.
    user.run(&format!("{QUERY} --server {address} --model {}", models[0].1)).expect_error(&["no model"]);

    // What cannot be served changes nothing, and the server goes on.
    fs::write(user.path("all/b/card.pb"), b"no card").unwrap();
    server.signal("HUP");
    server.hears("Nothing is changed");
    user.run(&format!("{QUERY} --server {address} --model second")).expect(0);
}

#[test]
fn two_models_of_one_name_are_refused() {
    let user = User::new();
    for package in ["a", "b"] {
        prepare(&user, "same", package);
    }
    user.run("serve {a} {b} --listen 127.0.0.1:0").expect_error(&["two models are called", "--name"]);
    user.run("serve {a} {a} --listen 127.0.0.1:0").expect_error(&["given twice"]);
}
