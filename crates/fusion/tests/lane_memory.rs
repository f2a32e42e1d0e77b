//! What a lane is admitted with is what it takes: the estimate that a server limits its memory by,
//! against the memory of a process that serves.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use fusion::client::{Next, Told};
use fusion::images::{self, Sample};
use fusion::model::preprocess::Preprocess;
use fusion::{
    Client, ClientSettings, PackageSettings, QuantiseSettings, Server, ServerSettings, SystemClock, Widths, prepare, quantise_file, silent,
};
use fusion_nn::exec::{EncodedImage, server_lane_bytes};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Tells the child process of this test what to serve.
const PACKAGE: &str = "FUSION_TEST_LANE_MEMORY";

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist").join(name)
}

fn pool() -> Vec<Sample> {
    let text = std::fs::read_to_string(asset("pool.csv")).unwrap();
    images::sheet(&std::fs::read(asset("pool.png")).unwrap(), &text, 28, "pool").unwrap()
}

/// Not a test of its own: the server of the test below, in a process of its own.
#[test]
fn a_server_in_its_own_process() {
    let Some(package) = std::env::var_os(PACKAGE) else { return };
    let settings = ServerSettings::new(([127, 0, 0, 1], 0).into());
    let server = Server::serve(Path::new(&package), settings, ChaCha20Rng::seed_from_u64(2)).unwrap();
    println!("serving {}", server.local_addr());
    // Until the parent closes it.
    let _ = std::io::stdin().read_line(&mut String::new());
}

struct Process(Child);

impl Process {
    fn serve(package: &Path) -> (Self, String) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_server_in_its_own_process", "--nocapture"]).env(PACKAGE, package);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.map_while(Result::ok).find_map(|line| line.split_once("serving ").map(|(_, address)| address.to_owned()));
        (Self(child), address.unwrap())
    }

    /// A line of its status, in bytes.
    fn status(&self, key: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap() << 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_lane_takes_what_it_is_admitted_with() {
    let scratch = tempfile::tempdir().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let widths = Widths::Uniform { window: 13, weight_bits: 10, left_out: 1 };
    let settings = QuantiseSettings { widths, margin: 1.5, ..QuantiseSettings::new(Preprocess::mnist()) };
    let quantised = quantise_file(&asset("mnist.onnx"), &settings, &pool()[..16]).unwrap();
    let package = scratch.path().join("package");
    prepare(&package, quantised, PackageSettings::default(), &SystemClock::new(), &mut rng, &mut silent).unwrap();
    for samples in [32u32, 600] {
        // A process of its own each: what a lane gave back, the allocator may have kept.
        let (process, address) = Process::serve(&package);
        let client = Client::connect(ClientSettings::new(address, scratch.path().join("home"))).unwrap();
        let before = process.status("VmRSS");
        let blank = vec![0i64; 28 * 28];
        let image = |_: u32| Ok(Arc::new(EncodedImage::new(&client.card().program, &blank).unwrap()));
        let lanes = client.unverified_lanes(&image, &mut rng);
        let mut done = 0;
        let whole = 0..samples;
        lanes.run_all(vec![whole], 1, &mut |told| {
            match told {
                Told::Done(_) => done += 1,
                Told::Failed(failed) => panic!("{}", failed.error),
                Told::GivenUp(why) => panic!("{why}"),
                Told::Progress(_) | Told::Waiting { .. } => {}
            }
            Next::Go
        });
        assert_eq!(done, 1);
        let took = process.status("VmHWM") - before;
        // The channel's buffers, which a server counts beside it, are in what was measured.
        let estimate = server_lane_bytes(&client.card().program, samples as usize, client.terms());
        println!("{samples} samples took {} MiB of {} MiB", took >> 20, estimate >> 20);
        assert!(took <= estimate + (16 << 20) && estimate <= 3 * took, "{samples} samples: took {took} bytes, estimate {estimate}");
    }
}
