//! Everything that the command says on standard error: lines for people, and the log.
//!
//! Nobody may read it: the reader of a pipe is gone or asleep, the disk is full. So one thread
//! writes, from a queue of bounded size, and errors are counted instead of raised. What comes while
//! the queue is full is left out, and said to be when there is room again. Nothing that works waits
//! for a line to be read, and nothing ends because it cannot be.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::cli::LogFormat;
use crate::colour::{self, Mood, painted};

/// Bytes that may wait to be written.
const QUEUE_BYTES: usize = 4 << 20;

/// What a line takes beside its bytes.
const LINE_OVERHEAD: usize = 64;

/// How long the end of the process waits for the last lines to be written.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a line on standard output waits for those on standard error that came before it: a log
/// of both keeps their order.
const ORDER: Duration = Duration::from_millis(100);

/// The writer of this process, once it is started.
static STARTED: OnceLock<Diagnostics> = OnceLock::new();

/// Starts the writer and the log: everything that this process says on standard error goes through
/// it from now on, messages of panics too. What is returned waits at its end for the last lines,
/// for a second at most.
#[must_use = "dropping it waits for the last lines"]
pub fn start(format: LogFormat, verbose: u8) -> LastLines {
    let started = STARTED.get_or_init(|| {
        let terminal = io::stderr().is_terminal() && format == LogFormat::Text;
        Diagnostics::to(standard_error(), format, terminal)
    });
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        let has_trace = trace.status() == std::backtrace::BacktraceStatus::Captured;
        failure(if has_trace { format!("{panic}\n{trace}") } else { panic.to_string() });
    }));
    let level = ["fusion=warn,fusion_net=warn", "fusion=info,fusion_net=info", "debug"][usize::from(verbose).min(2)];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A line that cannot be written is counted by the writer, not told to the same full disk.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(started.clone()).log_internal_errors(false);
    let log = match format {
        LogFormat::Text => log.with_ansi(colour::wanted(&io::stderr())).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    if let Err(error) = log {
        warning(format_args!("no log: {error}"));
    }
    LastLines(())
}

/// Waits at its end for the last lines.
pub struct LastLines(());

impl Drop for LastLines {
    fn drop(&mut self) {
        flush(FAREWELL);
    }
}

/// Waits until all lines so far are written, or for so long.
fn flush(limit: Duration) {
    if let Some(started) = STARTED.get() {
        started.flush(limit);
    }
}

/// Gives the lines so far a moment to be written before something else is.
pub(crate) fn keep_order() {
    flush(ORDER);
}

/// A line for people.
pub fn note(text: impl Display) {
    say("INFO", text);
}

/// A line about what may be wrong.
pub(crate) fn warning(text: impl Display) {
    say("WARN", text);
}

/// What ended the work, and what to do about it.
pub fn failed(error: impl Display, advice: Option<String>) {
    let colours = STARTED.get().is_none_or(|started| started.format == LogFormat::Text) && colour::wanted(&io::stderr());
    failure(format_args!("{} {error}", painted("error:", Mood::Bad, colours)));
    if let Some(advice) = advice {
        failure(format_args!("{}   {advice}", painted("try:", Mood::Good, colours)));
    }
}

/// Lines about what ended the work.
fn failure(text: impl Display) {
    say("ERROR", text);
}

fn say(level: &'static str, text: impl Display) {
    match STARTED.get() {
        Some(started) => started.say(level, text),
        // A test, or another program that calls this library.
        None => _ = writeln!(io::stderr(), "{text}"),
    }
}

/// How many lines nobody will read, since the process began.
#[must_use]
pub(crate) fn lost_lines() -> u64 {
    STARTED.get().map_or(0, |started| started.state.lost_ever.load(Ordering::Relaxed))
}

/// A second handle on standard error. The usual one has a lock, which a thread that is stuck in a
/// write would hold for ever, and whoever panics would wait for it.
fn standard_error() -> Box<dyn Write + Send> {
    #[cfg(unix)]
    if let Ok(owned) = std::os::fd::AsFd::as_fd(&io::stderr()).try_clone_to_owned() {
        return Box::new(File::from(owned));
    }
    Box::new(io::stderr())
}

/// A queue of lines and the thread that writes them.
#[derive(Clone)]
struct Diagnostics {
    pieces: Sender<Piece>,
    state: Arc<State>,
    format: LogFormat,
    /// Standard error is a terminal: lines for people are written at once, so that they do not fall
    /// into a progress bar that is drawn after them.
    terminal: bool,
}

enum Piece {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

#[derive(Default)]
struct State {
    queued: AtomicUsize,
    lost: AtomicU64,
    lost_ever: AtomicU64,
}

impl State {
    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.lost_ever.fetch_add(1, Ordering::Relaxed);
    }
}

impl Diagnostics {
    fn to(out: Box<dyn Write + Send>, format: LogFormat, terminal: bool) -> Self {
        let (pieces, receiver) = mpsc::channel();
        let state = Arc::new(State::default());
        let of_writer = Arc::clone(&state);
        let thread = std::thread::Builder::new().name("stderr".to_owned());
        // Without a thread nothing reads the queue: all lines count as lost, and work goes on.
        let _ = thread.spawn(move || write_lines(&receiver, out, &of_writer, format));
        Self { pieces, state, format, terminal }
    }

