//! Format of the rows of `metric_realtime` and `metric_latest`: what the rows of one metric, window and set
//! have in common stands once for all of them, which is most of their bytes.

use rustc_hash::FxHashMap;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use weir_types::rows::{OutputValue, RealtimeRow};
use weir_types::{Micros, Name};

/// Rows of one table; borrowed to be written, owned when read.
#[derive(Serialize, Deserialize)]
pub struct Series<'a> {
    heads: Vec<Head<'a>>,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize, Deserialize)]
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

#[derive(Serialize, Deserialize)]
struct Row<'a> {
    /// Index into the heads.
    head: u32,
    dims: Cow<'a, [String]>,
    day: i32,
    start: Micros,
    /// End less start.
    length: Micros,
    values: Values<'a>,
    is_final: bool,
    complete: bool,
    epoch_first: u64,
    samples: u64,
    late: u64,
    deleted: bool,
}

/// Values of a row's outputs, without their names.
enum Values<'a> {
    Named(&'a [(Name, OutputValue)]),
    Bare(Vec<OutputValue>),
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Values::Named(named) => {
                let mut values = serializer.serialize_seq(Some(named.len()))?;
                named.iter().try_for_each(|(_, value)| values.serialize_element(value))?;
                values.end()
            }
            Values::Bare(bare) => bare.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Values<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Values::Bare)
    }
}

impl<'a> Series<'a> {
    pub fn of(rows: &'a [RealtimeRow]) -> Series<'a> {
        let mut series = Series { heads: Vec::new(), rows: Vec::with_capacity(rows.len()) };
        let mut newest: FxHashMap<(&str, &str, &str), u32> = FxHashMap::default();
        for row in rows {
            let newest = newest.entry((&row.metric, &row.window, &row.dimension_set)).or_insert(u32::MAX);
            if !series.heads.get(*newest as usize).is_some_and(|head| head.is_of(row)) {
                *newest = series.heads.len() as u32;
                series.heads.push(Head::of(row));
            }
            series.rows.push(Row::of(row, *newest));
        }
        series
    }

    /// None: a row names a head that is not there.
    pub fn into_rows(self) -> Option<Vec<RealtimeRow>> {
        let heads: Vec<Shared> = self.heads.into_iter().map(Shared::from).collect();
        self.rows.into_iter().map(|row| heads.get(row.head as usize).map(|head| row.under(head))).collect()
    }
}

/// A head whose names its rows share.
struct Shared {
    metric: Name,
    incarnation: i64,
    window: Name,
    dimension_set: Name,
    digest: Name,
    watermark: Micros,
    epoch: u64,
    names: Vec<Name>,
}

impl From<Head<'_>> for Shared {
    fn from(head: Head<'_>) -> Shared {
        let name = |text: &Cow<'_, str>| Name::from(&**text);
        Shared {
            metric: name(&head.metric),
            incarnation: head.incarnation,
            window: name(&head.window),
            dimension_set: name(&head.dimension_set),
            digest: name(&head.digest),
            watermark: head.watermark,
            epoch: head.epoch,
            names: head.names.iter().map(name).collect(),
        }
    }
}

impl<'a> Head<'a> {
    fn of(row: &'a RealtimeRow) -> Head<'a> {
        Head {
            metric: Cow::Borrowed(&row.metric),
            incarnation: row.incarnation,
            window: Cow::Borrowed(&row.window),
            dimension_set: Cow::Borrowed(&row.dimension_set),
            digest: Cow::Borrowed(&row.digest),
            watermark: row.watermark,
            epoch: row.epoch,
            names: row.outputs.iter().map(|(name, _)| Cow::Borrowed(name.as_str())).collect(),
        }
    }

    /// Whether all that it holds is also the row's. Metric, window and set are known to be.
    fn is_of(&self, row: &RealtimeRow) -> bool {
        (self.incarnation, self.watermark, self.epoch) == (row.incarnation, row.watermark, row.epoch)
            && *self.digest == *row.digest
            && self.names.iter().map(|name| &**name).eq(row.outputs.iter().map(|(name, _)| name.as_str()))
    }
}

impl<'a> Row<'a> {
    fn of(row: &'a RealtimeRow, head: u32) -> Row<'a> {
        Row {
            head,
            dims: Cow::Borrowed(&*row.dims),
            day: row.day,
            start: row.start,
            length: row.end.wrapping_sub(row.start),
            values: Values::Named(&row.outputs),
            is_final: row.is_final,
            complete: row.complete,
            epoch_first: row.epoch_first,
            samples: row.samples,
            late: row.late,
            deleted: row.deleted,
        }
    }

    fn under(self, head: &Shared) -> RealtimeRow {
        let values = match self.values {
            Values::Bare(values) => values,
            Values::Named(named) => named.iter().map(|(_, value)| value.clone()).collect(),
        };
        RealtimeRow {
            metric: head.metric.clone(),
            incarnation: head.incarnation,
            window: head.window.clone(),
            dimension_set: head.dimension_set.clone(),
            dims: self.dims.into_owned().into(),
            day: self.day,
            start: self.start,
            end: self.start.wrapping_add(self.length),
            outputs: head.names.iter().cloned().zip(values).collect(),
            is_final: self.is_final,
            complete: self.complete,
            watermark: head.watermark,
            digest: head.digest.clone(),
            epoch: head.epoch,
            epoch_first: self.epoch_first,
            samples: self.samples,
            late: self.late,
            deleted: self.deleted,
        }
    }
}
