//! Sources over HTTP: what an operator may ask of one.

use crate::operator::{call, permitted};
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::json_reply;
use crate::server::{App, Reply};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde_json::json;
use std::net::SocketAddr;
use weir_types::control::Resnapshot;

/// Lets a source that holds go on, once that is durable.
pub(crate) async fn resume(
    app: &App,
    peer: SocketAddr,
    request: &Request<Incoming>,
    source: &str,
) -> Result<Reply, Problem> {
    permitted(&app.options, peer, request.headers())?;
    let query = Query::parse(request.uri().query(), &["accept_dead"])?;
    let accept_dead = match query.one("accept_dead")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::parameter("accept_dead", "accept_dead is true or false")),
    };
    let name = source.to_string();
    call(app, move |control| control.resume(&name, accept_dead)).await?;
    tracing::info!(%peer, source, accept_dead, "source resumed");
    Ok(json_reply(StatusCode::OK, &json!({ "source": source, "accept_dead": accept_dead })))
}

/// Lets a source that has stopped go on with what the broker still holds, once that is durable.
pub(crate) async fn restart(
    app: &App,
    peer: SocketAddr,
    request: &Request<Incoming>,
    source: &str,
) -> Result<Reply, Problem> {
    permitted(&app.options, peer, request.headers())?;
    let query = Query::parse(request.uri().query(), &["from"])?;
    let from = query.required("from")?;
    if from != "earliest" {
        return Err(Problem::parameter("from", "from is earliest: the first record that the broker holds"));
    }
    let name = source.to_string();
    call(app, move |control| control.restart(&name)).await?;
    tracing::info!(%peer, source, from, "source restarted");
    Ok(json_reply(StatusCode::OK, &json!({ "source": source, "from": from })))
}

/// Begins, finishes or gives up the rebuild of a source's row table, once that is durable.
pub(crate) async fn resnapshot(
    app: &App,
    peer: SocketAddr,
    request: &Request<Incoming>,
    source: &str,
) -> Result<Reply, Problem> {
    permitted(&app.options, peer, request.headers())?;
    let query = Query::parse(request.uri().query(), &["step"])?;
    let (step, name) = match query.one("step")? {
        None | Some("begin") => (Resnapshot::Begin, "begin"),
        Some("finish") => (Resnapshot::Finish, "finish"),
        Some("cancel") => (Resnapshot::Cancel, "cancel"),
        Some(_) => return Err(Problem::parameter("step", "step is begin, finish or cancel")),
    };
    let of = source.to_string();
    call(app, move |control| control.resnapshot(&of, step)).await?;
    tracing::info!(%peer, source, step = name, "rebuild of a row table asked for");
    Ok(json_reply(StatusCode::OK, &json!({ "source": source, "step": name })))
}
