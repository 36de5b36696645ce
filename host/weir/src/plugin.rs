//! `weir plugin …`: the operator's side of the API.

use crate::cli::{HostArgs, PluginCommand};
use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

/// Compiling a large component and checking its laws takes seconds.
const PATIENCE: Duration = Duration::from_secs(180);

pub fn run(host: &HostArgs, command: &PluginCommand) -> anyhow::Result<()> {
    let api = Api::new(host);
    match command {
        PluginCommand::Push { file } => api.push(file),
        PluginCommand::List => api.list(),
        PluginCommand::Retire { metric } => api.retire(metric),
    }
}

struct Api {
    agent: Agent,
    url: String,
    token: Option<String>,
}

impl Api {
    fn new(host: &HostArgs) -> Api {
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

    fn push(&self, file: &Path) -> anyhow::Result<()> {
        let component = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.file_name().map_or_else(|| "upload".into(), |name| name.to_string_lossy());
        let url = format!("{}/api/v1/plugins?origin={}", self.url, escape(&name));
        let request = self.agent.post(&url).header("content-type", "application/wasm");
        let answer = self.answer(self.authorized(request).send(&component[..]))?;
        for metric in metrics(&answer) {
            println!(
                "loaded {} {} ({})",
                text(metric, "name"),
                text(metric, "version"),
                text(metric, "status")
            );
        }
        Ok(())
    }

    fn list(&self) -> anyhow::Result<()> {
        let request = self.agent.get(format!("{}/api/v1/plugins", self.url));
        let answer = self.answer(self.authorized(request).call())?;
        let mut rows = vec![["METRIC", "VERSION", "STATUS", "DIGEST", "REASON"].map(str::to_string)];
        for metric in metrics(&answer) {
            let digest: String = text(metric, "digest").chars().take(12).collect();
            let [name, version, status, reason] =
                ["name", "version", "status", "reason"].map(|key| text(metric, key).to_string());
            rows.push([name, version, status, digest, reason]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        for [name, version, status, digest, reason] in &rows {
            let [a, b, c, d] = widths;
            println!("{}", format!("{name:a$}  {version:b$}  {status:c$}  {digest:d$}  {reason}").trim_end());
        }
        Ok(())
    }

    fn retire(&self, metric: &str) -> anyhow::Result<()> {
        let request = self.agent.delete(format!("{}/api/v1/plugins/{}", self.url, escape(metric)));
        self.answer(self.authorized(request).call())?;
        println!("retired {metric}");
        Ok(())
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

fn metrics(answer: &Value) -> &[Value] {
    answer.get("metrics").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Percent-encodes everything that is not plain in a path or query.
fn escape(text: &str) -> String {
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
