//! Who may use the gateway: a file of names and tokens, or everybody on this machine.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::error::GatewayError;

/// The only user where no users are named.
const LOCAL: &str = "local";
/// A shorter token can be guessed.
const TOKEN_CHARS: usize = 16;
/// Longer names and tokens than anybody has.
const LONGEST: usize = 256;
/// Bytes of a file of users.
const FILE_BYTES: u64 = 1 << 20;

/// The users. Prints no token.
pub(crate) enum Users {
    /// Everybody who reaches the address.
    Local,
    /// Names and their tokens.
    Named(Vec<(String, Zeroizing<String>)>),
}

impl Users {
    /// Reads a file of lines `name token`; empty lines, and those that begin with `#`, are skipped.
    pub(crate) fn read(path: &Path) -> Result<Self, GatewayError> {
        let mut file = File::open(path).map_err(GatewayError::file(path))?;
        let metadata = file.metadata().map_err(GatewayError::file(path))?;
        if others_may_read(&metadata) {
            let advice = format!("{} may be read by others: chmod 600 it, and change its tokens if others have", path.display());
            return Err(GatewayError::Settings(advice));
        }
        if metadata.len() > FILE_BYTES {
            return Err(GatewayError::Settings(format!("{}: {} bytes are no list of users", path.display(), metadata.len())));
        }
        let mut text = Zeroizing::new(String::with_capacity(metadata.len() as usize + 1));
        file.read_to_string(&mut text).map_err(GatewayError::file(path))?;
        let mut users: Vec<(String, Zeroizing<String>)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let refuse = |reason: String| GatewayError::Users { path: path.to_owned(), line: number, reason };
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, token) = user(line).map_err(refuse)?;
            if users.iter().any(|(known, _)| *known == name) {
                return Err(refuse(format!("{name} occurs twice")));
            }
            if users.iter().any(|(_, known)| **known == *token) {
                return Err(refuse("two users have the same token".to_owned()));
            }
            users.push((name, token));
        }
        if users.is_empty() {
            return Err(GatewayError::Settings(format!("{} names no user: write lines of a name and a token", path.display())));
        }
        Ok(Self::Named(users))
    }

    /// The user of an `Authorization` header. All tokens are compared, each in a time that depends
    /// on lengths only.
    pub(crate) fn who(&self, authorization: Option<&[u8]>) -> Option<String> {
        let users = match self {
            Self::Local => return Some(LOCAL.to_owned()),
            Self::Named(users) => users,
        };
        let (scheme, token) = authorization?.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let mut found = u32::MAX;
        for (index, (_, known)) in (0u32..).zip(users) {
            let same: Choice = known.as_bytes().ct_eq(token);
            found.conditional_assign(&index, same);
        }
        users.get(found as usize).map(|(name, _)| name.clone())
    }

    /// Whether there are tokens.
    pub(crate) fn are_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }
}

fn user(line: &str) -> Result<(String, Zeroizing<String>), String> {
    let mut words = line.split_ascii_whitespace();
    let (Some(name), Some(token), None) = (words.next(), words.next(), words.next()) else {
        return Err("expected a name and a token".to_owned());
    };
    if name.len() > LONGEST || name == LOCAL || !name.chars().all(|c| c.is_alphanumeric() || "._@-".contains(c)) {
        return Err(format!("a name has letters, digits, `.`, `_`, `@` or `-`, and is not {LOCAL}"));
    }
    if !(TOKEN_CHARS..=LONGEST).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("the token of {name} must have {TOKEN_CHARS} to {LONGEST} visible ASCII characters: openssl rand -hex 16"));
    }
    Ok((name.to_owned(), Zeroizing::new(token.to_owned())))
}

#[cfg(unix)]
fn others_may_read(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

// Elsewhere a file takes the access rules of its directory.
#[cfg(not(unix))]
fn others_may_read(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, mode: u32) -> Result<Users, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        Users::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn users_are_known_by_their_whole_token() {
        let users = read("# our users\nada 0123456789abcdef\n\nbob fedcba9876543210\n", 0o600).unwrap();
        let who = |header: &str| users.who(Some(header.as_bytes()));
        assert_eq!(who("Bearer 0123456789abcdef").as_deref(), Some("ada"));
        assert_eq!(who("bearer fedcba9876543210").as_deref(), Some("bob"));
        for bad in ["", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdeff", "Basic 0123456789abcdef", "Bearer local"]
        {
            assert_eq!(who(bad), None, "{bad}");
        }
        assert_eq!(users.who(None), None);
        assert_eq!(Users::Local.who(None).as_deref(), Some("local"));
    }

    #[test]
    fn bad_lists_are_refused_without_naming_a_token() {
        for (text, mode, expected) in [
            ("ada 0123456789abcdef\n", 0o644, "chmod 600"),
            ("ada 0123456789abcde\n", 0o600, "line 1: the token of ada must have 16"),
            ("ada\n", 0o600, "line 1: expected a name and a token"),
            ("ada 0123456789abcdef x\n", 0o600, "expected a name"),
            ("local 0123456789abcdef\n", 0o600, "is not local"),
            ("a/../b 0123456789abcdef\n", 0o600, "a name has"),
            ("ada 0123456789abcdef\nada 0123456789abcdeg\n", 0o600, "line 2: ada occurs twice"),
            ("ada 0123456789abcdef\nbob 0123456789abcdef\n", 0o600, "the same token"),
            ("# nobody\n", 0o600, "names no user"),
        ] {
            let error = read(text, mode).err().unwrap();
            assert!(error.contains(expected) && !error.contains("0123456789"), "{error}");
        }
    }
}
