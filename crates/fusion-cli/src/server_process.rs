//! A server as a process of its own, for the demo and for measurements.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A server process that dies with this one.
pub struct ServerProcess {
    child: Child,
    /// Closing it tells the server to stop.
    _stdin: ChildStdin,
    /// `host:port`.
    pub address: String,
}

impl ServerProcess {
    /// Starts this very program as a server of `package` on a free port of the loopback interface.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(package: &Path, cheat: Option<&str>) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let mut command = Command::new(program);
        command.arg("serve");
        // What its user has set for servers is for others than this one.
        let set = std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("FUSION_SERVE_"));
        set.for_each(|name| _ = command.env_remove(name));
        command.env("FUSION_CONFIG", "").env_remove(crate::settings::TOKEN_VARIABLE);
        if let Some(cheat) = cheat {
            command.args(["--cheat", cheat]);
        }
        Self::launch(command, package)
    }

    /// As [`start`](Self::start), for any `command` that goes on with the arguments of
    /// `fusion serve`.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn launch(mut command: Command, package: &Path) -> Result<Self> {
        command.arg(package).args(["--listen", "127.0.0.1:0", "--until-stdin-closes", "--grace-seconds", "0"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("cannot start the server")?;
        let (stdin, stdout) = (child.stdin.take().context("the server's input")?, child.stdout.take().context("the server's output")?);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        match line.trim().strip_prefix("listening on ") {
            Some(address) => Ok(Self { child, _stdin: stdin, address: address.to_owned() }),
            None => bail!("the server did not come up: {}", child.wait()?),
        }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // A demo's server has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
