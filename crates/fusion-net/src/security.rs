//! Who may talk to whom: TLS, mutual TLS, bearer tokens, and plaintext only where it cannot be
//! overheard.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};
use zeroize::Zeroizing;

use crate::error::NetError;
use crate::tuning::OPENING_TIMEOUT;

/// A certificate chain and its private key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate, followed by intermediate ones if there are any.
    pub certificate: PathBuf,
    /// The private key of the first certificate.
    pub key: PathBuf,
}

impl KeyPair {
    fn read(&self) -> Result<Identity, NetError> {
        let key = Zeroizing::new(read(&self.key)?);
        Ok(Identity::from_pem(read(&self.certificate)?, key.as_slice()))
    }
}

/// How a server protects its connections.
#[derive(Debug, Clone, Default)]
pub struct ServerSecurity {
    /// The server's certificate (`--tls-cert`, `--tls-key`); without it connections are plaintext.
    pub identity: Option<KeyPair>,
    /// Certificates of the authorities whose clients are let in (`--client-ca`, PEM): mutual TLS.
    pub client_ca: Option<PathBuf>,
    /// What a client must present.
    pub token: Option<Token>,
    /// Allows plaintext on an address that others can reach.
    pub insecure: bool,
}

impl ServerSecurity {
    /// The TLS settings to listen with on `address`, or `None` for plaintext.
    pub(crate) fn tls(&self, address: SocketAddr) -> Result<Option<ServerTlsConfig>, NetError> {
        let Some(identity) = &self.identity else {
            if self.client_ca.is_some() {
                return Err(NetError::Settings("client certificates need TLS: a server certificate and key are missing".into()));
            }
            if !address.ip().is_loopback() && !self.insecure {
                return Err(NetError::Settings(format!("refusing plaintext on {address}, which is not a loopback address")));
            }
            return Ok(None);
        };
        only_tls13();
        let mut tls = ServerTlsConfig::new().identity(identity.read()?).timeout(OPENING_TIMEOUT);
        if let Some(path) = &self.client_ca {
            tls = tls.client_ca_root(Certificate::from_pem(read(path)?));
        }
        Ok(Some(tls))
    }
}

/// How a client protects its connections.
#[derive(Debug, Clone, Default)]
pub struct ClientSecurity {
    /// Certificates of the authorities that may vouch for the server (`--tls-ca`, PEM); without it
    /// connections are plaintext.
    pub server_ca: Option<PathBuf>,
    /// Name that the server's certificate must carry, if it is not the host of the address.
    pub server_name: Option<String>,
    /// The client's own certificate, for mutual TLS.
    pub identity: Option<KeyPair>,
    /// What to present to the server.
    pub token: Option<Token>,
    /// Allows plaintext to an address that is not on this machine.
    pub insecure: bool,
}

impl ClientSecurity {
    /// The TLS settings to reach `host` with, or `None` for plaintext.
    pub(crate) fn tls(&self, host: &str) -> Result<Option<ClientTlsConfig>, NetError> {
        let Some(ca) = &self.server_ca else {
            if self.identity.is_some() || self.server_name.is_some() {
                return Err(NetError::Settings("TLS settings without the authority that vouches for the server".into()));
            }
            if !is_loopback(host) && !self.insecure {
                return Err(NetError::Settings(format!("refusing plaintext to {host}, which is not on this machine")));
            }
            return Ok(None);
        };
        only_tls13();
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?)).timeout(OPENING_TIMEOUT);
        tls = tls.domain_name(self.server_name.clone().unwrap_or_else(|| host.to_string()));
        if let Some(identity) = &self.identity {
            tls = tls.identity(identity.read()?);
        }
        Ok(Some(tls))
    }
}

