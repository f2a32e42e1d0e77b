//! What a stranger, another user, another site or a slow client tries.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fusion_gateway::{Gateway, GatewaySettings, HttpLimits};

use crate::common::{ADA, Api, BOB, digit, settings, started, with_users};

/// Sends bytes as they are, and reads whatever comes until the other side ends.
fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The other side may have closed already: what it said counts.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[test]
fn users_see_nothing_of_each_other() {
    let home = tempfile::tempdir().unwrap();
    let gateway = started(with_users(&home));
    let (ada, bob) = (Api::of(&gateway, Some(ADA)), Api::of(&gateway, Some(BOB)));
    let (a, b) = (ada.send(&digit(3), "adas-secret.png"), bob.send(&digit(4), "bobs.png"));
    for (method, path) in [
        ("GET", format!("/v1/images/{a}")),
        ("GET", format!("/v1/images/{a}/picture")),
        ("DELETE", format!("/v1/images/{a}")),
        ("GET", "/v1/images/' OR '1'='1".replace(' ', "%20").replace('\'', "%27")),
        ("GET", format!("/v1/images/{a}%00")),
        ("GET", "/v1/images/..%2f..%2f..%2fetc%2fpasswd".to_owned()),
        ("GET", "/v1/batches/..%2fruns".to_owned()),
    ] {
        assert!(matches!(bob.ask(method, &path, &[], b"").0, 400 | 404), "{method} {path}");
    }
    assert_eq!(bob.get(&format!("/v1/images?before={a}")).1["images"].as_array().unwrap().len(), 0);
    assert_eq!(bob.get("/v1/images").1["images"].as_array().unwrap().len(), 1);
    // A key of ours that another user has is no way to their image.
    let send =
        |api: &Api| api.ask("POST", "/v1/images", &[("content-type", "image/png"), ("idempotency-key", "k")], &digit(5)).1["id"].clone();
    assert_ne!(send(&ada), send(&bob));

    // Both are in one batch, and each is told of their own part only.
    assert_eq!(bob.ask("POST", "/v1/batches", &[], b"").0, 202);
    ada.wait_for(&a, |image| image["state"] == "verified");
    let batch = bob.wait_for(&b, |image| image["state"] == "verified")["batch"].as_str().unwrap().to_owned();
    let report = bob.get(&format!("/v1/batches/{batch}")).1.to_string();
    assert!(report.contains(&b) && !report.contains(&a) && !report.contains("adas-secret"), "{report}");
    for nobody in [None, Some("not-a-token-of-anybody")] {
        let api = Api::of(&gateway, nobody);
        for path in ["/v1/images", "/v1/status", "/v1/batches", "/v1/model", "/v1/events"] {
            assert_eq!(api.get(path).0, 401, "{path}");
        }
        let health = api.get("/healthz").1;
        assert!(health.as_object().unwrap().len() == 3, "says nothing of users and their work: {health}");
    }
}

