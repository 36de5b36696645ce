//! Format of the rows of `metric_realtime` and `metric_latest`: what the rows of one series and epoch have in
//! common stands once for all of them, which is most of their bytes.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::sync::Arc;
use weir_types::rows::{OutputValue, RealtimeRow, Series};
use weir_types::{Micros, Name};

/// Rows of one table, to be written.
#[derive(Serialize)]
pub struct Written<'a> {
    heads: Vec<Head<'a>>,
    rows: Rows<'a>,
}

/// Rows, each with the index of its head. They are brought into their form one by one, as they are written.
struct Rows<'a> {
    rows: &'a [RealtimeRow],
    heads: Vec<u32>,
}

/// The same, as it is read.
#[derive(Deserialize)]
pub struct Read {
    heads: Vec<Head<'static>>,
    rows: Vec<ReadRow>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Head<'a> {
    metric: Cow<'a, str>,
    incarnation: i64,
    window: Cow<'a, str>,
    dimension_set: Cow<'a, str>,
    digest: Cow<'a, str>,
    watermark: Micros,
    epoch: u64,
    /// Names of the outputs.
    names: Vec<Cow<'a, str>>,
}

/// One row: with borrowed texts and values as it is written, with its own as it is read.
#[derive(Serialize, Deserialize)]
struct Row<D, V> {
    /// Index into the heads.
    head: u32,
    dims: D,
    day: i32,
    start: Micros,
    /// End less start.
    length: Micros,
    values: V,
    is_final: bool,
    complete: bool,
    epoch_first: u64,
    samples: u64,
    late: u64,
    deleted: bool,
}

type WrittenRow<'a> = Row<&'a [String], &'a [OutputValue]>;
type ReadRow = Row<Vec<String>, Vec<OutputValue>>;

impl<'a> Written<'a> {
    pub fn of(rows: &'a [RealtimeRow]) -> Written<'a> {
        let mut heads: Vec<Head<'a>> = Vec::new();
        let mut known: FxHashMap<(*const Series, Micros, u64), u32> = FxHashMap::default();
        let of_row = |row: &'a RealtimeRow| {
            // The rows hold their series, so that no two have one address.
            *known.entry((Arc::as_ptr(&row.series), row.watermark, row.epoch)).or_insert_with(|| {
                heads.push(Head::of(row));
                heads.len() as u32 - 1
            })
        };
        let of_rows = rows.iter().map(of_row).collect();
        Written { heads, rows: Rows { rows, heads: of_rows } }
    }
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let heads = self.heads.iter().copied();
        serializer.collect_seq(self.rows.iter().zip(heads).map(|(row, head)| WrittenRow::of(row, head)))
    }
}

impl Read {
    /// None: a row names a head that is not there, or has not as many values as its head has names.
    pub fn into_rows(self) -> Option<Vec<RealtimeRow>> {
        let heads: Vec<ReadHead> = self.heads.into_iter().map(ReadHead::from).collect();
        let under = |row: ReadRow| heads.get(row.head as usize).and_then(|head| row.under(head));
        self.rows.into_iter().map(under).collect()
    }
}

/// A head whose series its rows share.
struct ReadHead {
    series: Arc<Series>,
    watermark: Micros,
    epoch: u64,
}

impl From<Head<'_>> for ReadHead {
    fn from(head: Head<'_>) -> ReadHead {
        let name = |text: &Cow<'_, str>| Name::from(&**text);
        let series = Series {
            metric: name(&head.metric),
            incarnation: head.incarnation,
            window: name(&head.window),
            dimension_set: name(&head.dimension_set),
            digest: name(&head.digest),
            outputs: head.names.iter().map(name).collect(),
        };
        ReadHead { series: series.into(), watermark: head.watermark, epoch: head.epoch }
    }
}

impl<'a> Head<'a> {
    fn of(row: &'a RealtimeRow) -> Head<'a> {
        let series = &*row.series;
        Head {
            metric: Cow::Borrowed(&series.metric),
            incarnation: series.incarnation,
            window: Cow::Borrowed(&series.window),
            dimension_set: Cow::Borrowed(&series.dimension_set),
            digest: Cow::Borrowed(&series.digest),
            watermark: row.watermark,
            epoch: row.epoch,
            names: series.outputs.iter().map(|name| Cow::Borrowed(name.as_str())).collect(),
        }
    }
}

impl<'a> WrittenRow<'a> {
    fn of(row: &'a RealtimeRow, head: u32) -> WrittenRow<'a> {
        Row {
            head,
            dims: &row.dims,
            day: row.day,
            start: row.start,
            length: row.end.wrapping_sub(row.start),
            values: &row.values,
            is_final: row.is_final,
            complete: row.complete,
            epoch_first: row.epoch_first,
            samples: row.samples,
            late: row.late,
            deleted: row.deleted,
        }
    }
}

impl ReadRow {
    fn under(self, head: &ReadHead) -> Option<RealtimeRow> {
        (self.values.len() == head.series.outputs.len()).then(|| RealtimeRow {
            series: head.series.clone(),
            dims: self.dims.into(),
            day: self.day,
            start: self.start,
            end: self.start.wrapping_add(self.length),
            values: self.values.into(),
            is_final: self.is_final,
            complete: self.complete,
            watermark: head.watermark,
            epoch: head.epoch,
            epoch_first: self.epoch_first,
            samples: self.samples,
            late: self.late,
            deleted: self.deleted,
        })
    }
}
