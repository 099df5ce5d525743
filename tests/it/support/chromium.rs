//! A real browser: chromedriver, spoken to in plain WebDriver. A few requests are all it takes, so no crate is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ChildStdin;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::process::start_helper;
use super::{PATIENCE, TestApp, eventually};

/// One window of a browser of its own.
pub struct Browser {
    client: reqwest::Client,
    /// `127.0.0.1:PORT` of chromedriver.
    driver: &'static str,
    session: String,
}

impl Browser {
    /// Opens a page of the program.
    pub async fn open(app: &TestApp, path: &str) -> Self {
        let driver = driver();
        let mut options =
            json!({ "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] });
        if let Some(program) = std::env::var("CHROMIUM").ok().filter(|program| !program.is_empty()) {
            options["binary"] = program.into();
        }
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let mut browser = Self { client: reqwest::Client::new(), driver, session: String::new() };
        let made = browser.post("", json!({ "capabilities": { "alwaysMatch": wanted } })).await;
        browser.session = format!("/{}", made["sessionId"].as_str().expect("a session has an id"));
        browser.go(&app.url(path)).await;
        browser
    }

    pub async fn go(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    /// Runs a script in the page and returns what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until the expression is neither null nor false, and returns its value.
    pub async fn until(&self, what: &str, expression: &str) -> Value {
        let script = format!("return {expression}");
        let look = async || Some(self.run(&script).await).filter(|value| !value.is_null() && *value != json!(false));
        eventually(what, look).await
    }

    /// Lets the page's clock run ahead: timers, animations and `Date` pass this time at once.
    pub async fn pass(&self, time: Duration) {
        let params = json!({ "policy": "advance", "budget": time.as_millis() as u64 });
        let started = self.run("return Date.now()").await.as_u64().expect("a page has a clock");
        self.devtools("Emulation.setVirtualTimePolicy", params).await;
        let there = format!("Date.now() >= {}", started + time.as_millis() as u64);
        self.until("the page's clock runs ahead", &there).await;
    }

    /// Sends a command of the DevTools protocol.
    pub async fn devtools(&self, command: &str, params: Value) {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": params })).await;
    }

    /// Presses one key, as WebDriver names it.
    pub async fn press(&self, key: char) {
        let strokes = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.post("/actions", json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] })).await;
    }

    /// Puts the mouse at this point of the window.
    pub async fn point_at(&self, x: i64, y: i64) {
        let moves = json!([{ "type": "pointerMove", "x": x, "y": y, "duration": 0 }]);
        self.post("/actions", json!({ "actions": [{ "type": "pointer", "id": "mouse", "actions": moves }] })).await;
    }

    /// Clicks at this point of the window.
    pub async fn click_at(&self, x: i64, y: i64) {
        let strokes = json!([
            { "type": "pointerMove", "x": x, "y": y, "duration": 0 },
            { "type": "pointerDown", "button": 0 },
            { "type": "pointerUp", "button": 0 },
        ]);
        self.post("/actions", json!({ "actions": [{ "type": "pointer", "id": "mouse", "actions": strokes }] })).await;
    }

    /// Opens a page in another tab, which has the focus from then on; the name of the tab before.
    pub async fn open_tab(&self, url: &str) -> String {
        let before = self.send(Method::GET, "/window", None).await.as_str().expect("a tab has a name").to_owned();
        let made = self.post("/window/new", json!({ "type": "tab" })).await;
        self.switch_to(made["handle"].as_str().expect("a tab has a name")).await;
        self.go(url).await;
        before
    }

    pub async fn switch_to(&self, tab: &str) {
        self.post("/window", json!({ "handle": tab })).await;
    }

    /// Closes the tab that has the focus and goes to the one that is left.
    pub async fn close_tab(&self) {
        let left = self.send(Method::DELETE, "/window", None).await;
        self.switch_to(left[0].as_str().expect("another tab is open")).await;
    }

    /// What the page wrote to its console since the last time.
    pub async fn console(&self) -> String {
        self.post("/se/log", json!({ "type": "browser" })).await.to_string()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("http://{}/session{}{path}", self.driver, self.session);
        let mut request = self.client.request(method, url).timeout(PATIENCE * 2);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let sent = request.send().await.expect("chromedriver answers");
        let mut answer: Value = sent.json().await.expect("chromedriver answers JSON");
        let value = answer["value"].take();
        assert!(value["error"].is_null(), "the browser refused {path} {body:?}: {}", value["message"]);
        value
    }
}

impl Drop for Browser {
    /// Closes the browser, also after a panic, where nothing can be awaited.
    fn drop(&mut self) {
        if let Ok(mut socket) = TcpStream::connect(self.driver) {
            let (driver, session) = (self.driver, &self.session);
            let request = format!("DELETE /session{session} HTTP/1.1\r\nHost: {driver}\r\nConnection: close\r\n\r\n");
            drop(socket.set_read_timeout(Some(PATIENCE)));
            drop(socket.write_all(request.as_bytes()).and_then(|()| socket.read(&mut [0; 64])));
        }
    }
}

/// One chromedriver for the whole test process, on a free port, gone when the process is.
fn driver() -> &'static str {
    static ALIVE: Mutex<Option<ChildStdin>> = Mutex::new(None);
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| {
        let program = std::env::var("CHROMEDRIVER").ok().filter(|program| !program.is_empty());
        let program = program.unwrap_or("chromedriver".into());
        let folder = tempfile::tempdir().expect("a temporary folder can be made").keep();
        let (alive, output) = start_helper(&program, &["--port=0"], folder).unwrap_or_else(|e| {
            panic!("{program} cannot be started ({e}): run scripts/test, which brings Chromium, or set CHROMIUM and CHROMEDRIVER")
        });
        *ALIVE.lock().expect("nothing panics while it holds this") = Some(alive);
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        format!("127.0.0.1:{}", port.unwrap_or_else(|| panic!("{program} does not run on this machine")))
    })
}