#[test]
fn other_sites_cannot_use_a_gateway_without_users() {
    let home = tempfile::tempdir().unwrap();
    let gateway = started(settings(&home));
    let address = gateway.address();
    let ask = |head: &str| status(&raw(address, format!("{head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes()));
    let host = format!("host: {address}");
    assert_eq!(ask(&format!("GET /v1/status HTTP/1.1\r\n{host}")), 200);
    assert_eq!(ask("GET /v1/status HTTP/1.1\r\nhost: rebound.example"), 403, "a name that is made to point here");
    assert_eq!(ask(&format!("GET http://rebound.example/v1/status HTTP/1.1\r\n{host}")), 403);
    assert_eq!(ask(&format!("POST /v1/batches HTTP/1.1\r\n{host}\r\norigin: https://evil.example")), 403);
    assert_eq!(ask(&format!("POST /v1/batches HTTP/1.1\r\n{host}\r\norigin: null")), 403);
    assert_eq!(ask(&format!("POST /v1/batches HTTP/1.1\r\n{host}\r\nsec-fetch-site: cross-site")), 403);
    assert_eq!(ask(&format!("POST /v1/batches HTTP/1.1\r\n{host}\r\norigin: http://{address}")), 409, "our own page: nothing waits");
    // No answer invites other sites, and the page runs nothing but its own files.
    let page = raw(address, format!("GET / HTTP/1.1\r\n{host}\r\norigin: https://evil.example\r\nconnection: close\r\n\r\n").as_bytes());
    let head = page.split("\r\n\r\n").next().unwrap().to_lowercase();
    assert!(!head.contains("access-control"), "{head}");
    for expected in ["content-security-policy: default-src 'none'", "nosniff", "frame-ancestors 'none'", "same-origin"] {
        assert!(head.contains(expected), "{expected}: {head}");
    }
    assert!(!head.contains("unsafe-inline"));
    // Paths are routes, not files.
    for path in ["/../../etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/style.css/../../Cargo.toml", "/index.html"] {
        assert_eq!(ask(&format!("GET {path} HTTP/1.1\r\n{host}")), 404, "{path}");
    }
}

#[test]
fn names_of_files_do_not_become_headers_or_markup() {
    let home = tempfile::tempdir().unwrap();
    let gateway = started(settings(&home));
    let api = Api::of(&gateway, None);
    let name = "a%0d%0aSet-Cookie:%20x=1%0d%0a%0d%0a%3Cscript%3E%e2%80%aegnp.exe";
    let (_, image) = api.ask("POST", &format!("/v1/images?name={name}"), &[("content-type", "image/png")], &digit(1));
    assert_eq!(image["name"], "aSet-Cookie: x=1<script>gnp.exe");
    let (status, bad) = api.ask("POST", "/v1/images?name=%ff%fe", &[("content-type", "image/png")], &digit(1));
    assert!(status == 400 || bad["name"] == "\u{fffd}\u{fffd}", "{bad}");
    let form = [
        b"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\"\r\nX-Evil: 1\r\nContent-Type: text/html\r\n\r\n".to_vec(),
        digit(1),
        b"\r\n--x--\r\n".to_vec(),
    ]
    .concat();
    let (status, image) = api.ask("POST", "/v1/images", &[("content-type", "multipart/form-data; boundary=x")], &form);
    assert!(status == 400 || image["name"] == "image", "{image}");
}

fn hasty(home: &tempfile::TempDir) -> Gateway {
    let limits = HttpLimits { connections: 12, requests: 3, streams: 2, head: Duration::from_secs(1), request: Duration::from_secs(2) };
    started(GatewaySettings { limits, ..with_users(home) })
}

#[test]
fn slow_and_huge_requests_end() {
    let home = tempfile::tempdir().unwrap();
    let gateway = hasty(&home);
    let address = gateway.address();
    let timed = |bytes: &[u8]| {
        let began = Instant::now();
        let answer = raw(address, bytes);
        assert!(began.elapsed() < Duration::from_secs(30), "it ended");
        status(&answer)
    };
    // A head that never ends, a body that never comes, a head of a megabyte, a thousand headers.
    assert!(matches!(timed(b"GET / HTTP/1.1\r\nhost: x\r\nx-a: "), 0 | 408));
    let post = format!("POST /v1/images HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADA}\r\ncontent-type: image/png\r\n");
    assert_eq!(timed(format!("{post}content-length: 100\r\nconnection: close\r\n\r\nx").as_bytes()), 408);
    assert!(matches!(timed(&[b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; 1 << 20]].concat()), 0 | 400 | 431));
    let many: String = (0..1000).map(|number| format!("x-{number}: 1\r\n")).collect();
    assert!(matches!(timed(format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n").as_bytes()), 0 | 400 | 431));
    // A form that goes on and on is cut at the limit, whatever it announced.
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "a".repeat(1 << 20));
    let form = post.replace("image/png", "multipart/form-data; boundary=x") + "transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let part = "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n";
    let endless = [form, format!("{:x}\r\n{part}\r\n", part.len()), chunk.repeat(24)].concat();
    assert!(matches!(timed(endless.as_bytes()), 0 | 408 | 413));
    // Nothing was asked of a stranger's body.
    let stranger =
        "POST /v1/images HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: 99999999\r\nconnection: close\r\n\r\n";
    assert_eq!(timed(stranger.as_bytes()), 401);
    assert_eq!(Api::of(&gateway, Some(ADA)).get("/v1/status").0, 200, "and the gateway works");
}

/// Strangers who ask without end and read nothing: half of all connections are one address's, and
/// those are cut.
#[test]
fn answers_that_nobody_reads_hold_no_connection() {
    let home = tempfile::tempdir().unwrap();
    let gateway = hasty(&home);
    let asked = b"GET /app.js HTTP/1.1\r\nhost: x\r\n\r\n".repeat(400);
    let deaf: Vec<TcpStream> = (0..6)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream.write_all(&asked).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(status(&raw(gateway.address(), b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")), 0, "the seventh of an address");
    let api = Api::of(&gateway, None);
    let began = Instant::now();
    while ureq::get(format!("{}/healthz", api.base)).call().is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "connections that read nothing are held");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(deaf);
}

#[test]
fn more_than_there_is_room_for_is_turned_away_and_health_is_not() {
    let home = tempfile::tempdir().unwrap();
    let gateway = hasty(&home);
    let api = Api::of(&gateway, Some(ADA));
    // Streams of events.
    let listen = || ureq::get(format!("{}/v1/events", api.base)).header("authorization", format!("Bearer {ADA}")).call();
    let streams: Vec<_> = (0..2).map(|_| listen().unwrap()).collect();
    assert!(listen().is_err(), "a third listener is told to come back");
    drop(streams);
    // Requests whose bodies do not come.
    let head = format!(
        "POST /v1/images HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADA}\r\ncontent-type: image/png\r\ncontent-length: 9\r\n\r\n"
    );
    let slow: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let (status, answer) = api.get("/v1/status");
    assert_eq!((status, &answer["code"]), (503, &"busy".into()));
    assert_eq!(api.get("/healthz").0, 200);
    drop(slow);
    crate::common::wait("there is room again", || api.get("/v1/status").0 == 200);
    // Connections that say nothing are closed, and then others are served.
    let silent: Vec<TcpStream> = (0..6).map(|_| TcpStream::connect(gateway.address()).unwrap()).collect();
    assert_eq!(api.get("/healthz").0, 200);
    drop(silent);
}

#[test]
fn https_is_tls_13_with_our_certificate() {
    let home = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let gateway = Gateway::start(GatewaySettings { tls: Some((certificate, key)), ..with_users(&home) }).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let ask = |version: &'static rustls::SupportedProtocolVersion| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[version]).unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let mut connection = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
        let mut socket = TcpStream::connect(gateway.address()).unwrap();
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Some(status(&String::from_utf8_lossy(&answer)))
    };
    assert_eq!(ask(&rustls::version::TLS13), Some(200));
    assert_eq!(status(&raw(gateway.address(), b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")), 0, "plaintext is not answered");
}
