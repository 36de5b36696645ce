//! Plugins over HTTP.

use crate::json;
use crate::operator::{call, permitted};
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::json_reply;
use crate::server::{App, Reply};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
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
