//! The log as JSON, of both sides, and that no secret is in it.

use std::fs;

use serde_json::Value;

use crate::harness::{User, workspace};

/// A name that a log has only if somebody wrote an answer into it.
const CLASS: &str = "xyzzy-class";

/// The server's RLWE key, the last array of the weights file by its name.
fn server_key(weights: &[u8]) -> Vec<u8> {
    let length = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&weights[8..8 + length]).unwrap();
    let offset = |i: usize| header["server_key"]["data_offsets"][i].as_u64().unwrap() as usize + 8 + length;
    weights[offset(0)..offset(1)].to_vec()
}

#[test]
fn every_line_is_json_and_none_tells_a_secret() {
    let user = User::new();
    let names: Vec<String> = (0..10).map(|i| format!("{CLASS}-{i}")).collect();
    fs::write(user.path("names.json"), serde_json::to_vec(&names).unwrap()).unwrap();
    user.run("prepare <mnist.onnx> --preprocess mnist --calibrate <queries> --margin 1.5 --claimed-accuracy 0.9887 --labels {names.json} --out {p}")
        .expect(0);
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = certified.signing_key.serialize_pem();
    let token = "hunter2-hunter2-hunter2-hunter2";
    for (name, text) in [("cert.pem", certified.cert.pem()), ("key.pem", key.clone()), ("token", token.to_owned())] {
        fs::write(user.path(name), text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(user.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let logged = "-vv --log-format json";
    let (server, address, _) = user.operate("p", &format!("--tls-cert {{cert.pem}} --tls-key {{key.pem}} --token-file {{token}} {logged}"));
    let port = address.rsplit(':').next().unwrap();
    let connect = format!("--server localhost:{port} --tls-ca {{cert.pem}} --token-file {{token}}");
    let mix = "--copies 2 --public 4 --tau 1 --max-inconclusive 1 --allow-unsound --lanes 1";
    let query = format!("query <queries/digit-00.png> <queries/digit-03.png> {connect} --public-mnist {mix} --out {{run}} {logged}");
    let client = user.run(&query).expect(0);
    assert!(client.stdout.contains(CLASS), "the answers are names: {}", client.stdout);
    // What a server is told by a bad client is in the log, too.
    fs::write(user.path("token"), "hunter3-hunter3-hunter3-hunter3").unwrap();
    user.run(&format!("query <queries/digit-00.png> {connect} --public-mnist {mix} --out {{none}} {logged}")).expect(1);
    server.signal("TERM");
    let server = server.end().expect(0);

    let key_lines = key.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned);
    let rlwe = server_key(&fs::read(user.path("p/weights.safetensors")).unwrap());
    let hex: String = rlwe.iter().map(|byte| format!("{byte:02x}")).collect();
    let secrets: Vec<String> =
        key_lines.chain([token.to_owned(), "hunter3".to_owned(), hex, format!("{:?}", &rlwe[..8]).replace(']', "")]).collect();
    for (side, log) in [("server", &server.stderr), ("client", &client.stderr)] {
        assert!(log.lines().count() > 20, "{side}: {log}");
        for line in log.lines() {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{side}: {error}: {line}"));
            assert!(["timestamp", "level", "fields", "target"].iter().all(|field| value.get(field).is_some()), "{side}: {line}");
            for secret in &secrets {
                assert!(!line.contains(secret.as_str()), "{side} tells a secret: {line}");
            }
            assert!(!line.contains(CLASS), "{side} tells a label: {line}");
            assert!(side == "client" || !line.contains("digit-0"), "the server tells the name of an image: {line}");
        }
    }
    let wanted = fs::read_to_string(workspace().join("docs/operations.md")).unwrap();
    assert!(wanted.contains("--log-format json"));
}
