//! The shape of records of a topic, as the last ones had it.
//!
//! A shape is a row of parts: bytes that stand before a value, then the value. Most values beside the
//! images never change from record to record (the connector's name, the table, the schema envelope): they
//! belong to the compared bytes until one is seen to differ. So a record is a few long comparisons.

use crate::general::{Change, Facts, Images};
use crate::json::{Entry, offset_in};
use crate::plan::Plan;
use crate::simd::BLOCK;
use weir_types::batch::{Origin, Position};

/// Shapes remembered per topic: tables times variants (a schema before and after ALTER TABLE, two
/// binlog files) that arrive interleaved.
const TEMPLATES_MAX: usize = 16;
/// The same for tables that nobody declared: few, so that they never push out the declared ones.
const UNKNOWN_TEMPLATES_MAX: usize = 4;
/// Longer shapes are not remembered: they are no records of a table.
const SHAPE_BYTES_MAX: usize = 1 << 20;
/// Longer values are never taken for constants.
const CONSTANT_BYTES_MAX: usize = 4096;
/// More values than this are not remembered.
const PARTS_MAX: usize = 4096;

/// What a value outside the images is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// It decides what the record is, and must not differ.
    Exact,
    /// Passed over.
    Skip,
    Before,
    After,
    Op,
    SourceTime,
    Position,
    Row,
}

/// A value and what stands before it.
#[derive(Clone, Debug)]
struct Part {
    before: Vec<u8>,
    slot: Slot,
    /// Its bytes, as long as they have not differed (always, for [`Slot::Exact`]).
    constant: Option<Vec<u8>>,
}

/// Bytes to be compared: a range of the arena, which has a whole block after it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Literal {
    pub start: u32,
    pub len: u32,
    /// Bits of the first block that count.
    pub mask: u32,
}

/// Compared bytes of a template.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arena {
    pub bytes: Vec<u8>,
}

impl Arena {
    fn add(&mut self, literal: &[u8]) -> Literal {
        // The padding of the one before becomes this one's place.
        self.bytes.truncate(self.bytes.len().saturating_sub(BLOCK));
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(literal);
        self.bytes.extend_from_slice(&[0; BLOCK]);
        let counted = literal.len().min(BLOCK) as u32;
        Literal { start, len: literal.len() as u32, mask: (1u32 << counted) - 1 }
    }
}

/// A step through the envelope: compare, then read the value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub literal: Literal,
    pub slot: Slot,
}

/// A step through an image: compare, then read the cell (`None`: pass over the value).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub literal: Literal,
    pub column: Option<u32>,
}

/// The shape of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// What stands before each value, and the column it is for.
    parts: Vec<(Vec<u8>, Option<u32>)>,
    closing: Vec<u8>,
    pub fields: Vec<Field>,
    pub tail: Literal,
    /// Asked columns that it lacks.
    pub missing: Vec<u32>,
}

/// A shape, ready for [`crate::fast`].
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// None: a table that nobody declared.
    pub source: Option<usize>,
    parts: Vec<Part>,
    closing: Vec<u8>,
    pub row: Row,
    pub arena: Arena,
    pub steps: Vec<Step>,
    pub tail: Literal,
    pub has_before: bool,
    pub has_after: bool,
    /// Whether the records are the last reads of their tables in a snapshot.
    pub last_read: bool,
    /// Server and file, if the records have a position.
    pub origin: Option<Origin>,
}

/// The shapes of one topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Templates {
    all: Vec<Template>,
    last: usize,
}

