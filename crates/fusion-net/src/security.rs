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
        private(&self.key)?;
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

/// Refuses a file with a secret that others on this machine can read. A group may read what belongs
/// to root and is not this process's to change, such as a credential that systemd hands out.
#[cfg(unix)]
fn private(path: &Path) -> Result<(), NetError> {
    use std::os::unix::fs::MetadataExt as _;
    let file = std::fs::metadata(path).map_err(|error| NetError::disk(path, &error))?;
    let forbidden = if file.uid() == 0 { 0o037 } else { 0o077 };
    if file.mode() & forbidden == 0 {
        return Ok(());
    }
    let (path, mode) = (path.display(), file.mode() & 0o777);
    Err(NetError::Settings(format!("{path} holds a secret, but others may read or change it (mode {mode:03o}): chmod 600 {path}")))
}

#[cfg(not(unix))]
fn private(_: &Path) -> Result<(), NetError> {
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, NetError> {
    std::fs::read(path).map_err(|error| NetError::disk(path, &error))
}

/// Characters of a token, at least: fewer can be guessed.
const TOKEN_CHARS: usize = 16;

/// A bearer token. It comes from a file or the environment, never from a command line that others
/// can list.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token of at least 16 visible ASCII characters.
    ///
    /// # Errors
    /// [`NetError::Settings`] for a shorter token or other characters.
    pub fn new(text: &str) -> Result<Self, NetError> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.len() < TOKEN_CHARS || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let rule = format!("a token consists of at least {TOKEN_CHARS} visible ASCII characters");
            return Err(NetError::Settings(format!("{rule}: make one with `openssl rand -hex 32`")));
        }
        Ok(Self(Zeroizing::new(text.to_string())))
    }

    /// The token in a file; a line end after it is ignored.
    ///
    /// # Errors
    /// [`NetError::Disk`] if the file cannot be read, [`NetError::Settings`] if others can read it
    /// too, else as [`Token::new`].
    pub fn from_file(path: &Path) -> Result<Self, NetError> {
        private(path)?;
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
        let token = Token::new("s3cret-token-0123\n").unwrap();
        assert!(token.is_header(b"Bearer s3cret-token-0123"));
        for wrong in [&b"Bearer s3cret-token-012"[..], b"Bearer s3cret-token-01233", b"bearer s3cret-token-0123", b"s3cret-token-0123", b""]
        {
            assert!(!token.is_header(wrong));
        }
        assert!(!format!("{token:?}").contains("s3cret"));
        for wrong in ["", "x", "fifteen-letters", "two words of more than 16"] {
            let error = Token::new(wrong).unwrap_err().to_string();
            assert!(error.contains("openssl rand -hex 32") && (wrong.len() < 2 || !error.contains(wrong)), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn secrets_that_others_can_read_are_refused_with_advice() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "0123456789abcdef").unwrap();
        let set = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let roots = std::fs::metadata(&file).unwrap().uid() == 0;
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, roots), (0o620, false), (0o604, false), (0o644, false), (0o666, false)] {
            set(mode);
            let (token, key) = (Token::from_file(&file), KeyPair { certificate: file.clone(), key: file.clone() }.read());
            assert_eq!((token.is_ok(), key.is_ok()), (good, good), "{mode:o}");
            if let Err(error) = token {
                assert!(error.to_string().contains(&format!("chmod 600 {}", file.display())), "{error}");
            }
        }
    }
}