/// Removes the cipher suites of TLS 1.2 from this process. tonic has no setting for the version,
/// but it offers only versions for which the process has suites.
fn only_tls13() {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    // Fails if the application has chosen a provider already; its choice stands.
    let _ = provider.install_default();
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn read(path: &Path) -> Result<Vec<u8>, NetError> {
    std::fs::read(path).map_err(|error| NetError::disk(path, &error))
}

/// A bearer token. It comes from a file or the environment, never from a command line that others
/// can list.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token of visible ASCII characters.
    ///
    /// # Errors
    /// [`NetError::Settings`] for an empty token or other characters.
    pub fn new(text: &str) -> Result<Self, NetError> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NetError::Settings("a token must consist of visible ASCII characters, at least one".into()));
        }
        Ok(Self(Zeroizing::new(text.to_string())))
    }

    /// The token in a file; a line end after it is ignored.
    ///
    /// # Errors
    /// [`NetError::Disk`] if the file cannot be read, else as [`Token::new`].
    pub fn from_file(path: &Path) -> Result<Self, NetError> {
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| NetError::disk(path, &error))?);
        Self::new(&text)
    }

    /// The token in an environment variable; `None` if it is not set.
    ///
    /// # Errors
    /// As [`Token::new`].
    pub fn from_env(variable: &str) -> Result<Option<Self>, NetError> {
        match std::env::var(variable) {
            Ok(text) => Self::new(&Zeroizing::new(text)).map(Some),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(NetError::Settings(format!("{variable} is not valid text"))),
        }
    }

    pub(crate) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", self.0.as_str()))
    }

    /// Whether an `authorization` header carries this token; takes the same time for every wrong
    /// token of its length.
    pub(crate) fn is_header(&self, header: &[u8]) -> bool {
        self.header().as_bytes().ct_eq(header).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_stays_on_this_machine_unless_told_otherwise() {
        let open = "0.0.0.0:0".parse().unwrap();
        let local = "[::1]:0".parse().unwrap();
        assert!(matches!(ServerSecurity::default().tls(open), Err(NetError::Settings(_))));
        assert!(ServerSecurity::default().tls(local).unwrap().is_none());
        assert!(ServerSecurity { insecure: true, ..Default::default() }.tls(open).unwrap().is_none());
        for host in ["192.0.2.1", "example.org", "localhost.example.org"] {
            assert!(matches!(ClientSecurity::default().tls(host), Err(NetError::Settings(_))), "{host}");
            assert!(ClientSecurity { insecure: true, ..Default::default() }.tls(host).unwrap().is_none());
        }
        for host in ["127.0.0.1", "127.1.2.3", "[::1]", "::1", "localhost"] {
            assert!(ClientSecurity::default().tls(host).unwrap().is_none(), "{host}");
        }
    }

    #[test]
    fn half_set_tls_is_refused_rather_than_ignored() {
        let server = ServerSecurity { client_ca: Some("ca.pem".into()), ..Default::default() };
        assert!(matches!(server.tls("127.0.0.1:0".parse().unwrap()), Err(NetError::Settings(_))));
        let client = ClientSecurity { server_name: Some("fusion".into()), ..Default::default() };
        assert!(matches!(client.tls("127.0.0.1"), Err(NetError::Settings(_))));
        let missing = ServerSecurity {
            identity: Some(KeyPair { certificate: "no-such.pem".into(), key: "no-such.key".into() }),
            ..Default::default()
        };
        assert!(matches!(missing.tls("127.0.0.1:0".parse().unwrap()), Err(NetError::Disk { .. })));
    }

    #[test]
    fn tokens_are_compared_whole_and_never_shown() {
        let token = Token::new("s3cret-token\n").unwrap();
        assert!(token.is_header(b"Bearer s3cret-token"));
        for wrong in [&b"Bearer s3cret-toke"[..], b"Bearer s3cret-tokenn", b"bearer s3cret-token", b"s3cret-token", b""] {
            assert!(!token.is_header(wrong));
        }
        assert!(!format!("{token:?}").contains("s3cret"));
        assert!(Token::new("").is_err() && Token::new("two words").is_err());
    }
}
