//! A server in this process, fed by hand; shared by tests and the example `fake_feed`.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_serve::{ControlCell, Live, LiveOptions, Options, Server};
use weir_types::contract::{Input, MetricInfo, Output, RowMemory, ValueType};
use weir_types::control::{
    Control, ControlError, DeadQuery, History, Redriven, Resnapshot, SeriesPoint, SeriesQuery,
};
use weir_types::live::{
    CatalogueEntry, EpochUpdate, LiveRow, MetricCost, PartitionStatus, Publisher, SourceStatus,
};
use weir_types::record::TopicPartition;
use weir_types::rows::{Counts, DeadLetterRow, OutputValue, Series};
use weir_types::window::Window;
use weir_types::{HOUR, MINUTE, Micros};

/// 2026-11-23T08:00:00Z.
pub const EIGHT: Micros = 1_795_420_800_000_000;

pub fn output(name: &str, value_type: ValueType, unit: &str) -> Output {
    Output {
        name: name.into(),
        value_type,
        is_list: false,
        nullable: value_type == ValueType::Float,
        unit: unit.into(),
        description: format!("{name} of the window"),
    }
}

fn subsets(dimensions: &[&str]) -> Vec<Vec<String>> {
    (0..1usize << dimensions.len())
        .map(|mask| {
            let chosen = dimensions.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
            chosen.map(|(_, d)| d.to_string()).collect()
        })
        .collect()
}

pub fn metric(
    name: &str,
    title: &str,
    dimensions: &[&str],
    now: bool,
    outputs: Vec<Output>,
) -> CatalogueEntry {
    let period =
        vec![Window::Tumbling(MINUTE), Window::Tumbling(15 * MINUTE), Window::Tumbling(HOUR), Window::Day];
    let source = if name.starts_with("call") { "call_record" } else { "ticket" };
    let info = MetricInfo {
        name: name.into(),
        title: title.into(),
        unit: outputs[0].unit.clone(),
        description: format!("{title}, as the catalogue defines it."),
        owner: "customer service".into(),
        version: "1.0.0".into(),
        deprecated: None,
        replaced_by: None,
        inputs: vec![Input { source: source.into(), fields: Vec::new(), watches: Vec::new() }],
        bases: vec![],
        dimensions: dimensions.iter().map(|d| d.to_string()).collect(),
        dimension_sets: subsets(dimensions),
        windows: if now { vec![Window::Now] } else { period },
        values: Vec::new(),
        computed_dimensions: Vec::new(),
        outputs,
        time_varying: false,
        rows: RowMemory::Live,
        state_version: 1,
        state_versions_read: vec![1],
        meaning_version: 1,
        extra: Vec::new(),
    };
    CatalogueEntry {
        info: Arc::new(info),
        incarnation: EIGHT,
        digest: "0123456789abcdef".repeat(4),
        status: "live".into(),
        reason: None,
        since: EIGHT,
        cost: MetricCost::default(),
    }
}

pub fn ticket_created() -> CatalogueEntry {
    let outputs = vec![output("count", ValueType::Int, "1")];
    metric("ticket.created", "Tickets created", &["queue_id", "channel", "priority"], false, outputs)
}

pub fn ticket_backlog() -> CatalogueEntry {
    let outputs = vec![output("count", ValueType::Int, "1")];
    metric("ticket.backlog", "Ticket backlog", &["queue_id", "priority"], true, outputs)
}

pub fn first_reply_time() -> CatalogueEntry {
    let seconds = |name: &str| output(name, ValueType::Float, "s");
    let mut outputs: Vec<Output> = ["mean", "p50", "p90", "max"].into_iter().map(seconds).collect();
    outputs.push(output("count", ValueType::Int, "1"));
    outputs.push(seconds("mean_business"));
    metric("ticket.first_reply_time", "Time to first reply", &["queue_id", "assignee_id"], false, outputs)
}

