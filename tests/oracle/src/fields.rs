//! Typed reading of row images. The columns are those of the metric catalogue.

use serde_json::Value;

/// How a column is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Int,
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

/// What stands in a column of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Null,
    Int(i64),
    Text(String),
    /// Missing, of another type, or null where null is not allowed.
    Unfit,
}

impl Cell {
    pub fn int(&self) -> Option<i64> {
        match self {
            Cell::Int(value) => Some(*value),
            _ => None,
        }
    }
    pub fn text(&self) -> &str {
        match self {
            Cell::Text(text) => text,
            _ => "",
        }
    }
    /// Canonical text of a dimension value: null is `\N`, so a `\` in a text is doubled.
    pub fn canonical(&self) -> String {
        match self {
            Cell::Int(value) => value.to_string(),
            Cell::Text(text) => text.replace('\\', "\\\\"),
            Cell::Null | Cell::Unfit => "\\N".into(),
        }
    }
}

/// A column of an image. An image that is no object has nothing that fits.
pub fn cell(image: &Value, column: &Column) -> Cell {
    let Some(value) = image.get(column.name) else { return Cell::Unfit };
    if value.is_null() {
        return if column.nullable { Cell::Null } else { Cell::Unfit };
    }
    let fits = match column.ty {
        Type::Int => whole(value).map(Cell::Int),
        Type::TimeMs => whole(value).and_then(|ms| ms.checked_mul(1_000)).map(Cell::Int),
        Type::Text => value.as_str().map(|text| Cell::Text(text.into())),
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
    /// A column that is known to be there: the definitions name only such.
    pub fn column(&self, name: &str) -> &'static Column {
        self.columns.iter().find(|c| c.name == name).unwrap_or(&self.columns[0])
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
        int("escalated"),
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
        int("transferred_in"),
        int("transferred_out"),
        or_null(text("ended_by")),
        time("updated_at"),
    ],
};

pub static TABLES: [&Table; 2] = [&TICKET, &CALL_RECORD];

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
        assert_eq!(Cell::Text("\\N".into()).canonical(), "\\\\N");
        assert_eq!(Cell::Null.canonical(), "\\N");
    }
}