impl Templates {
    /// The one that fitted last, then the others.
    #[inline(always)]
    pub fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let last = self.last;
        let first = (last < self.all.len()).then_some(last);
        first.into_iter().chain((0..self.all.len()).filter(move |at| *at != last))
    }
    #[inline(always)]
    pub fn get(&self, at: usize) -> &Template {
        &self.all[at]
    }
    #[inline(always)]
    pub fn hit(&mut self, at: usize) {
        self.last = at;
    }

    /// Remembers the shape of a change of a declared table. `by_database`: its database decides, too, whose
    /// the record is.
    pub fn learn(
        &mut self,
        value: &[u8],
        change: &Change,
        (images, facts): (&Images, &Facts),
        (source, plan): (usize, &Plan),
        by_database: bool,
    ) {
        let Some(row) = images.after.as_deref().or(images.before.as_deref()) else { return };
        let raw = find_raw(change, if facts.after { "after" } else { "before" });
        let Some(row) = raw.and_then(|raw| Row::of(raw.as_bytes(), row, plan)) else { return };
        let slot_of = |entry: &Entry| match &*entry.key {
            "before" => Slot::Before,
            "after" => Slot::After,
            "op" => Slot::Op,
            _ => Slot::Skip,
        };
        let source_slot = |entry: &Entry| match &*entry.key {
            "table" | "file" | "server_id" | "snapshot" => Slot::Exact,
            "db" if by_database => Slot::Exact,
            "ts_ms" | "pos" | "row" if entry.raw == "null" => Slot::Exact,
            "ts_ms" => Slot::SourceTime,
            "pos" => Slot::Position,
            "row" => Slot::Row,
            _ => Slot::Skip,
        };
        let wanted = ["before", "after", "op", "source"];
        let wanted_source = ["table", "db", "file", "server_id", "snapshot", "ts_ms", "pos", "row"];
        if is_repeated(&change.payload, &wanted) || is_repeated(&change.source, &wanted_source) {
            return;
        }
        let Some((parts, closing)) = parts(value, change, slot_of, source_slot) else { return };
        let has = |slot: Slot| parts.iter().any(|p| p.slot == slot);
        let (has_before, has_after) = (has(Slot::Before), has(Slot::After));
        let origin = facts.origin.map(|o| Origin {
            position: Position { pos: 0, row: 0, ..o.position },
            source_time: 0,
            ..o
        });
        self.add(Template {
            source: Some(source),
            parts,
            closing,
            row,
            arena: Arena::default(),
            steps: Vec::new(),
            tail: Literal::default(),
            has_before,
            has_after,
            last_read: facts.last_read,
            origin,
        });
    }

    /// Remembers the shape of a change of a table that nobody declared.
    pub fn learn_unknown(&mut self, value: &[u8], change: &Change, by_database: bool) {
        if is_repeated(&change.payload, &["source"]) || is_repeated(&change.source, &["table", "db"]) {
            return;
        }
        let source_slot = |entry: &Entry| match &*entry.key {
            "table" => Slot::Exact,
            "db" if by_database => Slot::Exact,
            _ => Slot::Skip,
        };
        let Some((parts, closing)) = parts(value, change, |_| Slot::Skip, source_slot) else { return };
        self.add(Template {
            source: None,
            parts,
            closing,
            row: Row::default(),
            arena: Arena::default(),
            steps: Vec::new(),
            tail: Literal::default(),
            has_before: false,
            has_after: false,
            last_read: false,
            origin: None,
        });
    }

    fn add(&mut self, mut new: Template) {
        // What has differed once among records of this shape is no constant, whatever file they are of.
        let mut place = None;
        for (at, old) in self.all.iter().enumerate() {
            if !old.has_parts_of(&new) {
                continue;
            }
            for (part, old) in new.parts.iter_mut().zip(&old.parts) {
                if part.slot == Slot::Skip && part.constant != old.constant {
                    part.constant = None;
                }
            }
            if old.has_exact_of(&new) {
                place = Some(at);
            }
        }
        new.compile();
        match place {
            Some(at) => self.all[at] = new,
            None => {
                self.make_room(new.source.is_some());
                self.all.push(new);
            }
        }
        self.last = place.unwrap_or(self.all.len() - 1);
    }

    /// Forgets the oldest of the kind if there are too many.
    fn make_room(&mut self, is_declared: bool) {
        let most = if is_declared { TEMPLATES_MAX } else { UNKNOWN_TEMPLATES_MAX };
        let of_kind = |t: &Template| t.source.is_some() == is_declared;
        if self.all.iter().filter(|t| of_kind(t)).count() >= most
            && let Some(oldest) = self.all.iter().position(of_kind)
        {
            self.all.remove(oldest);
        }
    }
}

impl Template {
    /// Whether the bytes around the values are the same.
    fn has_parts_of(&self, other: &Template) -> bool {
        self.source == other.source
            && self.parts.len() == other.parts.len()
            && self.closing == other.closing
            && self.row.parts == other.row.parts
            && self.row.closing == other.row.closing
            && self.parts.iter().zip(&other.parts).all(|(a, b)| a.slot == b.slot && a.before == b.before)
    }