pub fn call_offered() -> CatalogueEntry {
    let outputs = vec![output("count", ValueType::Int, "1")];
    metric("call.offered", "Calls offered", &["queue_id"], false, outputs)
}

pub fn row(
    metric: &str,
    window: &str,
    set: &str,
    dims: &[&str],
    start: Micros,
    outputs: Vec<OutputValue>,
) -> LiveRow {
    let length = match window {
        "1m" => MINUTE,
        "15m" => 15 * MINUTE,
        "1h" => HOUR,
        "day" => 24 * HOUR,
        _ => 0,
    };
    let series = Series {
        metric: metric.into(),
        window: window.into(),
        dimension_set: set.into(),
        ..Series::default()
    };
    LiveRow {
        series: series.into(),
        dims: dims.iter().map(|d| d.to_string()).collect(),
        start,
        end: start + length,
        values: outputs.into(),
        is_final: false,
        complete: true,
        samples: 3,
        gone: false,
    }
}

pub fn source(name: &str, next_offset: i64) -> SourceStatus {
    let skipped = BTreeMap::from([("tombstone".to_string(), 2)]);
    SourceStatus {
        name: name.into(),
        watermark: Some(EIGHT),
        trouble: None,
        partitions: vec![PartitionStatus {
            partition: TopicPartition { topic: format!("svc.service.{name}"), partition: 0 },
            next_offset,
            caught_up: true,
            idle: false,
            greatest_event_time: Some(EIGHT),
            counts: Counts { read: 12, applied: 9, skipped, dead: 1 },
            redriven: 1,
        }],
    }
}

pub fn update(epoch: u64, rows: Vec<LiveRow>) -> EpochUpdate {
    EpochUpdate {
        epoch,
        clock: EIGHT + epoch as i64 * 1_000_000,
        generation: Some(7),
        rows,
        catalogue: None,
        costs: BTreeMap::new(),
        sources: vec![source("ticket", 12), source("call_record", 30)],
        stages_ns: BTreeMap::from([("decode", 1_200_000), ("write", 4_000_000)]),
        write_bytes: 512,
    }
}

pub fn with_catalogue(update: EpochUpdate, entries: Vec<CatalogueEntry>) -> EpochUpdate {
    EpochUpdate { catalogue: Some(Arc::new(entries)), ..update }
}

/// An engine that accepts what begins like a component.
#[derive(Default)]
pub struct FakeControl {
    pub pushed: Mutex<Vec<(String, usize)>>,
    /// Dead letters that were to be redriven.
    pub redriven: Mutex<Vec<DeadLetterRow>>,
    /// Sources resumed, and whether dead letters were accepted.
    pub resumed: Mutex<Vec<(String, bool)>>,
    pub resnapshots: Mutex<Vec<(String, Resnapshot)>>,
}

