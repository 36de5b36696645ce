//! A real engine for each test, and rows to put into it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use weir_clickhouse::{ClickHouse, Options};
use weir_embedded::clickhouse::Process;
use weir_types::contract::{Field, Input, MetricInfo, Output, RowMemory, ValueType};
use weir_types::record::{Rekey, TopicPartition};
use weir_types::rows::{
    DeadLetterRow, DeadOutcome, EpochRow, Outbox, OutputValue, PromotedRow, RealtimeRow, Series,
};
use weir_types::window::Window;
use weir_types::{DAY, MINUTE, Name};

pub const INCARNATION: i64 = 7;
/// 2023-11-14, 00:00.
pub const START: i64 = 19_675 * DAY;

/// Where the engine's library and the binary are; None where they are not (`--quick`).
pub fn paths() -> Option<(PathBuf, PathBuf)> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    match (of("WEIR_EMBEDDED_BIN"), of("WEIR_CHDB_LIB")) {
        (Some(binary), Some(lib)) => Some((binary, lib)),
        _ => {
            eprintln!("skipped: set WEIR_CHDB_LIB and WEIR_EMBEDDED_BIN");
            None
        }
    }
}

pub fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// An engine over a directory that goes with it.
pub struct Engine {
    pub process: Process,
    pub dir: tempfile::TempDir,
    binary: PathBuf,
    lib: PathBuf,
}

impl Engine {
    pub fn start() -> Option<Engine> {
        let (binary, lib) = paths()?;
        let dir = tempfile::tempdir().expect("a directory");
        let process = Process::start(&binary, &lib, dir.path(), any_port()).expect("the engine starts");
        Some(Engine { process, dir, binary, lib })
    }

    pub fn start_with_user(user: &str, password: &str) -> Option<Engine> {
        let (binary, lib) = paths()?;
        let dir = tempfile::tempdir().expect("a directory");
        let process = Process::start_with_user(&binary, &lib, dir.path(), any_port(), user, password)
            .expect("it starts");
        Some(Engine { process, dir, binary, lib })
    }

    /// kill -9, and again over the same data on the same port.
    pub fn restart_after_kill(&mut self) {
        self.process.kill();
        let address = self.process.url.trim_start_matches("http://").parse().expect("an address");
        self.process = Process::start(&self.binary, &self.lib, self.dir.path(), address)
            .expect("the engine starts again");
    }

    pub fn sink(&self) -> ClickHouse {
        ClickHouse::new(Options::new(&self.process.url)).expect("options")
    }

    pub fn ask(&self, sql: &str) -> String {
        ask(&self.process.url, sql).unwrap_or_else(|error| panic!("{error} to {sql}"))
    }
}

/// The answer to a statement, tab-separated, as any HTTP client gets it.
pub fn ask(url: &str, sql: &str) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.post(url).send(sql).map_err(|e| e.to_string())?;
    let text = response.body_mut().read_to_string().map_err(|e| e.to_string())?;
    if response.status().is_success() { Ok(text.trim_end().to_string()) } else { Err(text) }
}

pub fn field(name: &str, value_type: ValueType) -> Field {
    Field { name: name.into(), value_type, nullable: true }
}

pub fn output(name: &str, value_type: ValueType, is_list: bool) -> Output {
    Output {
        name: name.into(),
        value_type,
        is_list,
        nullable: true,
        unit: String::new(),
        description: String::new(),
    }
}

pub fn metric(name: &str, windows: &[Window], dimensions: &[Field], outputs: &[Output]) -> MetricInfo {
    let names: Vec<String> = dimensions.iter().map(|d| d.name.clone()).collect();
    let subsets = (0..1u32 << names.len()).map(|bits| {
        names.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, n)| n.clone()).collect()
    });
    MetricInfo {
        name: name.into(),
        title: "a metric".into(),
        unit: String::new(),
        description: String::new(),
        owner: String::new(),
        version: "1".into(),
        deprecated: None,
        replaced_by: None,
        inputs: vec![Input { source: "s".into(), fields: dimensions.to_vec(), watches: vec![] }],
        dimension_sets: subsets.collect(),
        bases: vec![],
        dimensions: names,
        windows: windows.to_vec(),
        values: vec![],
        computed_dimensions: vec![],
        outputs: outputs.to_vec(),
        time_varying: false,
        rows: RowMemory::Live,
        state_version: 1,
        state_versions_read: vec![1],
        meaning_version: 1,
        extra: vec![],
    }
}

/// The row with its series changed.
pub fn of_series(mut row: RealtimeRow, change: impl FnOnce(&mut Series)) -> RealtimeRow {
    change(Arc::make_mut(&mut row.series));
    row
}

/// A minute of metric `a.count`, the grand total.
pub fn row(start: i64, epoch: u64, count: i64) -> RealtimeRow {
    let series = Series {
        metric: "a.count".into(),
        incarnation: INCARNATION,
        window: "1m".into(),
        dimension_set: Name::default(),
        digest: "d1".into(),
        outputs: vec!["count".into()],
    };
    RealtimeRow {
        series: series.into(),
        dims: [].into(),
        day: start.div_euclid(DAY) as i32,
        start,
        end: start + MINUTE,
        values: [OutputValue::Int(count)].into(),
        is_final: false,
        complete: true,
        watermark: start,
        epoch,
        epoch_first: 1,
        samples: 1,
        late: 0,
        deleted: false,
    }
}

pub fn promoted(metric: &str, incarnation: i64, epoch: u64, retired: bool) -> PromotedRow {
    PromotedRow { metric: metric.into(), incarnation, digest: "d1".into(), retired, epoch }
}

pub fn epoch(epoch: u64) -> EpochRow {
    EpochRow {
        epoch,
        clock: START,
        partitions: vec![],
        digests: Default::default(),
        gaps: vec![],
        redriven: vec![],
    }
}

pub fn realtime(rows: Vec<RealtimeRow>) -> Outbox {
    Outbox { realtime: rows, ..Outbox::default() }
}

pub fn letter(partition: i32, offset: i64, code: &str, outcome: DeadOutcome) -> DeadLetterRow {
    DeadLetterRow {
        partition: TopicPartition { topic: "svc.t".into(), partition },
        offset,
        metric: String::new(),
        code: code.into(),
        reason: "it's no JSON".into(),
        key: b"{\"id\":1}".to_vec(),
        value: vec![0, 255, 10, 39],
        whole: true,
        rekey: Rekey::Insert,
        outcome,
        clock: START + offset,
        epoch: 9,
    }
}
