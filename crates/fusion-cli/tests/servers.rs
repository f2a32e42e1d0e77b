//! What the command says of servers: `fusion doctor`, advice under errors, and what runs leave.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

const TOKEN: &str = "0123456789abcdef0123";

/// A package of the digits' model, prepared once.
static PACKAGE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("mnist.fusion");
    let words = [
        "prepare",
        "assets/mnist/mnist.onnx",
        "--preprocess",
        "mnist",
        "--calibrate",
        "assets/mnist/queries",
        "--claimed-accuracy",
        "0.989",
        "--out",
    ];
    let ended = command(folder.path()).current_dir(workspace()).args(words).arg(&package).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    (folder, package)
});

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn command(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fusion"));
    for name in ["FUSION_SIMD", "FUSION_TOKEN", "FUSION_SERVER", "FUSION_MODEL"] {
        command.env_remove(name);
    }
    command.env("FUSION_HOME", home.join("home")).env("FUSION_CONFIG", "").current_dir(home);
    command
}

fn text(ended: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr))
}

/// A server that ends with the test.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start(home: &Path, words: &[&str]) -> Self {
        let mut serve = command(home);
        serve.arg("serve").arg(&PACKAGE.1).args(["--listen", "127.0.0.1:0", "--until-stdin-closes", "--grace-seconds", "0"]).args(words);
        let mut child = serve.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap().to_owned();
        Self { child, port }
    }

    fn local(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An authority, and a certificate by it for `localhost`, as PEM files.
fn certificates(folder: &Path, authority: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, authority);
    std::fs::write(folder.join(format!("{authority}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let own = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
    std::fs::write(folder.join(format!("{authority}-cert.pem")), certificate.pem()).unwrap();
    secret(&folder.join(format!("{authority}-key.pem")), &own.serialize_pem());
}

fn secret(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn the_doctor_tells_how_a_server_is_and_what_an_inference_takes() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path(), &[]);
    let ended = command(home.path()).args(["doctor", "--json", "doctor.json", "--server", &server.local()]).output().unwrap();
    let said = text(&ended);
    assert!(ended.status.success(), "{said}");
    let document = std::fs::read_to_string(workspace().join("docs/command.md")).unwrap();
    let table = document.split("\n## Doctor").nth(1).unwrap().split("\n## ").next().unwrap();
    let told: Vec<_> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    // There are no modes of a home that is not there yet.
    for part in told.iter().filter(|part| **part != "modes") {
        assert!(said.lines().any(|line| line.starts_with(&format!("{part:12} "))), "no {part}: {said}");
    }
    assert!(said.contains("0 problems") && !home.path().join("home").exists(), "nothing is made: {said}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(home.path().join("doctor.json")).unwrap()).unwrap();
    let found: Vec<_> = json["findings"].as_array().unwrap().iter().map(|finding| finding["part"].as_str().unwrap()).collect();
    assert!(found.len() == told.len() - 1 && found.iter().all(|part| told.contains(part)), "{found:?} {told:?}");
    let of = |part: &str| json["findings"].as_array().unwrap().iter().find(|finding| finding["part"] == part).unwrap()["figures"].clone();
    assert_eq!(
        (json["problems"].as_u64(), of("model")["name"].as_str(), of("version")["protocol"].as_u64()),
        (Some(0), Some("mnist"), Some(3))
    );
    assert!(of("rate")["bytes"].as_u64() > Some(100_000) && of("round trip")["milliseconds"].as_f64() > Some(0.0), "{json}");
    let seconds = of("seconds");
    assert!(seconds["per_inference"].as_f64() >= seconds["network"].as_f64() && seconds["per_inference"].as_f64() > Some(0.0), "{json}");
}

#[test]
fn the_doctor_ends_with_1_where_there_is_a_problem() {
    let home = tempfile::tempdir().unwrap();
    let ended = command(home.path()).args(["doctor", "--server", "127.0.0.1:1"]).output().unwrap();
    let said = text(&ended);
    assert!(ended.status.code() == Some(1) && said.contains("1 problem") && said.contains("try: start one with `fusion serve"), "{said}");
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("home"), "no directory").unwrap();
    let ended = command(home.path()).args(["doctor"]).env("FUSION_HOME", "/proc/no/such").output().unwrap();
    assert!(ended.status.code() == Some(1) && text(&ended).contains("FUSION_HOME"), "{}", text(&ended));
}

#[test]
fn errors_of_tls_and_tokens_say_which_flag_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    certificates(folder, "ours");
    certificates(folder, "theirs");
    secret(&folder.join("token"), TOKEN);
    secret(&folder.join("wrong"), "fedcba98765432100123");
    let plain = Server::start(folder, &[]);
    let tls = Server::start(folder, &["--tls-cert", "ours-cert.pem", "--tls-key", "ours-key.pem", "--token-file", "token"]);
    let mutual = Server::start(folder, &["--tls-cert", "ours-cert.pem", "--tls-key", "ours-key.pem", "--client-ca", "ours.pem"]);
    let by_number = format!("127.0.0.1:{}", tls.port);
    let plan = |words: &[&str]| command(folder).args(["plan", "--queries", "4", "--server"]).args(words).output().unwrap();
    for (words, advice) in [
        (vec![plain.local(), "--tls-ca".into(), "ours.pem".into()], "leave out --tls-ca"),
        (vec![tls.local()], "--tls-ca FILE"),
        (vec![tls.local(), "--tls-ca".into(), "theirs.pem".into()], "this one did not"),
        (vec![by_number, "--tls-ca".into(), "ours.pem".into()], "--tls-name"),
        (vec![mutual.local(), "--tls-ca".into(), "ours.pem".into()], "--client-cert FILE"),
        (vec![tls.local(), "--tls-ca".into(), "ours.pem".into()], "--token-file FILE"),
        (vec![tls.local(), "--tls-ca".into(), "ours.pem".into(), "--token-file".into(), "wrong".into()], "--token-file FILE"),
        (vec![tls.local(), "--tls-ca".into(), "absent.pem".into()], "looked for from"),
    ] {
        let ended = plan(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let said = text(&ended);
        assert!(ended.status.code() == Some(1) && said.contains("try:") && said.contains(advice), "{words:?}: {said}");
        assert!(!said.contains(TOKEN) && !said.contains("fedcba"), "{said}");
    }
    let right = plan(&[&tls.local(), "--tls-ca", "ours.pem", "--token-file", "token"]);
    assert!(right.status.success(), "{}", text(&right));
}

#[test]
fn everything_that_the_command_writes_can_be_inspected() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path(), &[]);
    let image = workspace().join("assets/mnist/queries");
    let image = std::fs::read_dir(image)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "png"))
        .unwrap();
    let mix = [
        "--copies",
        "2",
        "--public",
        "6",
        "--tau",
        "5",
        "--max-inconclusive",
        "1",
        "--allow-unsound",
        "--public-mnist",
        "--out",
        "run",
        "--json",
        "outcome.json",
    ];
    let ran = command(home.path()).arg("query").arg(&image).args(["--server", &server.local()]).args(mix).output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran));
    let inspect = |words: &[&str]| {
        let ended = command(home.path()).arg("inspect").args(words).output().unwrap();
        assert!(ended.status.success(), "{words:?}: {}", text(&ended));
        String::from_utf8(ended.stdout).unwrap()
    };
    let run = inspect(&["run", "--json", "state.json"]);
    assert!(run.contains("8 of 8 positions") && run.contains("finished: `fusion verify run`"), "{run}");
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(home.path().join("state.json")).unwrap()).unwrap();
    assert_eq!((state["complete"].as_bool(), state["resumable"].as_bool(), state["answered"].as_u64()), (Some(true), Some(false), Some(8)));
    let report = inspect(&["outcome.json"]);
    assert!(report.contains("fusion verify RUN") && report.to_lowercase().contains("accepted"), "{report}");
    let package = PACKAGE.1.to_str().unwrap();
    let card = format!("{package}/card.pb");
    for model in [inspect(&[package]), inspect(&[&card])] {
        assert!(model.contains("Digest:") && model.contains("row norm"), "{model}");
    }
    // A journal that a kill has cut can go on.
    let journal = home.path().join("run/answers.jsonl");
    std::fs::write(&journal, "{\"start\":0").unwrap();
    let cut = inspect(&["run"]);
    assert!(cut.contains("0 of 8 positions") && cut.contains("fusion query --resume run"), "{cut}");
    assert_eq!(std::fs::read_to_string(journal).unwrap(), "{\"start\":0", "nothing is changed");
}