impl Control for FakeControl {
    fn push(&self, origin: &str, component: Vec<u8>) -> Result<Vec<CatalogueEntry>, ControlError> {
        if !component.starts_with(b"\0asm") {
            return Err(ControlError::Refused(format!("{origin} is no component")));
        }
        self.pushed.lock().unwrap().push((origin.into(), component.len()));
        if component.ends_with(b"twice") {
            return Err(ControlError::Conflict("call.offered is loaded; retire it first".into()));
        }
        Ok(vec![call_offered()])
    }
    fn list(&self) -> Result<Vec<CatalogueEntry>, ControlError> {
        Ok(vec![ticket_created()])
    }
    fn retire(&self, metric: &str) -> Result<(), ControlError> {
        match metric {
            "ticket.created" => Ok(()),
            "stopping" => Err(ControlError::Unavailable("the engine is stopping".into())),
            _ => Err(ControlError::NotFound(metric.into())),
        }
    }
    /// The first is applied, the second skipped, the third still dead, the fourth refused.
    fn redrive(&self, letters: Vec<DeadLetterRow>) -> Result<Vec<Redriven>, ControlError> {
        let answers = [
            Redriven::Applied,
            Redriven::Skipped("repeat".into()),
            Redriven::Dead { code: "not-json".into(), reason: "it is none".into() },
            Redriven::Refused("redriven before".into()),
        ];
        let count = letters.len();
        self.redriven.lock().unwrap().extend(letters);
        Ok(answers.into_iter().cycle().take(count).collect())
    }
    /// `ticket` has stopped, `call_record` has not.
    fn restart(&self, source: &str) -> Result<(), ControlError> {
        match source {
            "ticket" => Ok(()),
            "call_record" => Err(ControlError::WrongState("call_record has not stopped".into())),
            _ => Err(ControlError::UnknownSource(source.into())),
        }
    }
    /// `ticket` has a row table, `call_record` has none.
    fn resnapshot(&self, source: &str, step: Resnapshot) -> Result<(), ControlError> {
        match source {
            "ticket" => self.resnapshots.lock().unwrap().push((source.into(), step)),
            "call_record" => return Err(ControlError::WrongState("call_record has no row table".into())),
            _ => return Err(ControlError::UnknownSource(source.into())),
        }
        Ok(())
    }
    /// `ticket` holds, `call_record` does not.
    fn resume(&self, source: &str, accept_dead: bool) -> Result<(), ControlError> {
        match source {
            "ticket" => self.resumed.lock().unwrap().push((source.into(), accept_dead)),
            "call_record" => return Err(ControlError::WrongState("call_record does not hold".into())),
            _ => return Err(ControlError::UnknownSource(source.into())),
        }
        Ok(())
    }
}

/// A history whose points are the minutes asked for, or an error, or silence.
#[derive(Default)]
pub struct FakeHistory {
    pub trouble: Mutex<Option<String>>,
    pub delay: Duration,
    pub asked: Mutex<Vec<SeriesQuery>>,
    pub letters: Vec<DeadLetterRow>,
    pub asked_dead: Mutex<Vec<DeadQuery>>,
}

impl History for FakeHistory {
    fn series(&self, query: &SeriesQuery) -> Result<Vec<SeriesPoint>, String> {
        std::thread::sleep(self.delay);
        self.asked.lock().unwrap().push(query.clone());
        if let Some(trouble) = &*self.trouble.lock().unwrap() {
            return Err(trouble.clone());
        }
        let first = query.from.div_euclid(MINUTE) + i64::from(query.from.rem_euclid(MINUTE) > 0);
        let minutes = (first..).map(|m| m * MINUTE).take_while(|start| *start < query.to);
        let points: Vec<SeriesPoint> = minutes
            .map(|start| {
                let m = start / MINUTE;
                let count = 40 + (m * 7) % 23 + 2 * ((m / 5) % 9);
                let point = |outputs| SeriesPoint {
                    start,
                    end: start + MINUTE,
                    outputs,
                    is_final: true,
                    complete: true,
                };
                let seconds = |x: f64| OutputValue::Float(x);
                if query.metric == "ticket.first_reply_time" {
                    let base = 200.0 + count as f64;
                    point(vec![
                        ("mean".into(), seconds(base)),
                        ("p50".into(), seconds(base * 0.8)),
                        ("p90".into(), seconds(base * 1.9)),
                        ("max".into(), seconds(base * 4.0)),
                        ("count".into(), OutputValue::Int(count / 2)),
                        ("mean_business".into(), seconds(base * 0.7)),
                    ])
                } else {
                    point(vec![("count".into(), OutputValue::Int(count))])
                }
            })
            .collect();
        let skip = points.len().saturating_sub(query.limit as usize);
        Ok(points[skip..].to_vec())
    }
    /// The letters after the one asked for, whatever else narrows.
    fn dead_letters(&self, query: &DeadQuery) -> Result<Vec<DeadLetterRow>, String> {
        self.asked_dead.lock().unwrap().push(query.clone());
        let key = |l: &DeadLetterRow| (l.partition.clone(), l.offset, l.metric.clone());
        let after = |l: &&DeadLetterRow| query.after.as_ref().is_none_or(|after| key(l) > *after);
        let here = |l: &&DeadLetterRow| query.offset.is_none_or(|offset| l.offset == offset);
        Ok(self.letters.iter().filter(after).filter(here).take(query.limit as usize).cloned().collect())
    }
}

