//! The HTTP side: accepts connections, hands bodies to blocking threads, words answers and errors as
//! ClickHouse does. A result is whole before its first byte is sent, so every error has a status.

use super::Error;
use super::auth::Credentials;
use super::blocks::BodyReader;
use super::call::{Call, form_boundary};
use super::engine::Engine;
use super::execute::{Answer, execute};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

/// How long running requests may take to end after a signal.
const PATIENCE: Duration = Duration::from_secs(10);
/// Statements that run at once; more wait. Each takes a few of the engine's threads.
const RUNNING_MAX: usize = 64;
/// Chunks of a body that wait for the engine.
const CHUNKS_MAX: usize = 8;
/// Largest multipart form; bodies of other kinds are streamed.
const FORM_BYTES_MAX: usize = 64 << 20;

struct Server {
    engine: Arc<Engine>,
    credentials: Option<Credentials>,
    requests: AtomicU64,
}

/// Serves until SIGTERM, SIGINT or, if asked, the end of standard input.
pub fn serve(
    listener: std::net::TcpListener,
    engine: Arc<Engine>,
    credentials: Option<Credentials>,
    until_stdin_closes: bool,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(RUNNING_MAX)
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let server = Arc::new(Server { engine, credentials, requests: AtomicU64::new(0) });
    let result = runtime.block_on(accept(listener, server, until_stdin_closes));
    runtime.shutdown_timeout(PATIENCE);
    result
}

async fn accept(
    listener: std::net::TcpListener,
    server: Arc<Server>,
    until_stdin_closes: bool,
) -> Result<(), Error> {
    listener.set_nonblocking(true).map_err(Error::Runtime)?;
    let address = listener.local_addr().map_err(Error::Runtime)?;
    let listener = TcpListener::from_std(listener).map_err(Error::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    let mut orphaned = stdin_end(until_stdin_closes);
    println!("http://{address}");
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            _ = terminate.recv() => break,
            // Ctrl-C reaches the whole process group: whoever holds standard input says when it ends.
            _ = interrupt.recv(), if !until_stdin_closes => break,
            _ = &mut orphaned => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Too many open files, mostly: some will be closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // Without it an answer waits up to 40 ms for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        let server = server.clone();
        let service = service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(respond(server, request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(PATIENCE, connections.shutdown()).await.is_err() {
        tracing::warn!("requests still ran {} s after the signal; ending anyway", PATIENCE.as_secs());
    }
    Ok(())
}

/// Completes when standard input ends; never, if nobody waits for that.
fn stdin_end(wanted: bool) -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        if !wanted {
            // The sender must not be dropped: that would complete the receiver.
            std::mem::forget(sender);
            return;
        }
        let mut ignored = [0; 256];
        while std::io::stdin().read(&mut ignored).is_ok_and(|n| n > 0) {}
        let _ = sender.send(());
    });
    receiver
}

async fn respond(server: Arc<Server>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let is_ping = parts.method == Method::GET && parts.uri.path() == "/" && parts.uri.query().is_none();
    match parts.uri.path() {
        "/ping" | "/replicas_status" => return plain(StatusCode::OK, "Ok.\n"),
        "/" if is_ping => return plain(StatusCode::OK, "Ok.\n"),
        "/" => {}
        path => return plain(StatusCode::NOT_FOUND, &format!("There is no handle {path}\n")),
    }
    let mut call = Call::of_request(&parts);
    let number = server.requests.fetch_add(1, Ordering::Relaxed);
    let query_id =
        call.query_id.clone().unwrap_or_else(|| format!("embedded-{}-{number}", std::process::id()));
    let result = async {
        let boundary = form_boundary(&parts);
        let body = match boundary {
            Some(boundary) => {
                let form = Limited::new(body, FORM_BYTES_MAX).collect().await;
                call.take_form(&boundary, &form.map_err(|e| e.to_string())?.to_bytes());
                None
            }
            None => Some(body),
        };
        if let Some(wanted) = &server.credentials {
            wanted.check(&call.credentials(&parts))?;
        }
        run(&server, call, body).await
    };
    match result.await {
        Ok(answer) => success(&server.engine, answer, &query_id),
        Err(error) => failure(&server.engine, error, &query_id),
    }
}

