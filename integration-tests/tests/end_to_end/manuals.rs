//! The shell commands of the manuals run, as their readers would type them.
//!
//! A block of a manual runs here if it follows the line that [`MARK`] is. What a reader has, a
//! model, photos, certificates, lies where the manual says; `host:7878` is the server that was
//! started last, on a free port, and settings that these digits need are in a file, so that no
//! command has to be changed for them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Running, User, asset, binary, true_labels, workspace};

/// Stands above every block that runs here.
const MARK: &str = "<!-- run by integration-tests/tests/end_to_end/manuals.rs -->";

/// Where the digits differ from the defaults, and servers listen on free ports.
const SETTINGS: &str = "
    [prepare]
    preprocess = \"mnist\"
    margin = 1.5
    [eval]
    preprocess = \"mnist\"
    [serve]
    listen = \"127.0.0.1:0\"
    [gateway]
    listen = \"127.0.0.1:0\"
";

/// The marked blocks of a manual in this language.
fn blocks(manual: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace().join(manual)).unwrap();
    let begin = format!("{MARK}\n```{language}\n");
    let blocks: Vec<String> = text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    assert!(!blocks.is_empty(), "no {language} of {manual} runs here");
    blocks
}

/// The commands of the marked blocks of a manual, each a line.
fn commands(manual: &str) -> Vec<String> {
    let blocks = blocks(manual, "sh").into_iter().map(|block| block.replace("\\\n", " "));
    let lines = blocks.flat_map(|block| block.lines().map(|line| line.split(" #").next().unwrap().trim().to_owned()).collect::<Vec<_>>());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Digits that come with the program, as a folder of public images with their labels.
fn known(user: &User) {
    let folder = user.path("known");
    fs::create_dir(&folder).unwrap();
    let mut list = "file,label\n".to_owned();
    for (at, digit) in fusion_cli::assets::mnist_pool().unwrap().iter().enumerate().take(80).skip(20) {
        fs::write(folder.join(format!("{at:03}.png")), digit.thumbnail(28).unwrap()).unwrap();
        list += &format!("{at:03}.png,{}\n", digit.label.unwrap());
    }
    fs::write(folder.join("labels.csv"), list).unwrap();
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A reader at work on one manual.
struct Reader {
    user: User,
    server: Option<Running>,
    /// Of the server that was started last.
    address: String,
    /// Of its model.
    digest: String,
}

impl Reader {
    /// With everything that the manuals take for given.
    fn new() -> Self {
        let user = User::new();
        std::os::unix::fs::symlink(workspace().join("assets"), user.path("assets")).unwrap();
        fs::copy(asset("mnist.onnx"), user.path("model.onnx")).unwrap();
        fs::create_dir(user.path("photos")).unwrap();
        for digit in 0..3 {
            fs::copy(asset(&format!("queries/digit-{digit:02}.png")), user.path(&format!("photos/{digit}.png"))).unwrap();
        }
        fs::write(user.path("photos/labels.csv"), labels_of_photos()).unwrap();
        for (photo, digit) in [("photo.jpg", 4), ("next.jpg", 5)] {
            fs::copy(asset(&format!("queries/digit-{digit:02}.png")), user.path(photo)).unwrap();
        }
        known(&user);
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(user.path("cert.pem"), certified.cert.pem()).unwrap();
        fs::write(user.path("ca.pem"), certified.cert.pem()).unwrap();
        private(&user.path("key.pem"), &certified.signing_key.serialize_pem());
        private(&user.path("token"), "0123456789abcdef0123456789abcdef\n");
        fs::write(user.path("fusion.toml"), SETTINGS).unwrap();
        Self { user, server: None, address: String::new(), digest: String::new() }
    }

    /// Prepares a package under a name, with answers to the known digits.
    fn prepare(&mut self, name: &str, package: &str) {
        self.run(&format!("fusion prepare model.onnx --calibrate assets/mnist/queries --name {name} --answers known/ --claimed-accuracy 0.95 --out {package}"));
    }

    /// Runs a command to its end, or until it serves.
    fn run(&mut self, line: &str) {
        let port = self.address.rsplit(':').next().unwrap_or_default();
        let line = line.replace("0.0.0.0:7878", "127.0.0.1:0").replace("0.0.0.0:8443", "127.0.0.1:0");
        let line = line.replace("host:7878", &format!("localhost:{port}")).replace("--pin DIGEST", &format!("--pin {}", self.digest));
        let line = line.replace("cargo run --release -p fusion-cli --", "fusion");
        let mut shell = Command::new("bash");
        let stays = line.starts_with("fusion serve") || line.starts_with("fusion gateway");
        shell.arg("-c").arg(if stays { format!("exec {line}") } else { format!("set -eu\n{line}") });
        shell.current_dir(self.user.path("")).env("HOME", self.user.path("")).env("FUSION_HOME", self.user.path("home"));
        shell.env("FUSION_CONFIG", self.user.path("fusion.toml")).env("FUSION_SERVER", &self.address);
        for variable in ["FUSION_TOKEN", "FUSION_MODEL", "RUST_LOG"] {
            shell.env_remove(variable);
        }
        shell.env("PATH", format!("{}:{}", binary().parent().unwrap().display(), std::env::var("PATH").unwrap()));
        if stays {
            self.server = None;
            let mut server = Running::spawn(shell);
            server.says(1);
            let first = server.stdout().lines().next().unwrap().to_owned();
            if line.starts_with("fusion serve") {
                self.address = first.strip_prefix("listening on ").unwrap().to_owned();
                self.digest = server.hears(", digest ").split(',').next().unwrap().to_owned();
            }
            self.server = Some(server);
        } else {
            let ended = Running::spawn(shell).end();
            assert_eq!(ended.code, Some(0), "{line}\n{}\n{}", ended.stdout, ended.stderr);
        }
    }
}

fn labels_of_photos() -> String {
    let labels = true_labels();
    std::iter::once("file,label\n".to_owned()).chain((0..3).map(|digit| format!("{digit}.png,{}\n", labels[digit]))).collect()
}

#[test]
fn the_commands_of_the_readme_run() {
    let mut reader = Reader::new();
    reader.prepare("digits", "given.fusion");
    for command in commands("README.md") {
        reader.run(&command);
    }
}

#[test]
fn the_commands_of_the_operators_manual_run() {
    let mut reader = Reader::new();
    for (name, package) in [("a", "a.fusion"), ("b", "b.fusion")] {
        reader.prepare(name, package);
    }
    reader.run("mkdir models && cp -r a.fusion models/");
    for command in commands("docs/operations.md") {
        reader.run(&command);
    }
}

#[test]
fn the_commands_of_the_manual_of_the_command_run() {
    let mut reader = Reader::new();
    for command in commands("docs/command.md") {
        reader.run(&command);
    }
}

#[test]
fn the_settings_of_the_manuals_can_be_read() {
    for manual in ["docs/command.md", "crates/fusion-cli/README.md"] {
        for block in blocks(manual, "toml") {
            let mut reader = Reader::new();
            fs::write(reader.user.path("fusion.toml"), block).unwrap();
            reader.run("fusion config show query | grep infer.example.com && fusion config show serve");
        }
    }
}

#[test]
fn the_commands_of_the_readme_of_the_command_run() {
    let mut reader = Reader::new();
    reader.prepare("resnet50", "resnet50.fusion");
    for command in commands("crates/fusion-cli/README.md") {
        reader.run(&command);
    }
}
