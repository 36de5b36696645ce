//! The operator's side of the HTTP API.

use crate::cli::HostArgs;
use anyhow::{anyhow, bail};
use serde_json::Value;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

/// Compiling a large component and checking its laws takes seconds.
const PATIENCE: Duration = Duration::from_secs(180);

/// A host that is asked.
pub struct Api {
    agent: Agent,
    url: String,
    token: Option<String>,
}

impl Api {
    pub fn new(host: &HostArgs) -> Api {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(PATIENCE));
        Api {
            agent: config.build().new_agent(),
            url: host.url.trim_end_matches('/').to_string(),
            token: host.token.clone().filter(|token| !token.is_empty()),
        }
    }

    /// GET of a path below `/api/v1/`.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.agent.get(self.at(path));
        self.answer(self.authorized(request).call())
    }

    /// POST of a body to a path below `/api/v1/`.
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> anyhow::Result<Value> {
        let request = self.agent.post(self.at(path)).header("content-type", content_type);
        self.answer(self.authorized(request).send(body))
    }

    /// DELETE of a path below `/api/v1/`.
    pub fn delete(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.agent.delete(self.at(path));
        self.answer(self.authorized(request).call())
    }

    fn at(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.url)
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// The body of a good answer; the problem's detail of a bad one.
    fn answer(&self, answer: Result<Response<Body>, ureq::Error>) -> anyhow::Result<Value> {
        let mut answer =
            answer.map_err(|e| anyhow!("no answer from {}: {e}; is the host running?", self.url))?;
        let status = answer.status();
        let body = answer.body_mut().read_to_string().unwrap_or_default();
        let json: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(json);
        }
        match (text(&json, "detail"), text(&json, "title")) {
            ("", "") => bail!("{} answered {status}", self.url),
            ("", title) => bail!("{title}"),
            (detail, _) => bail!("{detail}"),
        }
    }
}

/// Rows as columns that stand below each other; the last one as long as it is.
pub fn print_table<const N: usize>(rows: &[[String; N]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// The elements of a list in an object; none if there is no list.
pub fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text of an object; empty if there is none.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Percent-encodes everything that is not plain in a path or query.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_escaped_for_the_url() {
        assert_eq!(escape("ticket created&.wasm"), "ticket%20created%26.wasm");
        assert_eq!(escape("é"), "%C3%A9");
    }
}
