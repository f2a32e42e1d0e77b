//! What cannot be served is answered with a status, a word and a sentence.

use std::time::Duration;

use fusion_gateway::{Gateway, GatewaySettings, Most, Webhook};

use crate::common::{ADA, Api, digit, settings, started, with_users};

const PNG: (&str, &str) = ("content-type", "image/png");

/// A path, headers and a body; then the status and words of the answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

#[test]
fn images_that_cannot_be_taken_say_why() {
    let home = tempfile::tempdir().unwrap();
    let most = Most { in_batch: 100, waiting: 100, bytes: 20_000, disk: 1 << 30 };
    let gateway = started(GatewaySettings { most, ..settings(&home) });
    let api = Api::of(&gateway, None);
    let form = ("content-type", "multipart/form-data; boundary=x");
    let part = |name: &str| format!("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\nx\r\n");
    let whole = digit(1);
    let (two, none) = (format!("{}{}--x--\r\n", part("a"), part("b")), "--x--\r\n".to_owned());
    let cases: [Case<'_>; 12] = [
        ("/v1/images", &[PNG], b"no image", 400, "no image of a type that is read"),
        ("/v1/images", &[PNG], b"", 400, "no image"),
        ("/v1/images", &[PNG], &whole[..whole.len() - 20], 400, "ends before the image does"),
        ("/v1/images", &[PNG], &[b'x'; 20_001], 413, "more than 20000 bytes"),
        ("/v1/images", &[PNG], &[b'x'; 200_000], 413, "more than 20000 bytes"),
        ("/v1/images", &[("content-type", "text/html")], b"x", 415, "content type"),
        ("/v1/images", &[], b"x", 415, "content type"),
        ("/v1/images", &[form], two.as_bytes(), 400, "one image a request"),
        ("/v1/images", &[form], none.as_bytes(), 400, "no file"),
        ("/v1/images", &[("content-type", "multipart/form-data")], b"x", 400, "boundary"),
        ("/v1/images", &[PNG, ("idempotency-key", &"k".repeat(65))], &whole, 400, "1 to 64"),
        ("/v1/batches", &[], b"", 409, "no image waits"),
    ];
    for (path, headers, body, status, words) in cases {
        let (found, error) = api.ask("POST", path, headers, body);
        assert_eq!(found, status, "{words}: {error}");
        assert!(error["message"].as_str().unwrap_or_default().contains(words), "{error}");
    }
    let words: [u32; 12] = [58, 0, 54, 40, 1, 1, 1 | 24 << 16, 0, 4, 0, 0, 0];
    let bmp = [b"BM".to_vec(), words.iter().flat_map(|word| word.to_le_bytes()).collect(), vec![0; 8]].concat();
    let (status, error) = api.ask("POST", "/v1/images", &[("content-type", "image/bmp")], &bmp);
    assert_eq!(status, 400, "{error}");
    assert!(error["message"].as_str().unwrap().contains("1 x 1 pixels"), "{error}");
    for (path, status) in
        [("/v1/images?state=nonsense", 400), ("/v1/images?limit=-1", 400), ("/v1/images?before=x", 400), ("/v1/nothing", 404)]
    {
        assert_eq!(api.get(path).0, status, "{path}");
    }
    assert_eq!(api.ask("PUT", "/v1/images", &[], b"").0, 405);
}

#[test]
fn too_many_are_told_to_come_back() {
    let home = tempfile::tempdir().unwrap();
    let most = Most { in_batch: 2, waiting: 2, bytes: 20_000, disk: 1 << 30 };
    let gateway = started(GatewaySettings { most, batch: 2, every: Duration::from_secs(3600), ..with_users(&home) });
    let api = Api::of(&gateway, Some(ADA));
    api.send(&digit(0), "a");
    // The second fills the batch; until it has begun a third may find no room.
    api.send(&digit(1), "b");
    let mut refused = false;
    for _ in 0..5 {
        let (status, answer) = api.ask("POST", "/v1/images", &[PNG], &digit(2));
        refused |= status == 429;
        assert!(status == 202 || status == 429 && answer["code"] == "full", "{answer}");
    }
    assert!(refused, "more wait than may");
    assert!(api.header("POST", "/v1/images", &digit(3), "retry-after").is_some());
}

#[test]
fn without_a_server_images_are_not_taken_and_all_else_works() {
    let home = tempfile::tempdir().unwrap();
    let mut away = settings(&home);
    // Port 1 of the loopback interface: nobody listens there.
    away.client.connection.address = "127.0.0.1:1".to_owned();
    away.client.connect_patience = Duration::ZERO;
    let gateway = Gateway::start(away).unwrap();
    let api = Api::of(&gateway, None);
    let (status, error) = api.ask("POST", "/v1/images", &[PNG], &digit(1));
    assert_eq!((status, &error["code"]), (503, &"busy".into()));
    assert!(api.header("POST", "/v1/images", &digit(1), "retry-after").is_some());
    crate::common::wait("it is known to be away", || api.get("/healthz").1["server"] == "away");
    let status = api.get("/v1/status").1;
    assert!(status["reason"].as_str().unwrap().contains("127.0.0.1:1"), "{status}");
    assert_eq!(api.get("/v1/model").0, 503);
    assert!(api.get("/v1/openapi.json").1["paths"]["/v1/images"]["post"].is_object());
    assert!(gateway.shutdown(Duration::from_secs(20)), "waiting for a server ends with the gateway");
}

#[test]
fn dangerous_settings_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let refused = |settings: GatewaySettings, words: &str| {
        let error = Gateway::start(settings).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    };
    let everywhere = ([0, 0, 0, 0], 0).into();
    refused(GatewaySettings { listen: everywhere, ..settings(&home) }, "without users");
    refused(GatewaySettings { listen: everywhere, ..with_users(&home) }, "refusing plaintext");
    refused(GatewaySettings { batch: 0, ..settings(&home) }, "cannot fill");
    for url in ["ftp://host/x", "/x", "http://user@host/x", "https://"] {
        refused(GatewaySettings { webhook: Some(Webhook { url: url.to_owned(), ca: None }), ..settings(&home) }, url);
    }
    let missing = home.path().join("missing.pem");
    refused(GatewaySettings { tls: Some((missing.clone(), missing)), ..settings(&home) }, "missing.pem");
    drop(Gateway::start(GatewaySettings { listen: everywhere, plaintext: true, ..with_users(&home) }).unwrap());
}
