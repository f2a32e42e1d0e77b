//! Everything is killed once, and every digit has one verified answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Gateway, digits, get, send, wait};
use crate::harness::User;

const IMAGES: usize = 200;
const CLIENTS: usize = 20;
/// One copy and few public samples: this is about what survives, not about what is proved.
const MIX: &str = "--copies 1 --public 16 --tau 4 --max-inconclusive 0 --lanes 2 --lane-samples 24 --batch 100 --every 1h";

/// Whether a batch has finished lanes while others are to come.
fn is_under_way(user: &User) -> bool {
    let runs = std::fs::read_dir(user.path("home/gateway/runs")).into_iter().flatten().flatten();
    runs.into_iter().any(|run| std::fs::metadata(run.path().join("answers.jsonl")).is_ok_and(|file| file.len() > 0))
}

#[test]
fn two_hundred_digits_survive_a_killed_gateway_and_a_killed_server() {
    let user = User::new();
    user.prepare("p");
    let mut server = user.serve("p", "");
    let first = Gateway::start(&user, &server.address, MIX).connected();
    let digits = digits(IMAGES);
    let (taken, ids) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let address = first.address.clone();
    let gateway = std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (digits, taken, ids, address) = (&digits, &taken, &ids, &address);
            scope.spawn(move || {
                for number in (client..IMAGES).step_by(CLIENTS) {
                    let name = format!("digit-{number:03}.png");
                    // Whoever hears nothing sends it again.
                    let mut image = None;
                    wait(&name, || {
                        image = send(address, &name, &digits[number].0);
                        image.is_some()
                    });
                    let id = image.unwrap()["id"].as_str().unwrap().to_owned();
                    assert!(ids.lock().unwrap().insert(name, id).is_none());
                    taken.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait("a good part is taken in", || taken.load(Ordering::Relaxed) >= IMAGES / 3);
        let address = first.kill();
        Gateway::start_at(&user, &server.address, &address, MIX)
    });
    wait("a batch is under way", || is_under_way(&user));
    let address = server.kill();
    server = user.serve_at("p", &address, "");
    // The rest does not fill a batch.
    wait("all are verified", || {
        let open = get(&gateway.address, "/v1/images?state=waiting").is_some_and(|found| found["images"][0].is_object());
        if open && gateway.get("/v1/status")["running"].is_null() {
            gateway.post("/v1/batches");
        }
        gateway.images().iter().filter(|image| image["state"] == "verified").count() == IMAGES
    });
    drop(server);

    let (images, ids) = (gateway.images(), ids.into_inner().unwrap());
    assert_eq!((images.len(), ids.len()), (IMAGES, IMAGES));
    let mut right = 0;
    for image in &images {
        let name = image["name"].as_str().unwrap();
        assert_eq!(ids[name], image["id"], "an answer that was given stays");
        let number: usize = name["digit-".len()..][..3].parse().unwrap();
        right += usize::from(image["verified"]["label"] == digits[number].1);
        assert_eq!(image["has_picture"], false);
    }
    assert!(right >= IMAGES * 95 / 100, "{right} right of {IMAGES}");
    let batches = gateway.get("/v1/batches");
    let batches = batches.as_array().unwrap();
    assert!(batches.iter().all(|batch| batch["state"] == "accepted"), "{batches:#?}");
    assert_eq!(batches.iter().map(|batch| batch["images"].as_u64().unwrap()).sum::<u64>(), IMAGES as u64, "each once");
    let names: BTreeSet<_> = images.iter().map(|image| image["batch"].as_str().unwrap()).collect();
    assert_eq!(names.len(), batches.len());
}

/// How long a provisional label takes: `cargo test --release -p integration-tests --test end_to_end
/// -- --ignored --nocapture provisional_labels_take`.
#[test]
#[ignore = "a measurement"]
fn provisional_labels_take() {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let gateway = Gateway::start(&user, &server.address, &MIX.replace("--batch 100", "--batch 1000")).connected();
    let digits = digits(IMAGES);
    let timed = |number: usize| {
        let began = Instant::now();
        let id = send(&gateway.address, &format!("{number}"), &digits[number % IMAGES].0).unwrap()["id"].as_str().unwrap().to_owned();
        while gateway.get(&format!("/v1/images/{id}"))["provisional"].is_null() {
            std::thread::sleep(Duration::from_millis(5));
        }
        began.elapsed()
    };
    let report = |what: &str, mut times: Vec<Duration>| {
        times.sort_unstable();
        println!("{what}: median {:.0?}, 95% {:.0?} of {}", times[times.len() / 2], times[times.len() * 95 / 100], times.len());
    };
    report("one at a time", (0..60).map(timed).collect());
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (all, timed) = (&all, &timed);
            scope.spawn(move || (0..IMAGES / CLIENTS).for_each(|at| all.lock().unwrap().push(timed(1000 + client * 100 + at))));
        }
    });
    report("twenty clients, each one after the other", all.into_inner().unwrap());
}
