//! The page in a real browser. Without one the tests say so and pass; `.ci/run` installs one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::browser::{Browser, ENTER, TAB};
use super::{Gateway, wait};
use crate::harness::{Serving, User, asset};

const MIX: &str = "--copies 2 --public 30 --tau 4 --max-inconclusive 2 --lanes 2 --every 1h";
/// A name that would do something if it were ever taken for markup.
const HOSTILE: &str = "<img src=x onerror=document.title='caught'>.png";

/// Digits of the demo in the user's directory, the last one under a hostile name.
fn files(user: &User, count: usize) -> String {
    let names = (0..count).map(|number| if number + 1 == count { HOSTILE.to_owned() } else { format!("digit-{number:02}.png") });
    let paths = names.enumerate().map(|(number, name)| {
        let path = user.path(&name);
        std::fs::copy(asset(&format!("queries/digit-{number:02}.png")), &path).unwrap();
        path.display().to_string()
    });
    paths.collect::<Vec<_>>().join("\n")
}

/// A served model, a gateway before it, and a browser that shows its page.
fn shown(serve: &str, more: &str) -> Option<(User, Serving, Gateway, Browser)> {
    let browser = Browser::start()?;
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", serve);
    let gateway = Gateway::start(&user, &server.address, &format!("{MIX} {more}")).connected();
    browser.goto(&gateway.url("/"));
    browser.until("document.getElementById('server').textContent.startsWith('Connected')");
    Some((user, server, gateway, browser))
}

fn count(browser: &Browser, css: &str) -> u64 {
    browser.run(&format!("return document.querySelectorAll({css:?}).length")).as_u64().unwrap()
}

/// Every text on its ground, as far as one colour lies under it: at least 4.5 to 1.
const CONTRAST: &str = "
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
    const light = ([r, g, b]) => { const f = [r, g, b].map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
    const ground = (node) => { for (; node; node = node.parentElement) { const c = rgba(getComputedStyle(node).backgroundColor); if (c[3] > 0) return c; } return rgba('white'); };
    const bad = [];
    for (const node of document.querySelectorAll('body *')) {
      const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
      if (!own || !node.checkVisibility() || node.disabled || node.closest('.unseen, .skip')) continue;
      const svg = node.namespaceURI.endsWith('svg');
      const [a, b] = [light(rgba(svg ? getComputedStyle(node).fill : getComputedStyle(node).color)), light(ground(node))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) bad.push(`${node.tagName} ${node.className} ${ratio.toFixed(2)}: ${node.textContent.slice(0, 40)}`);
    }
    return bad;";

/// Names for those who do not see: every control, every picture with a meaning, every part.
const UNNAMED: &str = "
    const named = (node) => (node.getAttribute('aria-label') ?? document.getElementById(node.getAttribute('aria-labelledby'))?.textContent ?? node.labels?.[0]?.textContent ?? node.textContent).trim();
    const bad = [...document.querySelectorAll('button, input, a, section, svg[role=img], table.history caption')].filter((node) => !named(node)).map((node) => node.outerHTML.slice(0, 99));
    for (const image of document.images) if (!image.hasAttribute('alt')) bad.push(image.src);
    for (const wanted of ['main', 'header', 'footer', 'h1', '[aria-live]', 'html[lang]']) if (!document.querySelector(wanted)) bad.push(wanted);
    const ids = [...document.querySelectorAll('[id]')].map((node) => node.id);
    bad.push(...ids.filter((id, at) => ids.indexOf(id) !== at));
    return bad;";

#[test]
fn images_are_dropped_in_shown_as_provisional_and_verified() {
    let Some((user, server, gateway, browser)) = shown("", "--batch 6") else { return };
    browser.enter("#files", &files(&user, 5));
    browser.until("document.querySelectorAll('.image.provisional').length === 5 && [...document.querySelectorAll('.image .label')].every((label) => label.textContent !== '…')");
    assert!(browser.text(".image .tag").contains("Provisional: not verified"));
    assert!(browser.text("#fill").contains("5 of the 6"));
    assert!(browser.text("#countdown").contains("at the latest"));
    // The hostile name is text.
    assert!(browser.text("#images").contains(HOSTILE.rsplit('/').next().unwrap()), "{}", browser.text("#images"));
    assert_eq!(browser.run("return document.title"), "Fusion gateway");
    // Thumbnails are made here, from the files that were chosen.
    browser.until("[...document.querySelectorAll('.frame img')].filter((image) => image.complete && image.naturalWidth > 0).length === 5");

    browser.click("#verify");
    browser.until("document.querySelectorAll('.image.verified').length === 5");
    browser.until("document.querySelector('.verdict.accepted')");
    let report = browser.text("#report");
    for said in [
        "Accepted",
        "What that guarantees",
        "Against cheating on some samples",
        "About the model as a whole",
        "Accuracy",
        "Bytes by phase",
        "and one for its provisional answer",
    ] {
        assert!(report.contains(said), "no {said:?} in {report}");
    }
    assert!(count(&browser, "#report svg[role=img]") > 3, "the interval and the bars");
    assert!(browser.text("#history").contains("Accepted"));
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        assert_eq!(browser.run(CONTRAST), Value::Array(Vec::new()), "{scheme}");
        browser.size(1000, 1450);
        browser.run("scrollTo(0, 0)");
        browser.picture(scheme);
    }
    browser.scheme("light");
    assert_eq!(browser.run(UNNAMED), Value::Array(Vec::new()));
    // On a telephone nothing is wider than the window, but what scrolls by itself.
    browser.size(375, 800);
    assert_eq!(browser.run("return document.documentElement.scrollWidth <= 375"), true);
    browser.picture("narrow");
    browser.size(1100, 1300);

    // The gateway goes, and comes back: the page says so, and shows the same.
    let address = gateway.kill();
    browser.until("document.getElementById('server').textContent.includes('does not answer')");
    let _gateway = Gateway::start_at(&user, &server.address, &address, &format!("{MIX} --batch 6"));
    browser.until("document.getElementById('server').textContent.startsWith('Connected')");
    assert_eq!(count(&browser, ".image.verified"), 5);
    // A page that is loaded anew has the answers; pictures are gone with the bytes.
    browser.run("location.reload()");
    browser.until("document.querySelectorAll('.image.verified').length === 5");
}

