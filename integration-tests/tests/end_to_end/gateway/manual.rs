//! docs/gateway.md does what it says: its commands are run as a reader would type them.

use std::process::Command;

use super::{Gateway, wait};
use crate::harness::{User, binary, true_labels, workspace};

/// The blocks of a language in a document.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    text.split(&format!("```{language}\n")).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_examples_of_the_manual_work() {
    let text = std::fs::read_to_string(workspace().join("docs/gateway.md")).unwrap();
    let shell = blocks(&text, "sh");
    let calls: Vec<&str> = shell.iter().copied().filter(|block| block.contains("curl ")).collect();
    assert!(calls.len() >= 3, "the manual has examples");
    // What starts things is checked for its flags, and started here on free ports.
    for line in shell.iter().flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>()) {
        if let Some(arguments) = line.strip_prefix("fusion ") {
            use clap::Parser as _;
            let words = std::iter::once("fusion").chain(arguments.split('#').next().unwrap().split_whitespace());
            fusion_cli::cli::Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let users = user.path("users");
    std::fs::write(&users, "ada 0123456789abcdef0123456789abcdef\n").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&users, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mix = "--copies 2 --public 6 --tau 3 --max-inconclusive 2 --lanes 2";
    let gateway = Gateway::start(&user, &server.address, &format!("--users {{users}} {mix}")).connected();
    // One shell for all, so that a block may use what an earlier one has set.
    let script = format!("set -eu\n{}", calls.join("\n"));
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script.replace("http://127.0.0.1:8080", &format!("http://{}", gateway.address)));
    bash.current_dir(workspace()).env("TOKEN", "0123456789abcdef0123456789abcdef");
    bash.env("PATH", format!("{}:{}", binary().parent().unwrap().display(), std::env::var("PATH").unwrap()));
    let ended = bash.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{out}\n{err}");
    for expected in ["\"state\":\"waiting\"", "\"server\":\"connected\"", "event: status", "\"max_image_bytes\""] {
        assert!(out.contains(expected), "no {expected} in:\n{out}\n{err}");
    }
    let verified = || {
        let request = super::agent().get(gateway.url("/v1/images?state=verified"));
        let all: serde_json::Value =
            request.header("authorization", "Bearer 0123456789abcdef0123456789abcdef").call().unwrap().body_mut().read_json().unwrap();
        let image = all["images"].as_array().unwrap().iter().find(|image| image["name"] == "digit-07.png").cloned().unwrap_or_default();
        image["verified"]["label"] == true_labels()[7]
    };
    wait("the image of the manual is verified", verified);
}
