//! Why a gateway does not start, or has to stop.

use std::path::PathBuf;

/// An error of this crate. What goes wrong for one request is an answer over HTTP instead, and a
/// server that is away or refused is a state of the gateway.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// Settings that cannot be used, or must not be.
    #[error("{0}")]
    Settings(String),
    /// The list of users.
    #[error("{}, line {line}: {reason}", path.display())]
    Users {
        /// The file.
        path: PathBuf,
        /// Line, counted from one.
        line: usize,
        /// What is wrong with it. Names no token.
        reason: String,
    },
    /// Another gateway works on the same home.
    #[error("another gateway works on {}: stop it, or choose another home", path.display())]
    Busy {
        /// The gateway's directory.
        path: PathBuf,
    },
    /// The database was written by a later version of this program.
    #[error("{} is of version {found}, this program reads {known} and below: run the program that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest version that is understood.
        known: i64,
    },
    /// The database.
    #[error("the gateway's database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A file that cannot be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's reason.
        #[source]
        cause: std::io::Error,
    },
}

impl GatewayError {
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |cause| Self::File { path: path.to_owned(), cause }
    }
}
