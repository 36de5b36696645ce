//! Which request goes where.

use crate::cache::Row;
use crate::problem::Problem;
use crate::query::Query;
use crate::server::{App, Reply, full};
use crate::{assets, dead, json, plugins, prometheus, series, sources, stream};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use weir_types::record::TopicPartition;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq)]
enum Route {
    Metrics,
    Latest,
    Series,
    Stream,
    Status,
    Plugins,
    Plugin(String),
    /// Lets a source that holds go on.
    Resume(String),
    /// Lets a source that has stopped go on.
    Restart(String),
    /// Rebuilds the row table of a source.
    Resnapshot(String),
    DeadLetters,
    DeadLetter(TopicPartition, i64),
    Redrive,
    Healthz,
    Readyz,
    Prometheus,
    Asset,
}

impl Route {
    fn find(path: &str) -> Option<Route> {
        let route = match path {
            "/api/v1/metrics" => Route::Metrics,
            "/api/v1/latest" => Route::Latest,
            "/api/v1/series" => Route::Series,
            "/api/v1/stream" => Route::Stream,
            "/api/v1/status" => Route::Status,
            "/api/v1/plugins" => Route::Plugins,
            "/api/v1/dead-letters" => Route::DeadLetters,
            "/api/v1/dead-letters/redrive" => Route::Redrive,
            "/healthz" => Route::Healthz,
            "/readyz" => Route::Readyz,
            "/metrics" => Route::Prometheus,
            _ if assets::exists(path) => Route::Asset,
            _ => return Route::of_one(path),
        };
        Some(route)
    }

    /// Routes with a name in their path.
    fn of_one(path: &str) -> Option<Route> {
        let rest = path.strip_prefix("/api/v1/")?;
        let (kind, rest) = rest.split_once('/')?;
        if kind == "dead-letters" {
            return dead::place(rest).map(|(at, offset)| Route::DeadLetter(at, offset));
        }
        let (name, action) = rest.split_once('/').unwrap_or((rest, ""));
        let name = crate::query::decode(name).filter(|name| !name.is_empty())?;
        match (kind, action) {
            ("plugins", "") if !rest.contains('/') => Some(Route::Plugin(name)),
            ("sources", "resume") => Some(Route::Resume(name)),
            ("sources", "restart") => Some(Route::Restart(name)),
            ("sources", "resnapshot") => Some(Route::Resnapshot(name)),
            _ => None,
        }
    }

    /// Stable, for counting: never a part of the path that the caller chose.
    fn name(&self) -> &'static str {
        match self {
            Route::Metrics => "/api/v1/metrics",
            Route::Latest => "/api/v1/latest",
            Route::Series => "/api/v1/series",
            Route::Stream => "/api/v1/stream",
            Route::Status => "/api/v1/status",
            Route::Plugins => "/api/v1/plugins",
            Route::Plugin(_) => "/api/v1/plugins/{metric}",
            Route::Resume(_) => "/api/v1/sources/{source}/resume",
            Route::Restart(_) => "/api/v1/sources/{source}/restart",
            Route::Resnapshot(_) => "/api/v1/sources/{source}/resnapshot",
            Route::DeadLetters => "/api/v1/dead-letters",
            Route::DeadLetter(..) => "/api/v1/dead-letters/{topic}/{partition}/{offset}",
            Route::Redrive => "/api/v1/dead-letters/redrive",
            Route::Healthz => "/healthz",
            Route::Readyz => "/readyz",
            Route::Prometheus => "/metrics",
            Route::Asset => "dashboard",
        }
    }

    fn allow(&self) -> &'static str {
        match self {
            Route::Plugins => "GET, HEAD, POST",
            Route::Plugin(_) => "DELETE",
            Route::Resume(_) | Route::Restart(_) | Route::Resnapshot(_) | Route::Redrive => "POST",
            _ => "GET, HEAD",
        }
    }
}

/// Answers one request. Never fails: what goes wrong is a problem document.
pub(crate) async fn answer(app: Arc<App>, peer: SocketAddr, request: Request<Incoming>) -> Reply {
    let path = request.uri().path().to_string();
    let route = Route::find(&path);
    let name = route.as_ref().map_or("unknown", Route::name);
    let result = match route {
        Some(route) => dispatch(&app, peer, route, request).await,
        None => Err(Problem::not_found(&path)),
    };
    let mut reply = result.unwrap_or_else(Problem::into_reply);
    app.live.totals.request(name, reply.status().as_u16());
    let headers = reply.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    reply
}

