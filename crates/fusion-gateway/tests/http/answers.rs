//! What becomes of an image: provisional, then verified, then forgotten.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use fusion_gateway::{GatewaySettings, Webhook};

use crate::common::{ADA, Api, digit, label, settings, started, wait, with_users};

#[test]
fn an_image_is_provisional_then_verified_then_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let kept = GatewaySettings { forget_after: None, ..settings(&home) };
    let gateway = started(kept.clone());
    let api = Api::of(&gateway, None);

    // Whoever listens hears of it.
    let heard = BufReader::new(ureq::get(format!("{}/v1/events", api.base)).call().unwrap().into_body().into_reader());
    let heard = std::thread::spawn(move || heard.lines().map_while(Result::ok).find(|line| line.contains("\"state\":\"verified\"")));

    let id = api.send(&digit(7), "digit-07.png");
    let image = api.wait_for(&id, |image| image["provisional"].is_object());
    assert_eq!((&image["state"], &image["verified"], &image["has_picture"]), (&"waiting".into(), &().into(), &true.into()));
    assert_eq!(api.header("GET", &format!("/v1/images/{id}/picture"), b"", "content-type").as_deref(), Some("image/png"));
    let status = api.get("/v1/status").1;
    assert_eq!((&status["user"], &status["waiting"], &status["batch"]), (&"local".into(), &1.into(), &100.into()));

    // The same image again, by somebody who did not hear the answer, is one image.
    let sent = |key| api.ask("POST", "/v1/images", &[("content-type", "image/png"), ("idempotency-key", key)], &digit(8)).1;
    assert_eq!(sent("k1")["id"], sent("k1")["id"]);
    let other = api.ask("POST", "/v1/images", &[("content-type", "image/png"), ("idempotency-key", "k1")], &digit(9));
    assert_eq!((other.0, &other.1["code"]), (409, &"key-reused".into()), "another image under its key is not taken for it");
    assert_eq!(api.get("/v1/images").1["images"].as_array().unwrap().len(), 2);

    assert_eq!(api.ask("POST", "/v1/batches", &[], b"").0, 202);
    let image = api.wait_for(&id, |image| image["state"] == "verified");
    assert_eq!((&image["verified"]["label"], &image["has_picture"]), (&label(7).into(), &false.into()), "bytes go with the verdict");
    assert!(image["provisional_differs"].is_boolean());
    assert!(heard.join().unwrap().is_some());

    let batch = image["batch"].as_str().unwrap().to_owned();
    let (status, report) = api.get(&format!("/v1/batches/{batch}"));
    assert_eq!((status, &report["batch"]["state"], &report["batch"]["images"]), (200, &"accepted".into(), &2.into()));
    assert_eq!(report["report"]["answers"].as_array().unwrap().len(), 0, "answers stand with their images");
    for said in ["in_words", "position_dependent", "function_dependent"] {
        assert!(report["report"]["guarantees"][said].is_string(), "{said}");
    }
    assert!(report["report"]["public"]["interval"]["low"].is_number() && report["report"]["bytes"]["by_phase"].is_object());
    let overhead = report["report"]["plan"]["overhead"].as_f64().unwrap();
    assert_eq!(report["batch"]["cost_per_image"].as_f64().unwrap(), overhead + 1.0, "B + T/R, and one");
    let journal = home.path().join("gateway/runs").join(&batch);
    assert!(journal.join("run.json").exists());

    // A restart changes nothing, and a short memory erases all of it.
    assert!(gateway.shutdown(Duration::from_secs(20)));
    let gateway = started(GatewaySettings { forget_after: Some(Duration::from_millis(1)), ..kept });
    let api = Api::of(&gateway, None);
    wait("images are forgotten", || api.get("/v1/images").1["images"].as_array().unwrap().is_empty());
    wait("the journal is erased", || !journal.exists());
    assert_eq!(api.get(&format!("/v1/batches/{batch}")).1["own_images"].as_array().unwrap().len(), 0);
}

#[test]
fn several_images_share_a_form_s_way_and_a_lane() {
    let home = tempfile::tempdir().unwrap();
    let gateway = started(with_users(&home));
    let api = Api::of(&gateway, Some(ADA));
    let mut ids = Vec::new();
    for number in 0..3 {
        let head = format!(
            "--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"../d-{number}.png\"\r\nContent-Type: image/png\r\n\r\n"
        );
        let form = [head.as_bytes(), &digit(number), b"\r\n--x--\r\n"].concat();
        let (status, image) = api.ask("POST", "/v1/images", &[("content-type", "multipart/form-data; boundary=x")], &form);
        assert_eq!((status, &image["name"]), (202, &format!("d-{number}.png").into()), "{image}");
        ids.push(image["id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        api.wait_for(id, |image| image["provisional"].is_object());
    }
    // Pages of a list.
    let (_, first) = api.get("/v1/images?limit=2&state=waiting");
    let rest = api.get(&format!("/v1/images?limit=2&before={}", first["next"].as_str().unwrap())).1;
    let listed: Vec<&str> =
        [&first, &rest].iter().flat_map(|page| page["images"].as_array().unwrap()).map(|i| i["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids.iter().rev().map(String::as_str).collect::<Vec<_>>());
    assert!(rest["next"].is_null());
    // Deleted before its batch.
    assert_eq!(api.ask("DELETE", &format!("/v1/images/{}", ids[0]), &[], b"").0, 204);
    assert_eq!(api.get(&format!("/v1/images/{}", ids[0])).0, 404);
}

#[test]
fn a_webhook_is_told_until_it_listens() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
    let hook = std::thread::spawn(move || {
        let mut told = Vec::new();
        for answer in ["500 No", "204 Yes"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                head += &std::mem::take(&mut line);
            }
            let length = head.to_lowercase().split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").unwrap();
            told.push((head.lines().next().unwrap().to_owned(), serde_json::from_slice::<serde_json::Value>(&body).unwrap()));
        }
        told
    });
    let webhook = Some(Webhook { url, ca: None });
    let gateway = started(GatewaySettings { webhook, batch: 1, ..settings(&home) });
    let api = Api::of(&gateway, None);
    let id = api.send(&digit(1), "one");
    let told = hook.join().unwrap();
    assert_eq!(told[0], told[1], "again, and the same");
    let (line, body) = &told[1];
    assert_eq!(line, "POST /hook?x=1 HTTP/1.1");
    assert_eq!(body["batch"]["state"], "accepted");
    assert_eq!((&body["images"][0]["id"], &body["images"][0]["label"]), (&id.into(), &label(1).into()));
}
