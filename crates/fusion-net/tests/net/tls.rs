//! TLS, mutual TLS, tokens.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::*;
use fusion_net::{Client, ClientSecurity, ClientSettings, Fault, KeyPair, LimitName, Limits, NetError, Server, ServerSecurity, Token};
use fusion_ring::channel::Channel as _;

struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    directory: PathBuf,
    ca: PathBuf,
}

impl Authority {
    fn new(directory: &Path, name: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let ca = directory.join(format!("{name}-ca.pem"));
        std::fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: rcgen::Issuer::new(params, key), directory: directory.to_path_buf(), ca }
    }

    fn issue(&self, name: &str) -> KeyPair {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_string()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str| self.directory.join(format!("{name}.{end}"));
        std::fs::write(file("pem"), certificate.pem()).unwrap();
        write_secret(&file("key"), &key.serialize_pem());
        KeyPair { certificate: file("pem"), key: file("key") }
    }
}

fn client(server: &Server, security: ClientSecurity) -> Result<Client, NetError> {
    Client::connect(ClientSettings { security, ..settings(server.local_addr()) })
}

/// Under TLS 1.3 a client learns that its certificate was refused with the first answer, not in the
/// handshake.
fn is_refused(server: &Server, security: ClientSecurity) {
    let error = client(server, security).and_then(|client| client.describe()).unwrap_err();
    assert_eq!(error.fault(), Fault::Network, "{error}");
}

#[test]
fn mutual_tls_lets_in_whom_the_authority_vouches_for_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let servers = Authority::new(directory.path(), "servers");
    let clients = Authority::new(directory.path(), "clients");
    let strangers = Authority::new(directory.path(), "strangers");
    let identity = servers.issue("fusion.test");
    let security = ServerSecurity { identity: Some(identity), client_ca: Some(clients.ca.clone()), ..Default::default() };
    let limits = Limits { lanes_per_client: 1, ..Limits::default() };
    let server = Server::builder(Model::new(b"hint".to_vec())).security(security).limits(limits).start(local()).unwrap();

    let with = |ca: &Authority, identity| ClientSecurity {
        server_ca: Some(ca.ca.clone()),
        server_name: Some("fusion.test".into()),
        identity,
        ..Default::default()
    };
    let alice = client(&server, with(&servers, Some(clients.issue("alice")))).unwrap();
    let mut channel = alice.open_lane(lane(ECHO)).unwrap();
    let data = noise(3_000_000);
    assert!(echo(&mut channel, &data) == data);
    // Two certificates from one address are two clients.
    let full = alice.open_lane(lane(ECHO)).unwrap_err();
    assert!(matches!(full, NetError::Limit { limit: LimitName::LanesPerClient, retry_after: Some(_) }), "{full}");
    let bob = client(&server, with(&servers, Some(clients.issue("bob")))).unwrap();
    assert_eq!(echo(&mut bob.open_lane(lane(ECHO)).unwrap(), b"bob"), b"bob");

    is_refused(&server, with(&servers, None));
    is_refused(&server, with(&servers, Some(strangers.issue("mallory"))));
    // The client looks at the server as well: its authority, and its name.
    is_refused(&server, with(&strangers, Some(clients.issue("carol"))));
    let misnamed = ClientSecurity { server_name: Some("other.test".into()), ..with(&servers, Some(clients.issue("dave"))) };
    is_refused(&server, misnamed);
    // Plaintext gets nowhere.
    is_refused(&server, ClientSecurity::default());
    assert_eq!(channel.traffic().received, 3_000_000);
}

#[test]
fn a_handshake_that_does_not_come_to_an_end_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path(), "slow");
    let security = ServerSecurity { identity: Some(authority.issue("fusion.test")), ..Default::default() };
    let limits = Limits { first_request: std::time::Duration::from_millis(500), ..Limits::default() };
    let server = Server::builder(Model::new(vec![])).security(security).limits(limits).start(local()).unwrap();
    // Nothing, and the head of a client hello.
    let mut held = [0, 1].map(|_| std::net::TcpStream::connect(server.local_addr()).unwrap());
    std::io::Write::write_all(&mut held[1], &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
    eventually("both are counted", || server.counters().connections_accepted == 2);
    eventually("both are closed", || server.counters().connections_open == 0);
    assert_eq!(server.counters().refusals[&LimitName::FirstRequest], 2);
    let security = ClientSecurity { server_ca: Some(authority.ca.clone()), server_name: Some("fusion.test".into()), ..Default::default() };
    client(&server, security).unwrap().describe().unwrap();
}

#[test]
fn versions_before_1_3_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path(), "versions");
    let security = ServerSecurity { identity: Some(authority.issue("fusion.test")), ..Default::default() };
    let server = serve_securely(security);
    let handshake = |version: &'static rustls::SupportedProtocolVersion| {
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(&authority.ca).unwrap();
        let der = <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(&pem).unwrap();
        roots.add(der).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut connection = rustls::ClientConnection::new(Arc::new(config), "fusion.test".try_into().unwrap()).unwrap();
        let mut socket = std::net::TcpStream::connect(server.local_addr()).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok::<_, std::io::Error>(connection.protocol_version())
    };
    assert_eq!(handshake(&rustls::version::TLS13).unwrap(), Some(rustls::ProtocolVersion::TLSv1_3));
    handshake(&rustls::version::TLS12).unwrap_err();
}

#[test]
fn a_token_opens_every_call_and_a_wrong_one_none() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    write_secret(&file, "correct-horse-battery\n");
    let token = Token::from_file(&file).unwrap();
    let server = serve_securely(ServerSecurity { token: Some(token.clone()), ..Default::default() });
    let good = client(&server, ClientSecurity { token: Some(token), ..Default::default() }).unwrap();
    let served = good.describe().unwrap();
    let cache = fusion_net::HintCache::new(directory.path());
    for token in [None, Some(Token::new("correct-horse-batter").unwrap())] {
        let bad = client(&server, ClientSecurity { token, ..Default::default() }).unwrap();
        assert_eq!(bad.describe().unwrap_err(), NetError::Unauthenticated);
        assert_eq!(bad.open_lane(lane(ECHO)).unwrap_err(), NetError::Unauthenticated);
        assert_eq!(bad.fetch_hint(&served, &cache, &mut |_| {}).unwrap_err(), NetError::Unauthenticated);
    }
    good.fetch_hint(&served, &cache, &mut |_| {}).unwrap();
    assert_eq!(echo(&mut good.open_lane(lane(ECHO)).unwrap(), b"in"), b"in");
}

#[test]
fn key_files_that_hold_no_keys_are_named_before_anything_listens() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("empty.pem");
    write_secret(&file, "nothing");
    let identity = Some(KeyPair { certificate: file.clone(), key: file });
    let error = Server::builder(Model::new(vec![])).security(ServerSecurity { identity, ..Default::default() }).start(local()).unwrap_err();
    assert!(matches!(error, NetError::Settings(_)), "{error}");
}
