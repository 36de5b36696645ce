//! What [`crate::Decoder`] is measured against, and used by the benchmark alone: sonic-rs' generic
//! deserializer, driven by serde seeds, reading op, coordinates and the same cells straight into the
//! same columns. It reads well-formed changes of one table and knows no other kind of record.

use crate::cell::CellType;
use crate::plan::Plan;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use weir_types::batch::{Cells, ChangeBatch, Dictionary, Op, Origin, Position};
use weir_types::record::Record;
use weir_types::schema::{ColumnType, SourceDecl};

/// The generic way to decode the changes of one source.
#[derive(Debug)]
pub struct Yardstick {
    plan: Plan,
}

impl Yardstick {
    /// Reads these columns, and primary key and event time besides.
    pub fn new(source: &SourceDecl, columns: &BTreeSet<usize>) -> Yardstick {
        let mut plan = Plan::new(source);
        plan.ask(columns);
        Yardstick { plan }
    }

    /// Appends one change. On an error the batch's columns may have a part of it.
    pub fn decode(&self, record: &Record<'_>, batch: &mut ChangeBatch) -> Result<(), sonic_rs::Error> {
        let row = batch.len();
        let mut deserializer = sonic_rs::Deserializer::from_slice(record.value.unwrap_or_default());
        let change = deserializer.deserialize_map(Envelope { plan: &self.plan, batch })?;
        let (op, rank) = match change.op {
            b'c' => (Op::Insert, 1),
            b'd' => (Op::Delete, 0),
            b'r' => (Op::Read, 0),
            b'u' => (Op::Update, 1),
            _ => return Err(Error::custom("unknown op")),
        };
        let event_times = if change.after { &batch.after } else { &batch.before };
        let event_time = &event_times[self.plan.event_time];
        batch.event_times.values.push(event_time.values[row]);
        batch.event_times.states.push(event_time.states[row]);
        batch.ops.push(op);
        batch.partitions.push(record.partition);
        batch.offsets.push(record.offset);
        batch.rows_in_record.push(0);
        let place = change.source;
        batch.origins.push(Some(Origin {
            server: place.server,
            position: Position { file: place.file, pos: place.pos, row: place.row, rank },
            source_time: place.ts_ms * 1_000,
        }));
        batch.before_present.push(u8::from(change.before));
        batch.after_present.push(u8::from(change.after));
        Ok(())
    }
}

#[derive(Default)]
struct Change {
    op: u8,
    before: bool,
    after: bool,
    source: Place,
}

#[derive(Default)]
struct Place {
    server: u64,
    file: u64,
    pos: u64,
    row: u32,
    ts_ms: i64,
}

struct Envelope<'a> {
    plan: &'a Plan,
    batch: &'a mut ChangeBatch,
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = Change;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a change")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Change, A::Error> {
        let mut change = Change::default();
        let Envelope { plan, batch } = self;
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "before" => {
                    let (cells, dictionaries) = (&mut batch.before, &mut batch.dictionaries);
                    change.before = map.next_value_seed(Image { plan, cells, dictionaries })?;
                }
                "after" => {
                    let (cells, dictionaries) = (&mut batch.after, &mut batch.dictionaries);
                    change.after = map.next_value_seed(Image { plan, cells, dictionaries })?;
                }
                "source" => change.source = map.next_value_seed(SourceBlock)?,
                "op" => change.op = map.next_value::<&str>()?.as_bytes().first().copied().unwrap_or(0),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(change)
    }
}

struct SourceBlock;

impl<'de> DeserializeSeed<'de> for SourceBlock {
    type Value = Place;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SourceBlock {
    type Value = Place;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a source block")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Place, A::Error> {
        let mut place = Place::default();
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "server_id" => place.server = map.next_value()?,
                "file" => {
                    let name = map.next_value::<&str>()?;
                    let number = name.rsplit('.').next().and_then(|n| n.parse().ok());
                    place.file = number.ok_or_else(|| A::Error::custom("no binlog file"))?;
                }
                "pos" => place.pos = map.next_value()?,
                "row" => place.row = map.next_value()?,
                "ts_ms" => place.ts_ms = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(place)
    }
}

struct Image<'a> {
    plan: &'a Plan,
    cells: &'a mut [Cells],
    dictionaries: &'a mut [Dictionary],
}

impl<'de> DeserializeSeed<'de> for Image<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Image<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an image or null")
    }
    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        self.plan.asked.iter().for_each(|&c| self.cells[c].push_null());
        Ok(false)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut seen = 0;
        while let Some(key) = map.next_key::<&str>()? {
            match self.plan.asked_column(key) {
                Some(c) => {
                    let (ty, cells, dictionary) =
                        (&self.plan.types[c], &mut self.cells[c], &mut self.dictionaries[c]);
                    map.next_value_seed(Cell { ty, cells, dictionary })?;
                    seen += 1;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if seen == self.plan.asked.len() { Ok(true) } else { Err(A::Error::custom("a column is missing")) }
    }
}

struct Cell<'a> {
    ty: &'a CellType,
    cells: &'a mut Cells,
    dictionary: &'a mut Dictionary,
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a cell")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.ty.push_null(self.cells);
        Ok(())
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.ty.ty {
            ColumnType::Bool => self.cells.push(i64::from(value)),
            _ => self.cells.push_unfit(),
        }
        Ok(())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let value = match self.ty.ty {
            ColumnType::Int => Some(value),
            ColumnType::Time(unit) => crate::time::from_count(value, unit),
            ColumnType::Bool => (value == 0 || value == 1).then_some(value),
            ColumnType::Float => Some((value as f64).to_bits() as i64),
            _ => None,
        };
        match value {
            Some(value) => self.cells.push(value),
            None => self.cells.push_unfit(),
        }
        Ok(())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => {
                self.cells.push_unfit();
                Ok(())
            }
        }
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.ty.ty {
            ColumnType::Float if value.is_finite() => self.cells.push(value.to_bits() as i64),
            _ => self.cells.push_unfit(),
        }
        Ok(())
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.ty.ty {
            ColumnType::Text => self.cells.push(i64::from(self.dictionary.code(text.as_bytes()))),
            ColumnType::Time(weir_types::schema::TimeUnit::Iso) => {
                match crate::time::from_iso(text.as_bytes()) {
                    Some(micros) => self.cells.push(micros),
                    None => self.cells.push_unfit(),
                }
            }
            ty => match text.parse() {
                Ok(value) if ty != ColumnType::Float => return self.visit_i64(value),
                _ => self.cells.push_unfit(),
            },
        }
        Ok(())
    }
}