#[test]
fn a_rejected_server_is_an_alarm_with_evidence() {
    let Some((user, _server, gateway, browser)) = shown("--cheat samples=0.3", "--batch 8") else { return };
    browser.enter("#files", &files(&user, 8));
    browser.until("!document.getElementById('alarm').hidden && document.querySelectorAll('.image.rejected').length === 8");
    assert!(browser.text("#alarm").contains("batch was rejected"));
    assert!(browser.text("#images").contains("No answer"), "labels are withheld");
    browser.click("#show-evidence");
    browser.until("document.querySelector('.verdict.rejected')");
    let report = browser.text("#report");
    for said in ["Rejected: the server did not pass", "Evidence", "were answered wrongly; at most 4 are tolerated", "withheld"] {
        assert!(report.contains(said), "no {said:?} in {report}");
    }
    browser.click("#report details:has(.evidence) summary");
    browser.until("document.querySelectorAll('.evidence tbody tr').length > 4 && document.querySelector('.evidence').checkVisibility()");
    assert_eq!(browser.run("return document.getElementById('verify').disabled"), true);
    assert_eq!(browser.run(CONTRAST), Value::Array(Vec::new()));
    browser.size(1000, 1450);
    browser.run("scrollTo(0, 0)");
    browser.picture("rejected");
    browser.click("#acknowledge");
    browser.until("document.getElementById('alarm').hidden");
    wait("it is acknowledged", || gateway.get("/healthz")["status"] == "ok");
}

#[test]
fn a_token_and_a_keyboard_are_enough() {
    let Some(browser) = Browser::start() else { return };
    let user = User::new();
    user.prepare("p");
    let server = user.serve("p", "");
    let users = user.path("users");
    std::fs::write(&users, "ada ada-has-a-long-token\n").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&users, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let gateway = Gateway::start(&user, &server.address, &format!("{MIX} --batch 9 --users {{users}}")).connected();
    browser.goto(&gateway.url("/"));
    let focused = || browser.run("return document.activeElement.id || document.activeElement.textContent.trim()");
    browser.until("document.activeElement.id === 'token'");
    for key in "not-a-token-of-anybody".chars().map(String::from).chain([ENTER.to_owned()]) {
        browser.press(&key);
    }
    browser.until("document.getElementById('token-error').textContent.includes('not known')");
    for key in "ada-has-a-long-token".chars().map(String::from).chain([ENTER.to_owned()]) {
        browser.press(&key);
    }
    browser.until("!document.getElementById('signed-in').hidden");
    assert_eq!(browser.run("return sessionStorage.length + localStorage.length + document.cookie.length"), 1, "in this tab alone");

    browser.enter("#files", &files(&user, 2));
    browser.until("document.querySelectorAll('.image.provisional').length === 2");
    browser.run("document.getElementById('main').focus()");
    // Every control is reached by Tab, in reading order, and is seen to have the focus.
    let mut reached = Vec::new();
    for _ in 0..12 {
        browser.press(TAB);
        let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle");
        let id = focused();
        if id.as_str().is_none_or(str::is_empty) || reached.contains(&id) {
            break;
        }
        assert!(outline != "none" || id == "files", "{id} does not show that it has the focus");
        reached.push(id);
    }
    let names: BTreeSet<&str> = reached.iter().filter_map(Value::as_str).collect();
    for wanted in ["files", "verify", "Delete"] {
        assert!(names.contains(wanted), "{wanted} is not reached: {names:?}");
    }
    while focused() != "verify" {
        browser.press(TAB);
    }
    browser.press(ENTER);
    browser.until("document.querySelectorAll('.image.verified').length === 2");
    browser.until("document.querySelector('#history button')");
    browser.run("document.getElementById('verify').focus(); document.querySelector('#history button').focus()");
    browser.press(ENTER);
    browser.until("document.activeElement.id === 'report'");
    assert!(browser.run("return document.getElementById('spoken').textContent").as_str().unwrap().len() > 5, "what happens is said");
}
