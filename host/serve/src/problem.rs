//! Errors as `application/problem+json` (RFC 9457), each with a code that stays.

use crate::server::{Reply, full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

/// An error that the caller is told. Codes are part of the API: see `docs/api.md`.
#[derive(Debug)]
pub(crate) struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    pub title: &'static str,
    pub detail: String,
    /// The request parameter at fault.
    pub parameter: Option<String>,
    /// Value of the `Allow` header.
    pub allow: Option<&'static str>,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: String) -> Self {
        Problem { status, code, title, detail, parameter: None, allow: None, retry_after: None }
    }

    pub fn not_found(path: &str) -> Self {
        let detail = format!("there is nothing at {path}; the routes stand in docs/api.md");
        Self::new(StatusCode::NOT_FOUND, "unknown-route", "Not found", detail)
    }
    pub fn method(method: &str, allow: &'static str) -> Self {
        let detail = format!("{method} is not answered here, only {allow}");
        let problem =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail);
        Problem { allow: Some(allow), ..problem }
    }
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let problem =
            Self::new(StatusCode::BAD_REQUEST, "bad-parameter", "A parameter does not fit", detail.into());
        Problem { parameter: Some(name.into()), ..problem }
    }
    pub fn unknown_metric(metric: &str) -> Self {
        let detail = format!("no metric is called {metric}; GET /api/v1/metrics lists those that are loaded");
        Self::new(StatusCode::NOT_FOUND, "unknown-metric", "Unknown metric", detail)
    }
    pub fn unknown_source(source: &str) -> Self {
        let detail = format!("no source is called {source}; GET /api/v1/status lists them");
        Self::new(StatusCode::NOT_FOUND, "unknown-source", "Unknown source", detail)
    }
    pub fn unknown_dead_letter(topic: &str, partition: i32, offset: i64) -> Self {
        let detail =
            format!("there is no dead letter of topic {topic}, partition {partition}, offset {offset}");
        Self::new(StatusCode::NOT_FOUND, "unknown-dead-letter", "Unknown dead letter", detail)
    }
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "The operator's token is needed", detail.into())
    }
    pub fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail.into())
    }
    pub fn too_large(most: usize) -> Self {
        let detail = format!("a component may have {most} bytes at most");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The component is too large", detail)
    }
    pub fn bad_body(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-body", "The body cannot be used", detail.into())
    }
    pub fn refused(detail: String) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "plugin-refused", "The component was refused", detail)
    }
    pub fn conflict(detail: String) -> Self {
        Self::new(StatusCode::CONFLICT, "plugin-conflict", "The metric is already there", detail)
    }
    pub fn wrong_state(detail: String) -> Self {
        Self::new(StatusCode::CONFLICT, "wrong-state", "It does not fit how things stand", detail)
    }
    pub fn engine_unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "engine-unavailable",
            "The engine is not ready",
            detail.into(),
        );
        Problem { retry_after: Some(1), ..problem }
    }
    pub fn busy(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much at once", detail.into());
        Problem { retry_after: Some(5), ..problem }
    }
    pub fn history_unavailable(detail: String) -> Self {
        let problem = Self::new(
            StatusCode::BAD_GATEWAY,
            "history-unavailable",
            "The history cannot be read at the moment",
            detail,
        );
        Problem { retry_after: Some(5), ..problem }
    }
    pub fn history_timeout(seconds: f64) -> Self {
        let detail = format!("the history did not answer within {seconds} s; ask for a shorter span");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "history-timeout", "The history is too slow", detail)
    }
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "A fault in Weir", detail.into())
    }

    pub fn into_reply(self) -> Reply {
        let mut body = json!({
            "type": format!("urn:weir:problem:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let (Some(parameter), Some(object)) = (self.parameter, body.as_object_mut()) {
            object.insert("parameter".into(), parameter.into());
        }
        let mut reply = Response::new(full(body.to_string()));
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = self.allow {
            headers.insert("allow", HeaderValue::from_static(allow));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert("retry-after", HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert("www-authenticate", HeaderValue::from_static("Bearer realm=\"weir\""));
        }
        reply
    }
}
