//! The command under test, users with homes of their own, and servers that end with their test.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

/// A process that is not done by then hangs. Far above the slowest step on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The workspace's root.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file under `assets/mnist`.
pub(crate) fn asset(name: &str) -> PathBuf {
    workspace().join("assets/mnist").join(name)
}

/// The `fusion` command, of the profile that this test was built with.
///
/// `cargo test --workspace` builds it beside this test; `cargo test -p integration-tests` does not,
/// and then it is built here. It is built here only if it is missing or older than a source,
/// because a build of one package may choose other features of dependencies than the outer build
/// did, and compile them again.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let path = profile.join(format!("fusion{}", std::env::consts::EXE_SUFFIX));
        if !is_fresh(&path) {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--package", "fusion-cli", "--bin", "fusion", "--locked", "--offline"]).current_dir(workspace());
            build.arg("--profile").arg(if profile.ends_with("debug") { "dev".as_ref() } else { profile.file_name().unwrap() });
            build.arg("--target-dir").arg(profile.parent().unwrap());
            assert!(build.status().unwrap().success(), "the command under test does not build");
        }
        path
    })
}

/// Whether the binary is younger than every file of the crates and than the lock file. (Cargo notes
/// the sources of a binary in a file beside it, but not where it builds it for a test.)
fn is_fresh(path: &Path) -> bool {
    fn newest_in(folder: &Path, newest: &mut SystemTime) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let facts = entry.metadata()?;
            if facts.is_dir() {
                newest_in(&entry.path(), newest)?;
            } else {
                *newest = facts.modified()?.max(*newest);
            }
        }
        Ok(())
    }
    let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified());
    let (Ok(built), Ok(mut newest)) = (modified(path), modified(&workspace().join("Cargo.lock"))) else { return false };
    let sources = ["crates", "assets"].iter().try_for_each(|folder| newest_in(&workspace().join(folder), &mut newest));
    sources.is_ok() && newest <= built
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Panics with everything that the process said unless it exited with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless the process failed with exit code 1, without a panic, and its error contains
    /// all of `words`.
    #[track_caller]
    pub(crate) fn expect_error(self, words: &[&str]) -> Self {
        let ended = self.expect(1);
        assert!(ended.stderr.contains("error: ") && !ended.stderr.contains("panicked"), "{}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "no {word:?} in:\n{}", ended.stderr);
        }
        ended
    }
}

/// A process whose output goes to files, and which is killed when dropped.
pub(crate) struct Running {
    child: Child,
    output: TempDir,
}

