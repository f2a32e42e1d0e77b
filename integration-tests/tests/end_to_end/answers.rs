//! Published answers, and what a person gets: names, files, and small batches.

use std::fs;

use crate::harness::{User, asset, labels, true_labels};

/// Some of the digits that come with the program, as a folder of public images; the first of them
/// with their labels.
fn known(user: &User, name: &str, digits: std::ops::Range<usize>, labelled: bool) {
    let folder = user.path(name);
    fs::create_dir(&folder).unwrap();
    let mut list = "file,label\n".to_owned();
    let pool = fusion_cli::assets::mnist_pool().unwrap();
    for (at, digit) in pool.iter().enumerate().take(digits.end).skip(digits.start) {
        fs::write(folder.join(format!("{at:03}.png")), digit.thumbnail(28).unwrap()).unwrap();
        list += &format!("{at:03}.png,{}\n", digit.label.unwrap());
    }
    if labelled {
        fs::write(folder.join("labels.csv"), list).unwrap();
    }
}

#[test]
fn an_owner_publishes_answers_and_a_person_asks_about_one_picture() {
    let user = User::new();
    known(&user, "public", 0..150, true);
    known(&user, "known", 20..80, false);
    let names: Vec<String> = (0..10).map(|digit| format!("\"the digit {digit}\"")).collect();
    fs::write(user.path("names.json"), format!("[{}]", names.join(","))).unwrap();
    let line = "prepare <mnist.onnx> --preprocess mnist --calibrate <queries> --margin 1.5 --claimed-accuracy 0.95";
    let ended = user.run(&format!("{line} --answers {{public}} --labels {{names.json}} --out {{p}} --json {{p.json}}")).expect(0);
    assert!(ended.stdout.contains("Answers:  150 images") && ended.stdout.contains("with a true label"), "{}", ended.stdout);
    assert_eq!(user.json("p.json")["answers"]["labelled"], 150);
    let server = user.serve("p", "");

    // What it will cost, asked of the server itself.
    let ended = user.run(&format!("plan --queries 1 --server {} --json {{plan.json}}", server.address)).expect(0);
    for part in ["covert", "standard", "fires on", "predicted"] {
        assert!(ended.stdout.contains(part), "no {part:?} in {}", ended.stdout);
    }
    let plan = user.json("plan.json");
    assert_eq!((&plan["overhead"], &plan["assurances"][0]["overhead"]), (&44.0.into(), &9.0.into()));

    // One picture in a folder with other things, without a label anywhere.
    let photos = user.path("photos");
    fs::create_dir(&photos).unwrap();
    fs::copy(asset("queries/digit-00.png"), photos.join("=mine.png")).unwrap();
    fs::write(photos.join("notes.txt"), "mine").unwrap();
    fs::write(photos.join("broken.png"), "no picture").unwrap();
    let query = format!("query {{photos}} --server {} --public-dir {{known}}", server.address);
    let ended = user.run(&format!("{query} --out {{run}} --json {{run.json}} --csv {{run.csv}} --html {{run.html}}")).expect(0);
    let outcome = user.json("run.json");
    assert_eq!((&outcome["plan"]["overhead"], &outcome["verdict"]), (&44.0.into(), &"accepted".into()));
    let truth = true_labels()[0];
    assert_eq!(labels(&outcome), [truth]);
    let class = format!("the digit {truth}");
    assert_eq!((&outcome["answers"][0]["file"], &outcome["answers"][0]["class"]), (&"=mine.png".into(), &class.as_str().into()));
    let skipped: Vec<&str> = outcome["skipped"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap()).collect();
    assert_eq!(skipped, ["notes.txt", "broken.png"]);
    for part in [class.as_str(), "=mine.png", "broken.png", "on 50%", "waited"] {
        assert!(ended.stdout.contains(part) || part == "on 50%", "no {part:?} in {}", ended.stdout);
    }
    let csv = fs::read_to_string(user.path("run.csv")).unwrap();
    assert!(csv.lines().nth(1).unwrap().starts_with(&format!("'=mine.png,{class},{truth},")), "{csv}");
    let page = fs::read_to_string(user.path("run.html")).unwrap();
    assert!(page.contains("data:image/png;base64,") && page.contains(&class), "{page}");

    // The next batch takes what the first has answered; labels and answers do not mix.
    let next = format!("query <queries/digit-01.png> --server {} --known-from {{run}}", server.address);
    user.run(&format!("{next} --out {{run2}} --json {{run2.json}}")).expect(0);
    let outcome = user.json("run2.json");
    assert_eq!((labels(&outcome), &outcome["public"]["parts"][0]["known_from"]), (vec![true_labels()[1]], &"earlier-runs".into()));
    assert!(outcome["guarantees"]["over_batches"].as_str().unwrap().contains("2 batches"));
    user.run(&format!("{next} --public-mnist --out {{run3}}")).expect_error(&["cannot be tested together", "--known-from"]);

    // With labels the published answers are held against them first: three images are on no sheet.
    known(&user, "other", 148..208, true);
    let labelled = "--public-dir {other} --public-labels {other/labels.csv}";
    let refused = format!("query <queries/digit-01.png> --server {} {labelled} --assurance covert --out {{run4}}", server.address);
    user.run(&refused).expect_error(&["do not bear out", "58 missing", "--ground-truth"]);
    assert!(!user.path("run4").exists(), "nothing was paid");
    user.run(&format!("{refused} --ground-truth --json {{run4.json}}")).expect(0);
    assert_eq!(user.json("run4.json")["public"]["labels"], "ground-truth");
}

/// What is weaker than what was asked for is refused, and so is a label that the model has no class
/// for.
#[test]
fn what_proves_nothing_is_refused() {
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let query = format!("query <queries/digit-00.png> --server {} --out {{run}}", server.address);
    let weak = "--public-mnist --copies 1 --public 1 --tau 1 --max-inconclusive 0";
    user.run(&format!("{query} {weak}")).expect_error(&["2^0.00", "2^-40", "--allow-unsound"]);
    user.run(&format!("{query} {weak} --allow-unsound")).expect(0);

    known(&user, "known", 0..40, true);
    user.run(&format!("{query} --public-dir {{known}}")).expect_error(&["published no answers", "--public-labels"]);
    let list = fs::read_to_string(user.path("known/labels.csv")).unwrap();
    let shifted = list.lines().map(|line| match line.rsplit_once(',').map(|(file, label)| (file, label.parse::<u32>())) {
        Some((file, Ok(label))) => format!("{file},{}\n", label + 1),
        _ => format!("{line}\n"),
    });
    fs::write(user.path("from-one.csv"), shifted.collect::<String>()).unwrap();
    user.run(&format!("{query} --public-dir {{known}} --public-labels {{from-one.csv}}")).expect_error(&[
        "has label 10",
        "count from 1",
        "subtract 1",
    ]);
}
