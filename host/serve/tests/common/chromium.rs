//! A headless Chromium, driven over the DevTools protocol.
#![allow(dead_code, clippy::unwrap_used)]

use base64::Engine;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tungstenite::{Message, WebSocket};

/// How often is looked again, 100 ms apart, before a wait fails.
const LOOKS: u32 = 300;

pub struct Chromium {
    process: Child,
    profile: tempfile::TempDir,
}

impl Chromium {
    /// None where there is no `chromium` on PATH.
    pub fn start() -> Option<Chromium> {
        let profile = tempfile::tempdir().unwrap();
        let process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match process {
            Ok(process) => Some(Chromium { process, profile }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("chromium does not start: {error}"),
        }
    }

    /// Opens a page of its own.
    pub fn open(&self, url: &str, width: u32, height: u32) -> Page {
        let file = self.profile.path().join("DevToolsActivePort");
        let text = wait("chromium's port", || {
            std::fs::read_to_string(&file).ok().filter(|t| t.contains("/devtools"))
        });
        let (port, path) = text.trim().split_once('\n').unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).unwrap();
        let mut page = Page { socket, session: None, calls: 0 };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let session = page.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        page.session = Some(session["sessionId"].as_str().unwrap().to_string());
        page.size(width, height);
        page.call("Page.enable", json!({}));
        page.call("Page.navigate", json!({ "url": url }));
        page
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub struct Page {
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    calls: u64,
}

impl Page {
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    pub fn size(&mut self, width: u32, height: u32) {
        let mobile = width < 600;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// The text of the element with a test id; None where there is none.
    pub fn text(&mut self, id: &str) -> Option<String> {
        let id = json!(format!("[data-testid=\"{id}\"]"));
        self.eval(&format!("document.querySelector({id})?.textContent ?? null")).as_str().map(String::from)
    }

    pub fn click(&mut self, id: &str) {
        let id = json!(format!("[data-testid=\"{id}\"]"));
        self.eval(&format!("document.querySelector({id}).click()"));
    }

    /// Waits until an expression is true.
    pub fn until(&mut self, expression: &str) {
        for _ in 0..LOOKS {
            if self.eval(&format!("Boolean({expression})")) == true {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let page = self.eval("document.body.innerText");
        panic!("it never became true: {expression}\nthe page: {page}");
    }

    /// Waits until an element's text is this.
    pub fn until_text(&mut self, id: &str, text: &str) {
        let selector = json!(format!("[data-testid=\"{id}\"]"));
        self.until(&format!("document.querySelector({selector})?.textContent === {}", json!(text)));
    }

    pub fn screenshot(&mut self, path: &std::path::Path) {
        let data = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = base64::engine::general_purpose::STANDARD.decode(data["data"].as_str().unwrap());
        std::fs::write(path, bytes.unwrap()).unwrap();
    }
}

fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("waited too long for {what}");
}