async fn dispatch(
    app: &Arc<App>,
    peer: SocketAddr,
    route: Route,
    request: Request<Incoming>,
) -> Result<Reply, Problem> {
    let method = request.method().clone();
    let read = method == Method::GET || method == Method::HEAD;
    match (&route, &method) {
        (Route::Plugins, &Method::POST) => return plugins::push(app, peer, request).await,
        (Route::Plugin(metric), &Method::DELETE) => {
            return plugins::retire(app, peer, &request, metric).await;
        }
        (Route::Resume(source), &Method::POST) => return sources::resume(app, peer, &request, source).await,
        (Route::Restart(source), &Method::POST) => {
            return sources::restart(app, peer, &request, source).await;
        }
        (Route::Resnapshot(source), &Method::POST) => {
            return sources::resnapshot(app, peer, &request, source).await;
        }
        (Route::Redrive, &Method::POST) => return dead::redrive(app, peer, &request).await,
        _ if read && route.allow().starts_with("GET") => {}
        _ => return Err(Problem::method(method.as_str(), route.allow())),
    }
    let query = request.uri().query();
    match route {
        Route::Metrics => catalogue(app, query),
        Route::Latest => latest(app, query),
        Route::Series => series::answer(app, query).await,
        Route::Stream => open_stream(app, query, method == Method::HEAD),
        Route::Status => {
            Query::parse(query, &[])?;
            Ok(json_reply(StatusCode::OK, &app.live.status()))
        }
        Route::Plugins => plugins::list(app).await,
        Route::DeadLetters => dead::list(app, peer, &request).await,
        Route::DeadLetter(at, offset) => dead::show(app, peer, &request, &(at, offset)).await,
        Route::Plugin(_) | Route::Resume(_) | Route::Restart(_) | Route::Resnapshot(_) | Route::Redrive => {
            Err(Problem::method(method.as_str(), route.allow()))
        }
        Route::Healthz => Ok(text_reply("text/plain; charset=utf-8", "ok\n".into())),
        Route::Readyz => Ok(readyz(app)),
        Route::Prometheus => {
            Ok(text_reply("text/plain; version=0.0.4; charset=utf-8", prometheus::render(&app.live)))
        }
        Route::Asset => assets::reply(request.uri().path()),
    }
}

pub(crate) fn json_reply(status: StatusCode, body: &Value) -> Reply {
    let mut reply = text_reply("application/json", body.to_string());
    *reply.status_mut() = status;
    reply
}

fn text_reply(content_type: &'static str, body: String) -> Reply {
    let mut reply = Response::new(full(body));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

fn catalogue(app: &App, query: Option<&str>) -> Result<Reply, Problem> {
    Query::parse(query, &[])?;
    let inner = app.live.lock();
    let entries = inner.served().map(|entry| {
        let cost = inner.costs.get(&entry.info.name).unwrap_or(&entry.cost);
        json::entry(entry, Some(cost))
    });
    let body = json!({ "metrics": entries.collect::<Vec<_>>() });
    drop(inner);
    Ok(json_reply(StatusCode::OK, &body))
}

fn latest(app: &App, query: Option<&str>) -> Result<Reply, Problem> {
    let query = Query::parse(query, &["metric", "window", "set", "dim", "select"])?;
    let (rows, epoch, clock) = {
        let inner = app.live.lock();
        (inner.cache.select(&query.filter(&inner)?), inner.epoch, inner.clock)
    };
    let rows: Vec<&str> = rows.iter().map(|row: &Arc<Row>| row.json(app.live.display())).collect();
    let clock = clock.map(json::time);
    let body =
        format!(r#"{{"epoch":{},"clock":{},"rows":[{}]}}"#, json!(epoch), json!(clock), rows.join(","));
    Ok(text_reply("application/json", body))
}

fn open_stream(app: &Arc<App>, query: Option<&str>, head: bool) -> Result<Reply, Problem> {
    let query = Query::parse(query, &["metric", "window", "set", "dim", "select"])?;
    let filter = query.filter(&app.live.lock())?;
    if head {
        return Ok(text_reply("text/event-stream", String::new()));
    }
    let most = app.options.subscribers_max;
    let seat = app
        .live
        .seat(most)
        .ok_or_else(|| Problem::busy(format!("{most} streams are served already; try again later")))?;
    Ok(stream::reply(app.live.clone(), seat, filter, app.options.keep_alive, app.stop.clone()))
}

fn readyz(app: &App) -> Reply {
    let readiness = app.live.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let conditions: Vec<Value> = readiness.conditions.iter().map(json::condition).collect();
    json_reply(status, &json!({ "ready": readiness.ready, "conditions": conditions }))
}