    /// Whether the values that must not differ are the same, too.
    fn has_exact_of(&self, other: &Template) -> bool {
        self.parts.iter().zip(&other.parts).all(|(a, b)| a.slot != Slot::Exact || a.constant == b.constant)
    }

    /// Joins constants with the bytes around them.
    fn compile(&mut self) {
        let mut literal = Vec::new();
        self.steps.clear();
        self.arena = Arena::default();
        for part in &self.parts {
            literal.extend_from_slice(&part.before);
            match &part.constant {
                Some(constant) => literal.extend_from_slice(constant),
                None => {
                    self.steps.push(Step { literal: self.arena.add(&literal), slot: part.slot });
                    literal.clear();
                }
            }
        }
        literal.extend_from_slice(&self.closing);
        self.tail = self.arena.add(&literal);
        self.row.fields = self
            .row
            .parts
            .iter()
            .map(|(before, column)| Field { literal: self.arena.add(before), column: *column })
            .collect();
        self.row.tail = self.arena.add(&self.row.closing);
    }
}

impl Row {
    /// The shape of the image that `raw` is; None if it is not to be remembered.
    fn of(raw: &[u8], entries: &[Entry], plan: &Plan) -> Option<Row> {
        let mut row = Row { missing: plan.asked.iter().map(|c| *c as u32).collect(), ..Row::default() };
        let mut at = 0;
        for entry in entries {
            let column = plan.asked_column(&entry.key).map(|c| c as u32);
            if let Some(column) = column {
                // A column that occurs twice is no longer missing: its last value counts, so leave it be.
                let place = row.missing.iter().position(|m| *m == column)?;
                row.missing.remove(place);
            }
            let start = offset_in(raw, entry.raw);
            row.parts.push((raw[at..start].to_vec(), column));
            at = start + entry.raw.len();
        }
        row.closing = raw[at..].to_vec();
        let bytes: usize = row.parts.iter().map(|(before, _)| before.len()).sum();
        (row.parts.len() <= PARTS_MAX && bytes <= SHAPE_BYTES_MAX).then_some(row)
    }
}

fn find_raw<'a>(change: &Change<'a>, name: &str) -> Option<&'a str> {
    crate::json::find(&change.payload, name)
}

fn is_repeated(entries: &[Entry], names: &[&str]) -> bool {
    names.iter().any(|name| entries.iter().filter(|e| e.key == *name).count() > 1)
}

/// Parts of a whole record, and what follows the last value.
fn parts(
    value: &[u8],
    change: &Change,
    slot_of: impl Fn(&Entry) -> Slot,
    source_slot: impl Fn(&Entry) -> Slot,
) -> Option<(Vec<Part>, Vec<u8>)> {
    let mut all = Vec::new();
    let mut at = 0;
    let mut bytes = 0;
    let mut add = |entry: &Entry, slot: Slot| {
        let start = offset_in(value, entry.raw);
        let is_constant = match slot {
            Slot::Exact => true,
            Slot::Skip => entry.raw.len() <= CONSTANT_BYTES_MAX,
            _ => false,
        };
        let constant = is_constant.then(|| entry.raw.as_bytes().to_vec());
        let before = value[at..start].to_vec();
        bytes += before.len() + constant.as_ref().map_or(0, Vec::len);
        all.push(Part { before, slot, constant });
        at = start + entry.raw.len();
    };
    let mut payload = || {
        for entry in &change.payload {
            if entry.key == "source" {
                change.source.iter().for_each(|e| add(e, source_slot(e)));
            } else {
                add(entry, slot_of(entry));
            }
        }
    };
    match &change.envelope {
        None => payload(),
        Some(envelope) => {
            if is_repeated(envelope, &["schema", "payload", "op"]) || envelope.len() != 2 {
                return None;
            }
            // The schema lies before (or after) the payload's values and is compared with what is around it.
            payload();
        }
    }
    let closing = value[at..].to_vec();
    (all.len() <= PARTS_MAX && bytes + closing.len() <= SHAPE_BYTES_MAX).then_some((all, closing))
}
