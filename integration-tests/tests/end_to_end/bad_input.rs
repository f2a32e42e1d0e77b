//! Bad input gets an error that names it, exit code 1, and leaves nothing behind.

use std::fs;

use crate::harness::{User, asset};

const PREPARE: &str = "--preprocess mnist --calibrate <queries>";
const QUERY: &str = "--public-mnist --copies 2 --public 4 --tau 1 --max-inconclusive 0 --allow-unsound --lanes 1";

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|&at| bytes[at..at + to.len()].copy_from_slice(to));
    bytes
}

#[test]
fn models_that_cannot_be_prepared() {
    let user = User::new();
    let model = fs::read(asset("mnist.onnx")).unwrap();
    fs::write(user.path("cosh.onnx"), replaced(&model, b"Relu", b"Cosh")).unwrap();
    fs::write(user.path("cut.onnx"), &model[..model.len() / 2]).unwrap();
    fs::write(user.path("text.onnx"), "this is no model").unwrap();
    let before = user.files();
    user.run(&format!("prepare {{cosh.onnx}} {PREPARE} --out {{p}}")).expect_error(&["cosh.onnx", "Cosh"]);
    user.run(&format!("prepare {{cut.onnx}} {PREPARE} --out {{p}}")).expect_error(&["cut.onnx"]);
    user.run(&format!("prepare {{text.onnx}} {PREPARE} --out {{p}}")).expect_error(&["text.onnx"]);
    user.run(&format!("prepare {{none.onnx}} {PREPARE} --out {{p}}")).expect_error(&["none.onnx"]);
    user.run("prepare <mnist.onnx> --preprocess mnist --calibrate {nowhere} --out {p}").expect_error(&["nowhere"]);
    user.run("prepare <mnist.onnx> --preprocess minst --calibrate <queries> --out {p}").expect_error(&["minst", "mnist"]);
    user.run(&format!("prepare <mnist.onnx> {PREPARE} --out {{p}} --claimed-accuracy 98.8")).expect_error(&["98.8"]);
    user.run(&format!("prepare <mnist.onnx> {PREPARE} --out {{cosh.onnx}}")).expect_error(&["cosh.onnx", "exists"]);
    assert_eq!(user.files(), before, "nothing is left behind");
}

#[test]
fn packages_that_cannot_be_served() {
    let user = User::new();
    user.prepare("p");
    user.run(&format!("prepare <mnist.onnx> {PREPARE} --out {{p}}")).expect_error(&["exists"]);
    let serve = || user.run("serve {p} --listen 127.0.0.1:0 --until-stdin-closes");
    for part in ["weights.safetensors", "hint.bin", "card.pb", "seal.bin"] {
        let path = user.path("p").join(part);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
        serve().expect_error(&[part]);
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs::write(&path, &flipped).unwrap();
        serve().expect_error(&[part]);
        user.run("inspect {p}").expect_error(&[part]);
        fs::remove_file(&path).unwrap();
        serve().expect_error(&[part]);
        fs::write(&path, &whole).unwrap();
    }
    // Another claim is another card, although nothing else can tell: the owner's accuracy as the
    // eight bytes that it is.
    let (path, claim) = (user.path("p/card.pb"), |rate: f64| rate.to_le_bytes());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, replaced(&whole, &claim(0.9887), &claim(0.5))).unwrap();
    serve().expect_error(&["card.pb", "the card was edited", "fusion prepare"]);
    user.run("inspect {p}").expect_error(&["card.pb"]);
    // What a server published is a card alone: nothing says what it should be.
    user.run("inspect {p/card.pb}").expect(0);
    fs::write(&path, &whole).unwrap();
    user.run("serve {nothing} --listen 127.0.0.1:0").expect_error(&["nothing"]);
    user.run("serve {p} --listen 0.0.0.0:0 --until-stdin-closes").expect_error(&["refusing plaintext"]);
    // Whole again, it serves.
    drop(user.serve("p", ""));
}

#[test]
fn queries_that_cannot_be_run() {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let at = format!("--server {}", server.address);
    fs::create_dir(user.path("mixed")).unwrap();
    fs::copy(asset("queries/digit-00.png"), user.path("mixed/a.png")).unwrap();
    fs::write(user.path("mixed/b.png"), "this is no image").unwrap();
    // A file that is named must be an image; of a folder what is none is left out, if something is
    // left.
    user.run(&format!("query {{mixed/b.png}} {at} {QUERY} --out {{run}}")).expect_error(&["b.png", "no image of a type that is read"]);
    fs::create_dir(user.path("broken")).unwrap();
    fs::write(user.path("broken/c.png"), "this is no image").unwrap();
    user.run(&format!("query {{broken}} {at} {QUERY} --out {{run}}")).expect_error(&["Left out: c.png", "none of the images"]);
    let ended = user.run(&format!("query {{mixed}} {at} {QUERY} --out {{run0}}"));
    assert!(ended.code != Some(1) && ended.stderr.contains("Left out: b.png"), "{ended:?}");
    user.run(&format!("query {{missing.png}} {at} {QUERY} --out {{run}}")).expect_error(&["missing.png"]);
    user.run(&format!("query <queries/digit-00.png> {at} --out {{run}}")).expect_error(&["--public-mnist"]);
    assert!(!user.path("run").exists(), "nothing is left behind");
    // Nobody listens on this port: it was given away and taken back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    user.run(&format!("query <queries/digit-00.png> --server {free} {QUERY} --out {{run}}"))
        .expect_error(&[&free.to_string(), "is the server running?"]);
    user.run(&format!("query --resume {{p}} {at}")).expect_error(&["no run directory"]);
    user.run("verify {p}").expect_error(&["no run directory"]);
    assert!(!user.path("run").exists(), "nothing is left behind");

    // A hint that rotted on disk is fetched again, not used.
    let query = format!("query <queries/digit-00.png> {at} {QUERY}");
    user.run(&format!("{query} --out {{run1}} --json {{1.json}}")).expect(0);
    let cached =
        fs::read_dir(user.path("home/hints")).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "hint"));
    let cached = cached.unwrap();
    let whole = fs::read(&cached).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 3] ^= 0x40;
    for bad in [&damaged[..], &whole[..whole.len() / 2], b""] {
        fs::write(&cached, bad).unwrap();
        user.run(&format!("{query} --out {{run-{}}}", bad.len())).expect(0);
        assert!(fs::read(&cached).unwrap() == whole, "fetched again");
        let _ = fs::remove_dir_all(user.path(&format!("run-{}", bad.len())));
    }
}
