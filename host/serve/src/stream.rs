//! `GET /api/v1/stream`: a snapshot, then what changes, as server-sent events.
//!
//! Each stream has a task that writes into a channel of two frames. A client that reads slowly
//! fills it; the task then waits, falls behind the bounded broadcast, and is given a fresh snapshot
//! when the client reads again. So a slow client costs two frames of memory, whatever it misses.

use crate::cache::Filter;
use crate::json;
use crate::live::{Change, Live, Seat, Subscription};
use crate::server::Reply;
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

type Sender = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

/// Answers with a stream that ends when the client goes or the server stops.
pub(crate) fn reply(
    live: Arc<Live>,
    seat: Seat,
    filter: Filter,
    keep_alive: Duration,
    stop: watch::Receiver<bool>,
) -> Reply {
    let (frames, body) = mpsc::channel(2);
    tokio::spawn(async move {
        serve(&live, &filter, keep_alive, stop, &frames).await;
        drop(seat);
    });
    let mut reply = Response::new(StreamBody::new(ReceiverStream::new(body)).boxed());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx and the like must not gather events.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    reply
}

/// Runs one stream to its end.
async fn serve(
    live: &Live,
    filter: &Filter,
    keep_alive: Duration,
    mut stop: watch::Receiver<bool>,
    frames: &Sender,
) {
    let mut subscription = live.subscribe(filter);
    if !send(frames, snapshot(live, &subscription)).await {
        return;
    }
    loop {
        // The values of the snapshot are not needed any more.
        subscription.rows = Vec::new();
        let text = tokio::select! {
            change = subscription.changes.recv() => match change {
                Ok(change) => events(live, filter, &change),
                Err(RecvError::Lagged(_)) => {
                    live.totals.resync();
                    subscription = live.subscribe(filter);
                    snapshot(live, &subscription)
                }
                Err(RecvError::Closed) => return,
            },
            () = tokio::time::sleep(keep_alive) => ": still here\n\n".into(),
            () = frames.closed() => return,
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
        let sent = tokio::select! {
            sent = send(frames, text) => sent,
            _ = stop.wait_for(|stopped| *stopped) => false,
        };
        if !sent {
            return;
        }
    }
}

/// False when the client is gone.
async fn send(frames: &Sender, text: String) -> bool {
    text.is_empty() || frames.send(Ok(Frame::data(text.into()))).await.is_ok()
}

fn event(name: &str, id: Option<u64>, data: &str) -> String {
    match id {
        Some(id) => format!("id: {id}\nevent: {name}\ndata: {data}\n\n"),
        None => format!("event: {name}\ndata: {data}\n\n"),
    }
}

fn snapshot(live: &Live, subscription: &Subscription) -> String {
    let rows: Vec<&str> = subscription.rows.iter().map(|row| row.json(live.display())).collect();
    let data = format!(
        r#"{{"epoch":{},"clock":{},"catalogue":{},"health":{},"rows":[{}]}}"#,
        json!(subscription.epoch),
        json!(subscription.clock.map(json::time)),
        subscription.catalogue,
        subscription.health,
        rows.join(","),
    );
    event("snapshot", subscription.epoch, &data)
}

/// The events of one publication, as far as this reader wants them. Every epoch gives a `change`,
/// even an empty one, and an engine without work an `alive`: they tell the reader that it lives.
fn events(live: &Live, filter: &Filter, change: &Change) -> String {
    let mut text = String::new();
    if let Some(catalogue) = &change.catalogue {
        text += &event("catalogue", None, catalogue);
    }
    if let Some(health) = &change.health {
        text += &event("health", None, health);
    }
    if let Some(clock) = change.alive {
        text += &event("alive", None, &format!(r#"{{"clock":{}}}"#, json::time(clock)));
    }
    if let Some((epoch, clock)) = change.epoch {
        let wanted = change.rows.iter().filter(|row| {
            let row = &row.live;
            filter.accepts(&row.series.metric, &row.series.window, &row.series.dimension_set, &row.dims)
        });
        let rows: Vec<&str> = wanted.map(|row| row.json(live.display())).collect();
        let gone = change.gone.iter().filter(|k| filter.accepts(&k.metric, &k.window, &k.set, &k.dims));
        let gone: Vec<String> = gone.map(|key| json::gone(key).to_string()).collect();
        let data = format!(
            r#"{{"epoch":{epoch},"clock":{},"rows":[{}],"gone":[{}]}}"#,
            json::time(clock),
            rows.join(","),
            gone.join(","),
        );
        text += &event("change", Some(epoch), &data);
    }
    text
}