impl Running {
    /// Starts it.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let output = tempfile::tempdir().unwrap();
        let file = |name| File::create(output.path().join(name)).unwrap();
        let child = command.stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Self { child, output }
    }

    /// Waits until it has said so many lines on standard output.
    pub(crate) fn says(&mut self, lines: usize) {
        let began = Instant::now();
        while self.stdout().lines().count() < lines {
            assert!(self.is_running() && began.elapsed() < PATIENCE, "it does not come up: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it has said something on standard error, and gives what follows.
    pub(crate) fn hears(&self, what: &str) -> String {
        let began = Instant::now();
        loop {
            let said = self.stderr();
            if let Some((_, rest)) = said.split_once(what) {
                return rest.to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "it never said {what:?}:\n{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "the process hangs");
            std::thread::sleep(Duration::from_millis(10));
        };
        let read = |name| String::from_utf8_lossy(&fs::read(self.output.path().join(name)).unwrap()).into_owned();
        Ended { code: status.code(), stdout: read("out"), stderr: read("err") }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard output so far.
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.output.path().join("out")).unwrap()
    }

    /// What it has said on standard error so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.output.path().join("err")).unwrap()
    }

    /// Sends it a signal, by name.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap().success());
    }

    /// Waits for the end, and says by which signal it came, if by one.
    #[cfg(unix)]
    pub(crate) fn ended_by(mut self) -> Option<i32> {
        let began = Instant::now();
        while self.is_running() {
            assert!(began.elapsed() < PATIENCE, "the process hangs");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::os::unix::process::ExitStatusExt::signal(&self.child.wait().unwrap())
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it without warning (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A user with an empty home and a directory to work in.
pub(crate) struct User {
    directory: TempDir,
}

impl User {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A path in the user's working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Names in the user's working directory, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.directory.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// `fusion` with the words of `line` as arguments; `{name}` in a word stands for a path in the
    /// working directory, `<name>` for an asset.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(binary());
        command
            .env("FUSION_HOME", self.path("home"))
            .env_remove("FUSION_TOKEN")
            .env_remove("FUSION_SERVER")
            .env_remove("FUSION_MODEL")
            .env_remove("RUST_LOG");
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        for word in line.split_whitespace() {
            let inside = |open, close| word.strip_prefix(open).and_then(|w: &str| w.strip_suffix(close));
            match (inside('{', '}'), inside('<', '>')) {
                (Some(name), _) => command.arg(self.path(name)),
                (_, Some(name)) => command.arg(asset(name)),
                (None, None) => command.arg(word),
            };
        }
        command
    }

    /// Starts `fusion` with these arguments.
    pub(crate) fn start(&self, line: &str) -> Running {
        Running::spawn(self.command(line))
    }

    /// Runs `fusion` with these arguments to its end.
    pub(crate) fn run(&self, line: &str) -> Ended {
        self.start(line).end()
    }

    /// Prepares a package of the digit classifier under this name.
    pub(crate) fn prepare(&self, package: &str) {
        self.prepare_model("mnist.onnx", package);
    }

    /// Prepares a package of a digit classifier, which claims the good one's accuracy whatever it
    /// is.
    pub(crate) fn prepare_model(&self, model: &str, package: &str) {
        let line = "--preprocess mnist --calibrate <queries> --margin 1.5 --claimed-accuracy 0.9887";
        self.run(&format!("prepare <{model}> {line} --out {{{package}}}")).expect(0);
    }

    /// Serves a package of this user on a free port.
    pub(crate) fn serve(&self, package: &str, more: &str) -> Serving {
        self.serve_at(package, "127.0.0.1:0", more)
    }

    /// Serves a package of this user at an address.
    pub(crate) fn serve_at(&self, package: &str, address: &str, more: &str) -> Serving {
        let line = format!("serve {{{package}}} --listen {address} --until-stdin-closes --grace-seconds 0 {more}");
        let mut command = self.command(&line);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut first = String::new();
        BufReader::new(stdout).read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("listening on ").expect("the server came up").to_owned();
        Serving { child, _stdin: stdin, address }
    }

    /// Serves a package on a free port as an operator does, with nothing but `more`; the addresses
    /// are those that it says it listens on and answers for metrics.
    pub(crate) fn operate(&self, package: &str, more: &str) -> (Running, String, Option<String>) {
        let mut server = self.start(&format!("serve {{{package}}} --listen 127.0.0.1:0 {more}"));
        server.says(1 + usize::from(more.contains("--metrics")));
        let stdout = server.stdout();
        let after = |what: &str| stdout.lines().find_map(|line| line.strip_prefix(what)).map(str::to_owned);
        let metrics = after("metrics on http://").map(|url| url.trim_end_matches("/metrics").to_owned());
        (server, after("listening on ").unwrap(), metrics)
    }

    /// A JSON file of the working directory.
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Whole lines of the journal of a run: one per finished lane.
    pub(crate) fn journal(&self, run: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(run).join("answers.jsonl")).unwrap_or_default();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    }

    /// Waits until a run is on disk, while its lanes are still to come.
    pub(crate) fn wait_for_run(&self, run: &str, process: &mut Running) {
        let began = Instant::now();
        while !self.path(run).join("run.json").exists() {
            assert!(process.is_running(), "the client ended before its run began");
            assert!(began.elapsed() < PATIENCE, "no run begins");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until at least one lane of a run is finished, while others are still to come.
    pub(crate) fn wait_for_first_lane(&self, run: &str, process: &mut Running) {
        let began = Instant::now();
        while self.journal(run).is_empty() {
            assert!(process.is_running(), "the client ended before its first lane did");
            assert!(began.elapsed() < PATIENCE, "no lane gets done");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A server process that ends with its test.
pub(crate) struct Serving {
    child: Child,
    _stdin: ChildStdin,
    /// `host:port`.
    pub(crate) address: String,
}

impl Serving {
    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without warning (SIGKILL) and returns its address.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.address.clone()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The labels of a JSON outcome, by query.
pub(crate) fn labels(outcome: &Value) -> Vec<u64> {
    let answers = outcome["answers"].as_array().unwrap();
    assert!((0u64..).zip(answers).all(|(index, a)| a["index"] == index));
    answers.iter().map(|a| a["label"].as_u64().unwrap()).collect()
}

/// The true labels of `assets/mnist/queries`, in the order of file names.
pub(crate) fn true_labels() -> Vec<u64> {
    let text = fs::read_to_string(asset("queries.csv")).unwrap();
    text.lines().skip(1).map(|line| line.split_once(',').unwrap().1.parse().unwrap()).collect()
}

/// Panics unless `value` is an object with exactly these fields.
#[track_caller]
pub(crate) fn assert_fields(value: &Value, fields: &[&str]) {
    let mut expected: Vec<_> = fields.to_vec();
    expected.sort_unstable();
    let mut found: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}
