//! Typed reading of row images. The columns are those of the metric catalogue.

use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

/// How a column is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Int,
    /// 0 or 1.
    Flag,
    Text,
    /// Milliseconds since the Unix epoch; microseconds when read.
    TimeMs,
}

/// A column of a source table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub ty: Type,
    pub nullable: bool,
}

/// A text of which there is one copy. There are few: states, channels, names of sets and keys.
pub type Word = &'static str;

/// The one copy of a text.
pub fn word(text: &str) -> Word {
    thread_local!(static WORDS: RefCell<HashSet<Word>> = RefCell::default());
    WORDS.with_borrow_mut(|words| match words.get(text) {
        Some(word) => word,
        None => {
            let word: Word = Box::leak(text.into());
            words.insert(word);
            word
        }
    })
}

/// What stands in a column of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    Null,
    Int(i64),
    Text(Word),
    /// Missing, of another type, or null where null is not allowed.
    Unfit,
}

impl Cell {
    pub fn int(self) -> Option<i64> {
        match self {
            Cell::Int(value) => Some(value),
            _ => None,
        }
    }
    pub fn text(self) -> Word {
        match self {
            Cell::Text(text) => text,
            _ => "",
        }
    }
    /// Canonical text of a dimension value: null is `\N`, so a `\` in a text is doubled.
    pub fn canonical(self) -> Word {
        match self {
            Cell::Int(value) => word(&value.to_string()),
            Cell::Text(text) if text.contains('\\') => word(&text.replace('\\', "\\\\")),
            Cell::Text(text) => text,
            Cell::Null | Cell::Unfit => "\\N",
        }
    }
}

/// A row image: a cell for each column of its table.
pub type Row = Rc<[Cell]>;

/// Reads an image. One that is no object has nothing that fits.
pub fn row(image: &Value, table: &Table) -> Row {
    table.columns.iter().map(|column| cell(image, column)).collect()
}

/// Whether the row has its primary key: without one nobody knows which row it is.
pub fn is_named(row: &Row) -> bool {
    matches!(row[0], Cell::Int(_) | Cell::Text(_))
}

fn cell(image: &Value, column: &Column) -> Cell {
    let Some(value) = image.get(column.name) else { return Cell::Unfit };
    if value.is_null() {
        return if column.nullable { Cell::Null } else { Cell::Unfit };
    }
    let fits = match column.ty {
        Type::Int => whole(value).map(Cell::Int),
        Type::Flag => flag(value).map(Cell::Int),
        Type::TimeMs => whole(value).and_then(|ms| ms.checked_mul(1_000)).map(Cell::Int),
        Type::Text => value.as_str().map(|text| Cell::Text(word(text))),
    };
    fits.unwrap_or(Cell::Unfit)
}

/// A whole number, in quotes or not.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if !text.starts_with('+') => text.parse().ok(),
        _ => None,
    }
}

/// TINYINT or BIT(1), which connectors write in several ways.
fn flag(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::String(text) if text == "true" || text == "AQ==" => Some(1),
        Value::String(text) if text == "false" || text == "AA==" => Some(0),
        other => whole(other).filter(|number| (0..=1).contains(number)),
    }
}

const fn flag_column(name: &'static str) -> Column {
    Column { name, ty: Type::Flag, nullable: false }
}
const fn int(name: &'static str) -> Column {
    Column { name, ty: Type::Int, nullable: false }
}
const fn text(name: &'static str) -> Column {
    Column { name, ty: Type::Text, nullable: false }
}
const fn time(name: &'static str) -> Column {
    Column { name, ty: Type::TimeMs, nullable: false }
}
const fn or_null(column: Column) -> Column {
    Column { nullable: true, ..column }
}

/// A source table and its columns; the first column is the primary key.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
}

impl Table {
    /// The place of a column that is known to be there: the definitions name only such, which a test
    /// checks.
    pub fn place(&self, name: &str) -> usize {
        self.columns.iter().position(|c| c.name == name).unwrap_or(0)
    }

    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|c| c.name == name)
    }
}

pub static TICKET: Table = Table {
    name: "ticket",
    columns: &[
        int("id"),
        int("queue_id"),
        text("channel"),
        int("priority"),
        int("customer_id"),
        or_null(int("assignee_id")),
        text("status"),
        time("created_at"),
        or_null(time("assigned_at")),
        or_null(time("first_reply_at")),
        or_null(time("solved_at")),
        or_null(time("closed_at")),
        int("reopen_count"),
        int("reply_count"),
        flag_column("escalated"),
        or_null(time("first_reply_due_at")),
        or_null(time("resolve_due_at")),
        time("updated_at"),
    ],
};

