//! `GET /api/v1/series`: the course of one key over time, from the store of results.

use crate::json;
use crate::problem::Problem;
use crate::query::{Query, check_dims, check_set, check_window};
use crate::routes::json_reply;
use crate::server::{App, Reply};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use weir_types::contract::MetricInfo;
use weir_types::control::{History, SeriesPoint, SeriesQuery};
use weir_types::{DAY, HOUR};

/// The longest span that may be asked for.
const SPAN_MAX: i64 = 400 * DAY;

pub(crate) async fn answer(app: &Arc<App>, query: Option<&str>) -> Result<Reply, Problem> {
    let (info, query) = parse(app, query)?;
    let asked = query.clone();
    let points = ask_history(app, move |history| history.series(&asked)).await?;
    let points: Vec<Value> = points.iter().map(|p| point(app, &info, &query.window, p)).collect();
    let body = json!({
        "metric": query.metric,
        "window": query.window,
        "set": query.dimension_set,
        "dims": json::dims(&query.dims),
        "from": json::time(query.from),
        "to": json::time(query.to),
        "points": points,
    });
    Ok(json_reply(StatusCode::OK, &body))
}

fn parse(app: &App, query: Option<&str>) -> Result<(Arc<MetricInfo>, SeriesQuery), Problem> {
    let query = Query::parse(query, &["metric", "window", "set", "dim", "from", "to", "limit"])?;
    let inner = app.live.lock();
    let metric = query.required("metric")?;
    let info = inner.metric(metric).ok_or_else(|| Problem::unknown_metric(metric))?;
    let clock = inner.clock;
    drop(inner);
    let window = query.required("window")?;
    check_window(&info, window)?;
    let set = query.one("set")?.unwrap_or_default();
    check_set(&info, set)?;
    let dims = check_dims(set, query.all("dim").map(String::from).collect())?;
    let now =
        || clock.ok_or_else(|| Problem::parameter("to", "to is missing, and no epoch has told the time"));
    let to = match query.time("to")? {
        Some(to) => to,
        // The window that runs has begun already.
        None => now()?.saturating_add(1),
    };
    let from = query.time("from")?.unwrap_or(to.saturating_sub(HOUR));
    if from > to {
        return Err(Problem::parameter("from", "from must not be after to"));
    }
    if to.saturating_sub(from) > SPAN_MAX {
        return Err(Problem::parameter("from", "the span from … to may be 400 days at most"));
    }
    let limit = query.count("limit", app.options.series_points_max)?.unwrap_or(app.options.series_points);
    let query = SeriesQuery {
        metric: metric.into(),
        window: window.into(),
        dimension_set: set.into(),
        dims,
        from,
        to,
        limit,
    };
    Ok((info, query))
}

/// Asks the history on a thread that may block. At most so many at once; the time-out counts from
/// the request's arrival, and a question that outlives it keeps its place until it ends.
pub(crate) async fn ask_history<T: Send + 'static>(
    app: &App,
    ask: impl FnOnce(&dyn History) -> Result<T, String> + Send + 'static,
) -> Result<T, Problem> {
    let asked = async {
        let permit = app.series_permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Problem::internal("the history's permits are closed"))?;
        let history = app.history.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = ask(history.as_ref());
            drop(permit);
            answer
        });
        let answer =
            answer.await.map_err(|_| Problem::internal("the request to the history failed; see the log"))?;
        answer.map_err(Problem::history_unavailable)
    };
    match tokio::time::timeout(app.options.series_timeout, asked).await {
        Ok(answer) => answer,
        Err(_) if app.series_permits.available_permits() == 0 => {
            Err(Problem::busy("too many requests to the history at once; try again later"))
        }
        Err(_) => Err(Problem::history_timeout(app.options.series_timeout.as_secs_f64())),
    }
}

fn point(app: &App, info: &MetricInfo, window: &str, point: &SeriesPoint) -> Value {
    let named = point.outputs.iter().map(|(name, value)| (name.as_str(), value));
    let display = app.live.display();
    let (outputs, shown) = json::outputs(named, info, display);
    json!({
        "start": json::time(point.start),
        "end": json::time(point.end),
        "label": display.window(window, point.start, point.end),
        "at": display.minute(point.start),
        "outputs": outputs,
        "display": shown,
        "final": point.is_final,
        "complete": point.complete,
    })
}
