//! The report of a batch as a page, opened by a real browser as a person would. Without a browser
//! the test says so and passes; `.ci/run` installs one.

use crate::gateway::browser::Browser;
use crate::harness::User;

#[test]
fn a_report_is_a_page_of_its_own() {
    let Some(browser) = Browser::start() else { return };
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let digits: Vec<String> = (0..6).map(|digit| format!("<queries/digit-{digit:02}.png>")).collect();
    let query = format!("query {} --server {} --public-mnist --detect-below 0.8", digits.join(" "), server.address);
    user.run(&format!("{query} --html {{report.html}}")).expect(0);
    drop(server);
    browser.size(1000, 1300);
    browser.scheme("light");
    browser.goto(&format!("file://{}", user.path("report.html").display()));
    browser.until("document.readyState === 'complete'");
    let text = browser.text("body");
    for part in ["accepted", "2^-40", "digit-05.png"] {
        assert!(text.to_lowercase().contains(part), "no {part:?} in {text}");
    }
    // Everything is in the file: nothing was asked of anybody, and every picture is there.
    let loaded =
        "return performance.getEntriesByType('resource').filter((entry) => !entry.name.startsWith('data:')).map((entry) => entry.name)";
    assert_eq!(browser.run(loaded).as_array().unwrap().len(), 0);
    let pictures = browser.run("return [...document.images].map((image) => image.complete && image.naturalWidth > 0)");
    assert!(pictures.as_array().unwrap().len() >= 6 && pictures.as_array().unwrap().iter().all(|there| there == true), "{pictures}");
    browser.picture("report");
}
