//! Births and closings.

use super::super::fakes::*;
use std::sync::Arc;
use weir_types::MINUTE;
use weir_types::Micros;
use weir_types::contract::*;
use weir_types::window::Window;

/// Counts rows that go or cease to be open, at the time that their last image says.
pub struct Closing(Box<dyn MetricInstance>);

impl MetricInstance for Closing {
    fn observe(&mut self, _: u32, changes: &Changes) -> Result<Samples, GuestError> {
        let is_open = |present: &[u8], column: &PackedColumn, row: u32| {
            pack::bit(present, row as usize)
                && pack::bit(&column.validity, row as usize)
                && text(&changes.dictionaries[1], pack::i64_at(&column.values, row as usize)) == "open"
        };
        let closes = |row: &u32| {
            let goes = !pack::bit(&changes.after_present, *row as usize);
            let was_open = is_open(&changes.before_present, &changes.before[1], *row);
            goes || (was_open && !is_open(&changes.after_present, &changes.after[1], *row))
        };
        let rows: Vec<u32> = (0..changes.rows).filter(closes).collect();
        let time = |row: &u32| pack::i64_at(&changes.before[0].values, *row as usize);
        let times: Vec<i64> = rows.iter().map(time).collect();
        Ok(Samples { rows: pack::u32s(&rows), times: pack::i64s(&times), ..Samples::default() })
    }
    fn observe_image(&mut self, input: u32, images: &Images) -> Result<Samples, GuestError> {
        self.0.observe_image(input, images)
    }
    fn accumulate(&mut self, parts: &Parts) -> Result<(), GuestError> {
        self.0.accumulate(parts)
    }
    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), GuestError> {
        self.0.merge(into, from)
    }
    fn evaluate(
        &mut self,
        slots: &[u32],
        starts: &[Micros],
        ends: &[Micros],
        clock: Micros,
    ) -> Result<Outputs, GuestError> {
        self.0.evaluate(slots, starts, ends, clock)
    }
    fn save(&mut self, slots: &[u32]) -> Result<States, GuestError> {
        self.0.save(slots)
    }
    fn load(&mut self, slots: &[u32], states: &States, version: u32) -> Result<(), GuestError> {
        self.0.load(slots, states, version)
    }
    fn release(&mut self, slots: &[u32]) -> Result<(), GuestError> {
        self.0.release(slots)
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

fn text(dictionary: &PackedDictionary, code: i64) -> String {
    crate::metric::text_of(dictionary, code).to_string()
}

pub struct Closings(Counting);

impl MetricFactory for Closings {
    fn info(&self) -> &MetricInfo {
        &self.0.info
    }
    fn digest(&self) -> &str {
        "counting"
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        Ok(Box::new(Closing(self.0.open()?)))
    }
}

/// Births and closings, each twice: the first of a name is stopped by the tests, its twin never.
pub fn metrics() -> Vec<Arc<dyn MetricFactory>> {
    let field = |name: &str, value_type| Field { name: name.into(), value_type, nullable: false };
    let windows = || vec![Window::Tumbling(MINUTE), Window::Day];
    let mut all: Vec<Arc<dyn MetricFactory>> = Vec::new();
    for twin in ["", ".twin"] {
        let created = field("created_at", ValueType::Time);
        let created = info(&format!("t.created{twin}"), created, windows());
        all.push(Arc::new(Counting { info: created }));
        let updated = field("updated_at", ValueType::Time);
        let mut closed = info(&format!("t.closed{twin}"), updated, windows());
        closed.inputs[0].fields = vec![
            field("updated_at", ValueType::Time),
            field("status", ValueType::Text),
            field("queue_id", ValueType::Int),
        ];
        all.push(Arc::new(Closings(Counting { info: closed })));
    }
    all
}