/// Runs a call on a blocking thread while this task feeds it the body.
async fn run(server: &Arc<Server>, call: Call, body: Option<Incoming>) -> Result<Answer, String> {
    let (chunks, reader) = mpsc::channel(CHUNKS_MAX);
    let engine = server.engine.clone();
    let running = tokio::task::spawn_blocking(move || execute(&engine, &call, BodyReader::new(reader)));
    if let Some(mut body) = body {
        while let Some(frame) = body.frame().await {
            let chunk = match frame {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    Err(_) => continue,
                },
                Err(error) => Err(error.to_string()),
            };
            let broken = chunk.is_err();
            // When the statement has failed nobody receives any more; the body is read on to its end,
            // for a client that reads the answer only then.
            let _ = chunks.send(chunk).await;
            if broken {
                break;
            }
        }
    }
    drop(chunks);
    running.await.map_err(|error| format!("the request crashed: {error}"))?
}

fn success(engine: &Engine, answer: Answer, query_id: &str) -> Response<Full<Bytes>> {
    let s = &answer.stats;
    let summary = format!(
        "{{\"read_rows\":\"{}\",\"read_bytes\":\"{}\",\"written_rows\":\"{}\",\"written_bytes\":\"{}\",\
         \"total_rows_to_read\":\"0\",\"result_rows\":\"{}\",\"result_bytes\":\"{}\"}}",
        s.read_rows,
        s.read_bytes,
        s.written_rows,
        s.written_bytes,
        s.rows,
        answer.result.as_ref().map_or(0, |r| r.as_ref().len()),
    );
    let kind = match answer.format.as_str() {
        f if f.starts_with("JSON") => "application/json; charset=UTF-8",
        f if f.starts_with("CSV") => "text/csv; charset=UTF-8",
        f if f.starts_with("TabSeparated") || f.starts_with("TSV") => {
            "text/tab-separated-values; charset=UTF-8"
        }
        f if f.starts_with("Pretty") || f == "Null" || f == "Vertical" => "text/plain; charset=UTF-8",
        _ => "application/octet-stream",
    };
    let body = answer.result.map(Bytes::from_owner).unwrap_or_default();
    let mut response = Response::new(Full::new(body));
    put(&mut response, "x-clickhouse-summary", &summary);
    put(&mut response, "x-clickhouse-format", &answer.format);
    put(&mut response, "content-type", kind);
    common(&mut response, engine, query_id);
    response
}

fn failure(engine: &Engine, mut error: String, query_id: &str) -> Response<Full<Bytes>> {
    if !error.contains("Code: ") {
        error = format!("Code: 1002. DB::Exception: {}. (UNKNOWN_EXCEPTION)", error.trim_end_matches('.'));
    }
    if let Some(at) = error.rfind(" (version ") {
        error.truncate(at);
    }
    let code = error_code(&error);
    let text = format!("{} (version {} (embedded))\n", error.trim_end(), engine.version);
    let mut response = plain(status_of(code), &text);
    put(&mut response, "x-clickhouse-exception-code", &code.to_string());
    common(&mut response, engine, query_id);
    response
}

fn common(response: &mut Response<Full<Bytes>>, engine: &Engine, query_id: &str) {
    put(response, "x-clickhouse-query-id", query_id);
    put(response, "x-clickhouse-server-display-name", "weir-embedded");
    put(response, "x-clickhouse-timezone", &engine.time_zone);
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    response
}

fn put(response: &mut Response<Full<Bytes>>, name: &'static str, value: &str) {
    // A value that fits no header (an odd query id) is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// The number in `Code: 60. DB::Exception: …`.
fn error_code(text: &str) -> u32 {
    let digits = text.split("Code: ").nth(1).unwrap_or_default();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(1002)
}

/// ClickHouse's statuses of its error codes; the rest are 500.
fn status_of(code: u32) -> StatusCode {
    match code {
        194 => StatusCode::UNAUTHORIZED,
        192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
        16 | 46 | 47 | 50 | 56 | 60 | 61 | 73 | 81 | 115 => StatusCode::NOT_FOUND,
        6 | 25 | 26 | 27 | 36 | 38 | 41 | 53 | 62 | 67 | 68 | 69 | 72 | 117 | 130 | 167 | 168 | 386 | 456
        | 457 => StatusCode::BAD_REQUEST,
        159 | 209 => StatusCode::REQUEST_TIMEOUT,
        48 => StatusCode::NOT_IMPLEMENTED,
        439 | 745 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
