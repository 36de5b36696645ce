//! Plugins over HTTP: who may change them, and how.

use crate::json;
use crate::options::Options;
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::json_reply;
use crate::server::{App, Reply};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use weir_types::control::{Control, ControlError};
use weir_types::live::CatalogueEntry;

/// Length of the name under which an upload stands in messages.
const ORIGIN_MAX: usize = 255;

pub(crate) async fn list(app: &App) -> Result<Reply, Problem> {
    let entries = call(app, |control| control.list()).await?;
    Ok(json_reply(StatusCode::OK, &metrics(&entries)))
}

pub(crate) async fn push(app: &App, peer: SocketAddr, request: Request<Incoming>) -> Result<Reply, Problem> {
    permitted(&app.options, peer, request.headers())?;
    let query = Query::parse(request.uri().query(), &["origin"])?;
    let origin = query.one("origin")?.filter(|o| !o.is_empty()).unwrap_or("upload").to_string();
    if origin.len() > ORIGIN_MAX || origin.chars().any(char::is_control) {
        let detail =
            format!("origin must be a file name of {ORIGIN_MAX} bytes at most, without control characters");
        return Err(Problem::parameter("origin", detail));
    }
    let _one_at_a_time =
        app.upload_permit.try_acquire().map_err(|_| Problem::busy("another component is being uploaded"))?;
    let component = body(app, request.into_body()).await?;
    tracing::info!(%peer, %origin, bytes = component.len(), "component uploaded");
    let entries = call(app, move |control| control.push(&origin, component.into())).await?;
    Ok(json_reply(StatusCode::CREATED, &metrics(&entries)))
}

pub(crate) async fn retire(
    app: &App,
    peer: SocketAddr,
    request: &Request<Incoming>,
    metric: &str,
) -> Result<Reply, Problem> {
    permitted(&app.options, peer, request.headers())?;
    Query::parse(request.uri().query(), &[])?;
    let name = metric.to_string();
    call(app, move |control| control.retire(&name)).await.map_err(|problem| match problem.code {
        "unknown-metric" => Problem::unknown_metric(metric),
        _ => problem,
    })?;
    tracing::info!(%peer, %metric, "metric retired");
    Ok(json_reply(StatusCode::OK, &json!({ "metric": metric, "status": "retired" })))
}

fn metrics(entries: &[CatalogueEntry]) -> Value {
    json!({ "metrics": entries.iter().map(|e| json::entry(e, Some(&e.cost))).collect::<Vec<_>>() })
}

/// The whole body, within the limits of size and time.
async fn body(app: &App, body: Incoming) -> Result<Bytes, Problem> {
    let most = app.options.plugin_bytes_max;
    if body.size_hint().lower() > most as u64 {
        return Err(Problem::too_large(most));
    }
    let collected = tokio::time::timeout(app.options.upload_timeout, Limited::new(body, most).collect());
    let collected = collected.await.map_err(|_| Problem::bad_body("the upload took too long"))?;
    let collected = collected.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Problem::too_large(most),
        None => Problem::bad_body(format!("the upload broke off: {error}")),
    })?;
    let bytes = collected.to_bytes();
    if bytes.is_empty() {
        return Err(Problem::bad_body("the body is empty; send the bytes of a .wasm component"));
    }
    Ok(bytes)
}

/// Asks the engine on a thread that may block: its calls last until the change is durable.
async fn call<T: Send + 'static>(
    app: &App,
    ask: impl FnOnce(&dyn Control) -> Result<T, ControlError> + Send + 'static,
) -> Result<T, Problem> {
    let control = app.control.get();
    let control: Arc<dyn Control> = control.ok_or_else(|| {
        Problem::engine_unavailable("the engine is still starting; /readyz says what it waits for")
    })?;
    let answer = tokio::task::spawn_blocking(move || ask(control.as_ref())).await;
    let answer = answer.map_err(|_| Problem::internal("the request to the engine failed; see the log"))?;
    answer.map_err(|error| match error {
        ControlError::Refused(reason) => Problem::refused(reason),
        ControlError::NotFound(metric) => Problem::unknown_metric(&metric),
        ControlError::Conflict(reason) => Problem::conflict(reason),
        ControlError::Unavailable(reason) => Problem::engine_unavailable(reason),
    })
}

/// Whether the caller may change plugins: with the operator's token, or under `--dev` from this
/// machine if none is configured.
fn permitted(options: &Options, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Problem> {
    match &options.operator_token {
        Some(token) => bears(token, headers),
        None if !options.dev => Err(Problem::forbidden(
            "plugin changes need an operator token: set [tokens] operator in the configuration",
        )),
        None => local(peer, headers),
    }
}

fn bears(token: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    let given =
        given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let Some(given) = given else {
        return Err(Problem::unauthorized("send the operator's token as Authorization: Bearer …"));
    };
    // Hashes compare in constant time, and hide the lengths.
    if blake3::hash(given.as_bytes()) == blake3::hash(token.as_bytes()) {
        Ok(())
    } else {
        Err(Problem::unauthorized("the token is not the operator's"))
    }
}

/// Only programs of this machine: not a page of a foreign site in this machine's browser (which
/// sends its own Origin, or after DNS rebinding its own Host), nor what a proxy passes on.
fn local(peer: SocketAddr, headers: &HeaderMap) -> Result<(), Problem> {
    let proxied =
        ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name));
    if !peer.ip().to_canonical().is_loopback() || proxied {
        return Err(Problem::forbidden(
            "without an operator token plugins can be changed only from the machine itself",
        ));
    }
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if !text(HOST).is_some_and(is_loopback_host) {
        return Err(Problem::forbidden(
            "the Host header must name this machine, like 127.0.0.1 or localhost",
        ));
    }
    let foreign = match text(ORIGIN) {
        None => false,
        Some(origin) => origin.strip_prefix("http://") != text(HOST),
    };
    let cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if foreign || cross_site {
        return Err(Problem::forbidden("another site's page may not change plugins"));
    }
    Ok(())
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback_hosts() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.1.2.3:80", "[::1]:8080"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["", "evil.example", "127.0.0.1.evil.example:8080", "localhost.evil", "10.0.0.1", "[::2]"]
        {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
