//! Servers that go away and come back, or have no room: as long as patience lasts, clients end by
//! themselves, and no failure is held against anybody.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::{Running, User, labels, true_labels};

/// Four digits, six lanes of four samples one after the other: time for a server to go away in. None
/// of them may fail.
const RUN: &str = "query <queries/digit-00.png> <queries/digit-01.png> <queries/digit-02.png> <queries/digit-03.png> --public-mnist \
                   --copies 3 --public 12 --tau 3 --max-inconclusive 1 --allow-unsound --lanes 2 --lane-samples 4 --max-failures 0";

/// Waits until so many lanes of a run are done.
fn wait_for_lanes(user: &User, run: &str, lanes: usize, client: &mut Running) {
    let began = Instant::now();
    while user.journal(run).len() < lanes && client.is_running() {
        assert!(began.elapsed() < Duration::from_secs(120), "no lane gets done");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Before, 2 of 9 runs survived this.
#[test]
fn a_server_that_restarts_again_and_again_costs_a_run_nothing_but_time() {
    let user = User::new();
    user.prepare("mnist.fusion");
    let mut server = user.serve("mnist.fusion", "");
    let mut client = user.start(&format!("{RUN} --server {} --out {{run}} --json {{run.json}}", server.address));
    let mut restarts = 0;
    for (lanes, down) in [(1, 500), (2, 500), (4, 1500)] {
        wait_for_lanes(&user, "run", lanes, &mut client);
        restarts += usize::from(client.is_running());
        let address = server.kill();
        std::thread::sleep(Duration::from_millis(down));
        server = user.serve_at("mnist.fusion", &address, "");
    }
    let ended = client.end().expect(0);
    assert!(restarts >= 2, "the client ended too soon to be disturbed");
    assert!(ended.stderr.contains("Waiting:") && ended.stderr.contains("trying again for up to 4m"), "{}", ended.stderr);
    assert!(ended.stderr.contains("fusion query --resume"), "{}", ended.stderr);
    let outcome = user.json("run.json");
    assert_eq!((&outcome["verdict"], labels(&outcome)), (&"accepted".into(), true_labels()[..4].to_vec()));
    assert_eq!(outcome["evidence"]["failed_lane_runs"], 0);
    assert!(outcome["seconds"]["waited_for_server"].as_f64().unwrap() > 0.5, "{}", outcome["seconds"]);
    assert_eq!(fs::metadata(user.path("run/failures")).unwrap().len(), 0);
}

#[test]
fn patience_ends_with_a_run_that_can_be_resumed_from_another_home() {
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    let mut client = user.start(&format!("{RUN} --server {} --out {{run}} --patience 1s", server.address));
    user.wait_for_first_lane("run", &mut client);
    let address = server.kill();
    client.end().expect_error(&["positions are answered", "it can be resumed", "was not to be reached", "fusion query --resume"]);
    let before = user.journal("run");
    let _server = user.serve_at("mnist.fusion", &address, "");
    // What clients remember is gone, too: a run needs nothing of it.
    fs::rename(user.path("home"), user.path("elsewhere")).unwrap();
    user.run(&format!("query --resume {{run}} --server {address} --json {{run.json}}")).expect(0);
    assert_eq!(user.journal("run")[..before.len()], before, "finished lanes are kept");
    assert_eq!(labels(&user.json("run.json")), true_labels()[..4]);
}

#[test]
fn a_client_that_comes_before_its_server_waits_for_it() {
    let user = User::new();
    user.prepare("mnist.fusion");
    let address = user.serve("mnist.fusion", "").kill();
    let client = user.start(&format!("{RUN} --server {address} --out {{run}} --patience 2m"));
    std::thread::sleep(Duration::from_secs(4));
    let _server = user.serve_at("mnist.fusion", &address, "");
    let ended = client.end().expect(0);
    assert!(ended.stderr.contains("Waiting:  no Fusion server answers"), "{}", ended.stderr);
}

/// Before, 6 of 8 gave up.
#[test]
fn eight_clients_at_once_are_all_served_and_all_are_counted() {
    const CLIENTS: usize = 8;
    let user = User::new();
    user.prepare("mnist.fusion");
    let server = user.serve("mnist.fusion", "");
    let began = Instant::now();
    let query = |client: usize| {
        let line = "query <queries> --public-mnist --copies 3 --public 12 --tau 3 --max-inconclusive 2 --allow-unsound --max-failures 0";
        user.start(&format!("{line} --server {} --out {{run{client}}} --json {{{client}.json}}", server.address))
    };
    let clients: Vec<Running> = (0..CLIENTS).map(query).collect();
    let seconds: Vec<f64> = std::thread::scope(|scope| {
        let wait = |client: Running| {
            client.end().expect(0);
            began.elapsed().as_secs_f64()
        };
        let all: Vec<_> = clients.into_iter().map(|client| scope.spawn(move || wait(client))).collect();
        all.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for client in 0..CLIENTS {
        let outcome = user.json(&format!("{client}.json"));
        assert_eq!((&outcome["verdict"], &outcome["evidence"]["failed_lane_runs"]), (&"accepted".into(), &0.into()));
    }
    let (least, most) = seconds.iter().fold((f64::MAX, 0f64), |(least, most), &s| (least.min(s), most.max(s)));
    println!("eight clients: {seconds:.1?} s, the slowest {:.2} times the fastest", most / least);
    assert!(most / least <= 1.5, "the slowest took {most:.1} s, the fastest {least:.1} s");
    // What they wrote down together is all there. Before, 18 of 45 batches were lost.
    user.run("audit --json {audit.json}").expect(0);
    let audit = user.json("audit.json");
    assert_eq!(audit["models"][0]["batches"], CLIENTS, "{audit:#}");
}