    fn say(&self, level: &str, text: impl Display) {
        let line = rendered(self.format, level, text);
        if self.terminal {
            _ = io::stderr().write_all(&line);
        } else {
            self.queue(line);
        }
    }

    fn queue(&self, line: Vec<u8>) {
        let bytes = line.len() + LINE_OVERHEAD;
        let before = self.state.queued.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > QUEUE_BYTES || self.pieces.send(Piece::Line(line)).is_err() {
            self.state.queued.fetch_sub(bytes, Ordering::Relaxed);
            self.state.lose();
        }
    }

    fn flush(&self, limit: Duration) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.pieces.send(Piece::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }
}

fn write_lines(pieces: &Receiver<Piece>, mut out: Box<dyn Write + Send>, state: &State, format: LogFormat) {
    for piece in pieces {
        match piece {
            Piece::Line(line) => {
                if out.write_all(&line).is_err() {
                    state.lose();
                } else {
                    tell_lost(&mut out, state, format);
                }
                state.queued.fetch_sub(line.len() + LINE_OVERHEAD, Ordering::Relaxed);
            }
            // Nobody waits any more if the time was over.
            Piece::Flush(done) => _ = done.try_send(()),
        }
    }
}

/// Says how many lines were left out, now that one could be written.
fn tell_lost(out: &mut impl Write, state: &State, format: LogFormat) {
    let lost = state.lost.swap(0, Ordering::Relaxed);
    if lost > 0 {
        let line =
            rendered(format, "WARN", format_args!("{lost} lines were left out here: standard error was not read, or its disk was full"));
        if out.write_all(&line).is_err() {
            state.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

/// A line for people as the log's format has it: whoever reads JSON gets nothing else.
fn rendered(format: LogFormat, level: &str, text: impl Display) -> Vec<u8> {
    match format {
        LogFormat::Text => format!("{text}\n").into_bytes(),
        LogFormat::Json => {
            let mut timestamp = String::new();
            // Writing to a string does not fail.
            let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
            let line = json!({ "timestamp": timestamp, "level": level, "fields": { "message": text.to_string() }, "target": "fusion" });
            format!("{line}\n").into_bytes()
        }
    }
}

/// One event of the log, which is queued as a whole.
#[derive(Debug)]
struct Event<'a> {
    line: Vec<u8>,
    of: &'a Diagnostics,
}

impl std::fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Diagnostics").finish_non_exhaustive()
    }
}

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.of.queue(std::mem::take(&mut self.line));
        }
    }
}

impl<'a> MakeWriter<'a> for Diagnostics {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event { line: Vec::new(), of: self }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};
    use std::time::Instant;

    use super::*;

    fn piped(format: LogFormat) -> (Diagnostics, PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        (Diagnostics::to(Box::new(writer), format, false), reader)
    }

    /// Reads lines until one of them has `last` in it.
    fn read_until(reader: &mut PipeReader, last: &str) -> String {
        let (mut text, mut buffer) = (String::new(), vec![0; 1 << 16]);
        while !text.contains(last) {
            let n = reader.read(&mut buffer).unwrap();
            text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        }
        text
    }

    /// A pipe that is not read holds 64 KiB. Far more is said, at once, and what was left out is
    /// told when somebody reads.
    #[test]
    fn a_pipe_that_nobody_reads_blocks_nothing() {
        let (diagnostics, mut reader) = piped(LogFormat::Text);
        let began = Instant::now();
        for line in 0..100_000 {
            diagnostics.say("INFO", format_args!("line {line}: {}", "x".repeat(80)));
        }
        diagnostics.flush(Duration::from_millis(10));
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let lost = diagnostics.state.lost_ever.load(Ordering::Relaxed);
        assert!((50_000..100_000).contains(&lost), "{lost}");
        let text = read_until(&mut reader, "were left out here");
        assert!(text.contains(&format!("{lost} lines were left out here")) && text.starts_with("line 0: "), "{lost}");
        // There is room again.
        diagnostics.say("INFO", "after");
        read_until(&mut reader, "after\n");
    }

    #[test]
    fn a_reader_that_is_gone_and_a_full_disk_are_counted() {
        let (diagnostics, reader) = piped(LogFormat::Text);
        drop(reader);
        for _ in 0..10 {
            diagnostics.say("INFO", "line");
        }
        diagnostics.flush(Duration::from_secs(10));
        assert_eq!(diagnostics.state.lost_ever.load(Ordering::Relaxed), 10);
        assert_eq!(diagnostics.state.queued.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn lines_for_people_are_json_where_the_log_is() {
        let (diagnostics, mut reader) = piped(LogFormat::Json);
        diagnostics.say("WARN", "a \"quoted\"\nline");
        let text = read_until(&mut reader, "\n");
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((&line["level"], &line["fields"]["message"]), (&json!("WARN"), &json!("a \"quoted\"\nline")));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z') && text.lines().count() == 1, "{text}");
    }
}
