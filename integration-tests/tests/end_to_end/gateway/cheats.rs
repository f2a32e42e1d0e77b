//! A server that tampers with samples of its choice: its batch is rejected, and it is asked nothing
//! more.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Gateway, digits, send, wait};
use crate::harness::User;

/// Passes connections on to a server, new ones only while `open`.
fn gate(server: String, open: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&server) else { return };
            if !open.load(Ordering::Relaxed) {
                continue;
            }
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                });
            }
        }
    });
    address
}

/// A server that holds up a provisional lane until its batch was rejected, and only then answers.
#[test]
fn a_lane_that_was_held_up_until_the_rejection_is_not_believed() {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "--cheat samples=0.5");
    let open = Arc::new(AtomicBool::new(true));
    let gate = gate(server.address.clone(), Arc::clone(&open));
    let mix = "--copies 2 --public 30 --tau 2 --max-inconclusive 1 --lanes 1 --every 1h --batch 20";
    let gateway = Gateway::start(&user, &gate, mix).connected();
    for (number, (png, _)) in digits(20).iter().enumerate() {
        send(&gateway.address, &format!("{number}.png"), png).unwrap();
    }
    let lanes = || gateway.get("/v1/status")["progress"]["lanes"].as_u64().unwrap_or(0);
    wait("the batch runs", || lanes() > 0);
    open.store(false, Ordering::Relaxed);
    let late = send(&gateway.address, "late.png", &digits(1)[0].0).unwrap()["id"].as_str().unwrap().to_owned();
    wait("the batch is rejected", || gateway.get("/healthz")["status"] == "held");
    open.store(true, Ordering::Relaxed);
    // Longer than the wait between two tries of a lane.
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(gateway.get(&format!("/v1/images/{late}"))["provisional"], serde_json::Value::Null);
}

fn is_caught(images: usize) {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "--cheat samples=0.3");
    let mix = "--copies 2 --public 30 --tau 2 --max-inconclusive 1 --lanes 2 --every 1h";
    let gateway = Gateway::start(&user, &server.address, &format!("{mix} --batch {images}")).connected();
    for (number, (png, _)) in digits(images).iter().enumerate() {
        send(&gateway.address, &format!("{number}.png"), png).unwrap();
    }
    wait("the batch ends", || gateway.get("/healthz")["status"] == "held");
    let all = gateway.images();
    assert_eq!(all.len(), images);
    for image in &all {
        assert_eq!((&image["state"], &image["verified"]), (&"rejected".into(), &().into()), "no answer is given: {image}");
    }
    let batch = gateway.get("/v1/batches")[0].clone();
    assert_eq!((&batch["state"], &batch["images"]), (&"rejected".into(), &images.into()));
    let id = batch["id"].as_str().unwrap();
    let report = gateway.get(&format!("/v1/batches/{id}"));
    assert!(report["report"]["guarantees"].is_null(), "nothing is guaranteed");
    assert!(report["report"]["evidence"]["wrong_publics"].as_array().unwrap().len() > 2, "{}", report["report"]["evidence"]);

    // Images that come now wait, and nothing is asked for them.
    let late = send(&gateway.address, "late.png", &digits(1)[0].0).unwrap()["id"].as_str().unwrap().to_owned();
    std::thread::sleep(Duration::from_secs(3));
    let late = || gateway.get(&format!("/v1/images/{late}"));
    assert_eq!((&late()["state"], &late()["provisional"]), (&"waiting".into(), &().into()));
    assert_eq!(gateway.post("/v1/batches"), 409);
    assert_eq!(gateway.post(&format!("/v1/batches/{id}/acknowledge")), 204);
    wait("the server is asked again", || late()["provisional"].is_object());
}

#[test]
fn a_tampering_server_is_caught_and_asked_nothing_more() {
    is_caught(30);
}

#[test]
#[ignore = "takes minutes in a build for tests"]
fn two_hundred_images_of_a_tampering_server_are_marked() {
    is_caught(200);
}