/// A running server on a runtime of its own.
pub struct Running {
    pub live: Arc<Live>,
    pub control: ControlCell,
    pub history: Arc<FakeHistory>,
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

pub fn options() -> Options {
    Options::new(SocketAddr::from(([127, 0, 0, 1], 0)))
}

pub fn start(options: Options, live: LiveOptions, history: FakeHistory) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let live = Arc::new(Live::new(live));
    let control = ControlCell::new();
    let history = Arc::new(history);
    let server =
        runtime.block_on(Server::bind(options, live.clone(), control.clone(), history.clone())).unwrap();
    let address = server.local_addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = runtime.spawn(server.run(async move {
        let _ = stopped.await;
    }));
    Running { live, control, history, address, runtime: Some(runtime), stop: Some(stop), task: Some(task) }
}

/// A server with three metrics and a few rows, as after its first epochs.
pub fn started() -> Running {
    let running = start(options(), LiveOptions::default(), FakeHistory::default());
    running.first_epoch();
    running
}

impl Running {
    pub fn first_epoch(&self) {
        let int = |n| vec![OutputValue::Int(n)];
        let rows = vec![
            row("ticket.created", "1m", "", &[], EIGHT, int(1234)),
            row("ticket.created", "1m", "queue_id", &["3"], EIGHT, int(1000)),
            row("ticket.created", "1m", "queue_id", &["\\N"], EIGHT, int(234)),
            row("ticket.created", "day", "", &[], EIGHT - 8 * HOUR, int(1 << 60)),
            row("ticket.backlog", "now", "", &[], EIGHT, int(56)),
        ];
        let entries = vec![ticket_created(), ticket_backlog(), first_reply_time()];
        self.live.publish(with_catalogue(update(1, rows), entries));
    }

    pub fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[], b"")
    }

    /// One request on a connection of its own. `Host` is sent unless the headers name one.
    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.send(method, target, headers, body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::parse(&bytes)
    }

    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {}\r\n", self.address);
        }
        let chunked = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
        if !chunked && !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // The server may answer and close before it has read all of a body it refuses.
        let _ = stream.write_all(body);
        stream
    }

    /// Asks the server to stop and waits for its end.
    pub fn stop(&mut self) {
        if let (Some(runtime), Some(stop), Some(task)) = (&self.runtime, self.stop.take(), self.task.take()) {
            let _ = stop.send(());
            runtime.block_on(task).unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer with a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: bytes[end + 4..].to_vec() }
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
    /// Status and code of a problem document.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        (self.status, self.json()["code"].as_str().unwrap().to_string())
    }
}

/// Reads server-sent events one by one.
pub struct Events {
    reader: std::io::BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: serde_json::Value,
}

impl Events {
    pub fn open(running: &Running, target: &str) -> Events {
        use std::io::BufRead;
        let mut reader = std::io::BufReader::new(running.send("GET", target, &[], b""));
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "the head is cut short");
        }
        Events { reader }
    }

    /// The next event; comments give an event named `:`. None at the end of the stream.
    pub fn next(&mut self) -> Option<Event> {
        use std::io::BufRead;
        let mut event = Event { name: String::new(), id: None, data: serde_json::Value::Null };
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("event", name)) => event.name = name.into(),
                Some(("id", id)) => event.id = Some(id.into()),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                Some(("", _)) => event.name = ":".into(),
                // Lines of the chunked encoding, and the ends of events.
                _ if line.trim_end().is_empty() && !event.name.is_empty() => return Some(event),
                _ => {}
            }
        }
    }
}
