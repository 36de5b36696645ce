//! Dead letters over HTTP: list, show, redrive. They hold what no metric could read, so they are the
//! operator's alone.

use crate::json;
use crate::operator::{call, permitted};
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::json_reply;
use crate::series::ask_history;
use crate::server::{App, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use weir_types::control::{DeadQuery, Redriven};
use weir_types::record::TopicPartition;
use weir_types::rows::{DeadLetterRow, DeadOutcome};

/// Letters of one answer when the caller does not say, and at most.
const LISTED: u32 = 100;
const LISTED_MAX: u32 = 1_000;
/// Letters that one request redrives at most: each holds up to 128 kB meanwhile.
const REDRIVEN_MAX: u32 = 100;
/// Parameters that narrow which letters are meant.
const NARROWING: [&str; 11] =
    ["source", "topic", "partition", "offset", "metric", "code", "outcome", "from", "to", "after", "limit"];

/// Coordinates of one letter, as a path has them: topic, partition, offset.
pub(crate) fn place(path: &str) -> Option<(TopicPartition, i64)> {
    let mut parts = path.split('/');
    let topic = crate::query::decode(parts.next()?).filter(|topic| !topic.is_empty())?;
    let (partition, offset) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some((TopicPartition { topic, partition }, offset))
}

pub(crate) async fn list(
    app: &Arc<App>,
    peer: SocketAddr,
    request: &Request<Incoming>,
) -> Result<Reply, Problem> {
    permitted(&app.options, peer, request.headers())?;
    let query = narrowed(app, request.uri().query(), LISTED, LISTED_MAX)?;
    let limit = query.limit;
    let letters = ask_history(app, move |history| history.dead_letters(&query)).await?;
    let body = json!({
        "dead_letters": letters.iter().map(letter).collect::<Vec<_>>(),
        "next": next(&letters, limit),
    });
    Ok(json_reply(StatusCode::OK, &body))
}

/// One letter with its bytes.
pub(crate) async fn show(
    app: &Arc<App>,
    peer: SocketAddr,
    request: &Request<Incoming>,
    place: &(TopicPartition, i64),
) -> Result<Reply, Problem> {
    permitted(&app.options, peer, request.headers())?;
    let metric =
        Query::parse(request.uri().query(), &["metric"])?.one("metric")?.unwrap_or_default().to_string();
    let (at, offset) = place.clone();
    let query = DeadQuery {
        topics: vec![at.topic.clone()],
        partition: Some(at.partition),
        offset: Some(offset),
        metric: Some(metric),
        limit: 1,
        bytes: true,
        ..DeadQuery::default()
    };
    let letters = ask_history(app, move |history| history.dead_letters(&query)).await?;
    let Some(found) = letters.first() else {
        return Err(Problem::unknown_dead_letter(&at.topic, at.partition, offset));
    };
    let mut body = letter(found);
    for (name, bytes) in [("key", &found.key), ("value", &found.value)] {
        body[name] = std::str::from_utf8(bytes).map_or(Value::Null, Value::from);
        body[format!("{name}_base64")] = BASE64.encode(bytes).into();
    }
    Ok(json_reply(StatusCode::OK, &body))
}

/// Takes up the first letters that are meant, once that is durable.
pub(crate) async fn redrive(
    app: &Arc<App>,
    peer: SocketAddr,
    request: &Request<Incoming>,
) -> Result<Reply, Problem> {
    permitted(&app.options, peer, request.headers())?;
    let mut query = narrowed(app, request.uri().query(), REDRIVEN_MAX, REDRIVEN_MAX)?;
    query.bytes = true;
    query.metric.get_or_insert_default();
    query.outcome.get_or_insert(DeadOutcome::Dead);
    let limit = query.limit;
    let letters = ask_history(app, move |history| history.dead_letters(&query)).await?;
    let next = next(&letters, limit);
    let places: Vec<_> = letters.iter().map(|l| (l.partition.clone(), l.offset)).collect();
    let answers = match letters.is_empty() {
        true => Vec::new(),
        false => call(app, move |control| control.redrive(letters)).await?,
    };
    tracing::info!(%peer, letters = places.len(), "dead letters redriven");
    let results: Vec<Value> = places.iter().zip(&answers).map(result).collect();
    Ok(json_reply(StatusCode::OK, &json!({ "results": results, "next": next })))
}

/// Which letters are meant. Unless it is said otherwise: those of whole records and of metrics, taken up or not.
fn narrowed(app: &App, query: Option<&str>, limit: u32, most: u32) -> Result<DeadQuery, Problem> {
    let query = Query::parse(query, &NARROWING)?;
    let mut topics: Vec<String> = query.all("topic").map(String::from).collect();
    if let Some(source) = query.one("source")? {
        let inner = app.live.lock();
        let found = inner.sources.iter().find(|s| s.name == source);
        let found = found.ok_or_else(|| Problem::unknown_source(source))?;
        topics.extend(found.partitions.iter().map(|p| p.partition.topic.clone()));
        topics.sort();
        topics.dedup();
    }
    let outcome = query.one("outcome")?.map(|name| {
        DeadOutcome::find(name)
            .ok_or_else(|| Problem::parameter("outcome", "outcome is dead, applied or skipped"))
    });
    Ok(DeadQuery {
        topics,
        partition: number(&query, "partition")?,
        offset: number(&query, "offset")?,
        metric: query.one("metric")?.map(String::from),
        code: query.one("code")?.map(String::from),
        outcome: outcome.transpose()?,
        from: query.time("from")?,
        to: query.time("to")?,
        after: query.one("after")?.map(parse_cursor).transpose()?,
        limit: query.count("limit", most)?.unwrap_or(limit),
        bytes: false,
    })
}

fn number<T: std::str::FromStr>(query: &Query, name: &str) -> Result<Option<T>, Problem> {
    let parse =
        |text: &str| text.parse().map_err(|_| Problem::parameter(name, format!("{name} is a number")));
    query.one(name)?.map(parse).transpose()
}

/// Where the next page begins; null when there is none.
fn next(letters: &[DeadLetterRow], limit: u32) -> Option<String> {
    let last = letters.last().filter(|_| letters.len() as u64 == u64::from(limit))?;
    let at = &last.partition;
    Some(format!("{};{};{};{}", at.topic, at.partition, last.offset, last.metric))
}

fn parse_cursor(text: &str) -> Result<(TopicPartition, i64, String), Problem> {
    let wrong = || Problem::parameter("after", "after is the `next` of the page before");
    let [topic, partition, offset, metric] = text.split(';').collect::<Vec<_>>()[..] else {
        return Err(wrong());
    };
    let partition = partition.parse().map_err(|_| wrong())?;
    let at = TopicPartition { topic: topic.into(), partition };
    Ok((at, offset.parse().map_err(|_| wrong())?, metric.into()))
}

fn letter(letter: &DeadLetterRow) -> Value {
    json!({
        "topic": letter.partition.topic,
        "partition": letter.partition.partition,
        "offset": letter.offset,
        "metric": letter.metric,
        "code": letter.code,
        "reason": letter.reason,
        "whole": letter.whole,
        "outcome": letter.outcome.name(),
        "clock": json::time(letter.clock),
        "epoch": letter.epoch,
    })
}

fn result((place, answer): (&(TopicPartition, i64), &Redriven)) -> Value {
    let (at, offset) = place;
    let reason = match answer {
        Redriven::Applied => None,
        Redriven::Skipped(why) | Redriven::Refused(why) => Some(why.clone()),
        Redriven::Dead { code, reason } => Some(format!("{code}: {reason}")),
    };
    json!({
        "topic": at.topic,
        "partition": at.partition,
        "offset": offset,
        "outcome": answer.name(),
        "reason": reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_stand_in_a_path_and_nothing_else_does() {
        let (at, offset) = place("svc.service.ticket/3/42").expect("coordinates");
        assert_eq!((at.topic.as_str(), at.partition, offset), ("svc.service.ticket", 3, 42));
        for wrong in ["redrive", "t/1", "t/1/x", "t/1/2/3", "/1/2", "t//2"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