pub static CALL_RECORD: Table = Table {
    name: "call_record",
    columns: &[
        int("id"),
        int("queue_id"),
        text("direction"),
        int("customer_id"),
        or_null(int("agent_id")),
        text("status"),
        time("started_at"),
        or_null(time("queued_at")),
        or_null(time("answered_at")),
        or_null(time("ended_at")),
        or_null(time("wrapup_ended_at")),
        int("talk_seconds"),
        int("hold_seconds"),
        int("hold_count"),
        int("missed_count"),
        flag_column("transferred_in"),
        flag_column("transferred_out"),
        or_null(text("ended_by")),
        time("updated_at"),
    ],
};

pub static IM_SESSION: Table = Table {
    name: "im_session",
    columns: &[
        int("id"),
        int("queue_id"),
        text("channel"),
        int("customer_id"),
        or_null(int("agent_id")),
        text("status"),
        time("created_at"),
        or_null(time("queued_at")),
        or_null(time("assigned_at")),
        or_null(time("first_reply_at")),
        or_null(time("last_customer_message_at")),
        or_null(time("last_agent_message_at")),
        or_null(time("closed_at")),
        int("customer_messages"),
        int("agent_messages"),
        int("reply_wait_seconds"),
        time("updated_at"),
    ],
};

pub static AGENT_STATE: Table = Table {
    name: "agent_state",
    columns: &[
        int("agent_id"),
        int("queue_id"),
        text("state"),
        time("since"),
        int("slots"),
        int("slots_used"),
        time("updated_at"),
    ],
};

pub static SURVEY: Table = Table {
    name: "survey",
    columns: &[
        int("id"),
        text("subject"),
        int("subject_id"),
        int("queue_id"),
        or_null(int("agent_id")),
        time("sent_at"),
        or_null(int("score")),
        or_null(flag_column("resolved")),
        or_null(time("rated_at")),
        time("updated_at"),
    ],
};

/// Names and teams; no metric looks at them.
pub static AGENT: Table =
    Table { name: "agent", columns: &[int("id"), text("name"), int("team_id"), time("updated_at")] };

/// Names of queues; no metric looks at them.
pub static QUEUE: Table = Table { name: "queue", columns: &[int("id"), text("name"), time("updated_at")] };

pub static TABLES: [&Table; 7] = [&TICKET, &CALL_RECORD, &IM_SESSION, &AGENT_STATE, &SURVEY, &AGENT, &QUEUE];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_may_be_quoted_and_anything_else_does_not_fit() {
        let column = int("queue_id");
        let read = |value: Value| cell(&json!({ "queue_id": value }), &column);
        assert_eq!(read(json!(7)), Cell::Int(7));
        assert_eq!(read(json!("7")), Cell::Int(7));
        for bad in [json!(7.5), json!("seven"), json!(null), json!({}), json!("+7"), json!(u64::MAX)] {
            assert_eq!(read(bad), Cell::Unfit);
        }
        assert_eq!(cell(&json!({}), &or_null(column)), Cell::Unfit, "missing is not null");
        assert_eq!(cell(&json!({ "queue_id": null }), &or_null(column)), Cell::Null);
    }

    #[test]
    fn times_become_microseconds_and_texts_stay_texts() {
        assert_eq!(cell(&json!({ "created_at": 5 }), &time("created_at")), Cell::Int(5_000));
        assert_eq!(cell(&json!({ "status": 5 }), &text("status")), Cell::Unfit);
        assert_eq!(Cell::Text("\\N").canonical(), "\\\\N");
        assert_eq!(Cell::Null.canonical(), "\\N");
    }

    #[test]
    fn a_flag_is_zero_or_one_however_it_is_written() {
        let read = |value: Value| cell(&json!({ "escalated": value }), &flag_column("escalated"));
        for one in [json!(1), json!(true), json!("1"), json!("true"), json!("AQ==")] {
            assert_eq!(read(one), Cell::Int(1));
        }
        for zero in [json!(0), json!(false), json!("0"), json!("AA==")] {
            assert_eq!(read(zero), Cell::Int(0));
        }
        for bad in [json!(2), json!("yes"), json!(null), json!(0.5)] {
            assert_eq!(read(bad), Cell::Unfit);
        }
    }

    #[test]
    fn a_row_has_a_cell_for_each_column_of_its_table() {
        let row = row(&json!({ "agent_id": 7, "state": "break", "slots": "3" }), &AGENT_STATE);
        assert_eq!(row.len(), AGENT_STATE.columns.len());
        assert_eq!(row[AGENT_STATE.place("state")], Cell::Text("break"));
        assert_eq!(row[AGENT_STATE.place("slots")], Cell::Int(3));
        assert_eq!(row[AGENT_STATE.place("since")], Cell::Unfit);
    }
}
