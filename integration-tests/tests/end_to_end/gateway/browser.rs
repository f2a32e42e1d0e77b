//! A headless Chromium, driven over WebDriver: a few calls of JSON over HTTP.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{PATIENCE, agent};
use crate::harness::workspace;

/// What an element is called in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Keys by their WebDriver code points.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

/// A browser with one window. Ends when dropped.
pub(crate) struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    /// Starts one. None, and a line says so, if Chromium or its driver is not installed.
    pub(crate) fn start() -> Option<Self> {
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = driver else {
            eprintln!("skipped: the page is not tested without chromedriver (Debian: chromium chromium-driver)");
            return None;
        };
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| Some(line.split("successfully on port ").nth(1)?.trim_end_matches('.').to_owned())).unwrap();
        // Its pipe must not fill.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --force-device-scale-factor=1 --hide-scrollbars";
        let mut arguments: Vec<&str> = profile.split(' ').collect();
        arguments.extend(["--window-size=1100,1300", "--no-first-run", "--disable-background-networking"]);
        let wanted = json!({ "capabilities": { "alwaysMatch": { "browserName": "chrome", "goog:chromeOptions": { "args": arguments } } } });
        let mut browser = Self { driver, session: format!("http://127.0.0.1:{port}") };
        let session = browser.call("POST", "/session", &wanted);
        let id = session["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {session}")).to_owned();
        browser.session += &format!("/session/{id}");
        Some(browser)
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let mut response = match method {
            "GET" => agent().get(url).call(),
            _ => agent().post(url).send_json(body),
        }
        .unwrap();
        let answer: Value = response.body_mut().with_config().limit(64 << 20).read_json().unwrap();
        assert!(response.status().is_success(), "{method} {path}: {answer}");
        answer["value"].clone()
    }

    pub(crate) fn goto(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    /// Runs the body of a function, and returns what it returns.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) {
        let holds = || self.run(&format!("return Boolean({expression})")) == true;
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "{expression}: waited in vain; the page says\n{}", self.text("body"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The text that a reader sees in an element.
    #[track_caller]
    pub(crate) fn text(&self, css: &str) -> String {
        self.call("GET", &format!("/element/{}/text", self.element(css)), &Value::Null).as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn element(&self, css: &str) -> String {
        let found = self.call("POST", "/element", &json!({ "using": "css selector", "value": css }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        self.call("POST", &format!("/element/{}/click", self.element(css)), &json!({}));
    }

    /// Types into an element; into one for files, their paths by lines.
    #[track_caller]
    pub(crate) fn enter(&self, css: &str, text: &str) {
        self.call("POST", &format!("/element/{}/value", self.element(css)), &json!({ "text": text }));
    }

    /// Presses a key, wherever the focus is.
    pub(crate) fn press(&self, key: &str) {
        let keys = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.call("POST", "/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] }));
    }

    /// A command of the browser's own protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.call("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Light or dark, as a user's system says.
    pub(crate) fn scheme(&self, name: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": name }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// The size of the window's content, pixels.
    pub(crate) fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Keeps what the window shows in `target/gateway-screens`.
    pub(crate) fn picture(&self, name: &str) {
        let png = BASE64_STANDARD.decode(self.call("GET", "/screenshot", &Value::Null).as_str().unwrap()).unwrap();
        let folder = workspace().join("target/gateway-screens");
        std::fs::create_dir_all(&folder).unwrap();
        write(&folder.join(format!("{name}.png")), &png);
    }
}

fn write(path: &Path, png: &[u8]) {
    assert!(png.len() < 200_000, "{}: {} bytes", path.display(), png.len());
    std::fs::write(path, png).unwrap();
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser, too; the driver alone would leave it behind.
        let _ = agent().delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
