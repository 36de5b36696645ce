//! Rows of the seven tables and their columns, in the order of examples/service/migrations: the one place
//! that all formats and the SQL read them from.

use crate::life::agent::AgentState;
use crate::life::call::Call;
use crate::life::lookup::{Agent, Queue};
use crate::life::session::Session;
use crate::life::survey::Survey;
use crate::life::ticket::Ticket;

/// All tables, in the order in which a snapshot reads them.
pub const TABLES: [&str; 7] =
    ["agent", "agent_state", "call_record", "im_session", "queue", "survey", "ticket"];

#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    Ticket(Ticket),
    Call(Call),
    Session(Session),
    State(AgentState),
    Survey(Survey),
    Agent(Agent),
    Queue(Queue),
}

/// A column's name, and how it begins in a JSON object.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    /// `,"name":`
    pub json: &'static str,
    /// The same as it stands inside a JSON string.
    pub json_in_string: &'static str,
}

/// What stands in a column. The texts of the life hold nothing that JSON or SQL would escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    Null,
    Number(i64),
    /// Milliseconds since the Unix epoch.
    Time(i64),
    Text(&'a str),
}

#[inline(always)]
fn int<'a>(value: impl Into<Option<i64>>) -> Cell<'a> {
    value.into().map_or(Cell::Null, Cell::Number)
}
#[inline(always)]
fn time<'a>(value: impl Into<Option<i64>>) -> Cell<'a> {
    value.into().map_or(Cell::Null, Cell::Time)
}
#[inline(always)]
fn text<'a>(value: impl Into<Option<&'a str>>) -> Cell<'a> {
    value.into().map_or(Cell::Null, Cell::Text)
}

/// Looks at columns. What is inlined here knows the lengths of all names, which makes the records' bytes cheap.
pub trait Visit<'a> {
    fn see(&mut self, column: Column, cell: Cell<'a>);
}

impl<'a, F: FnMut(Column, Cell<'a>)> Visit<'a> for F {
    #[inline]
    fn see(&mut self, column: Column, cell: Cell<'a>) {
        self(column, cell);
    }
}

/// Shows every column of a row in order: the field's name is the column's.
macro_rules! show {
    ($visit:ident, $row:ident; $($name:ident: $cell:expr),* $(,)?) => {
        {
            $($visit.see(
                Column {
                    name: stringify!($name),
                    json: concat!(",\"", stringify!($name), "\":"),
                    json_in_string: concat!(",\\\"", stringify!($name), "\\\":"),
                },
                $cell,
            );)*
        }
    };
}

impl Row {
    /// The primary key's value.
    pub fn id(&self) -> i64 {
        match self {
            Row::Ticket(row) => row.id,
            Row::Call(row) => row.id,
            Row::Session(row) => row.id,
            Row::State(row) => row.agent_id,
            Row::Survey(row) => row.id,
            Row::Agent(row) => row.id,
            Row::Queue(row) => row.id,
        }
    }

    /// The primary key's column.
    pub fn key(&self) -> &'static str {
        if matches!(self, Row::State(_)) { "agent_id" } else { "id" }
    }

    pub fn updated_at(&self) -> i64 {
        match self {
            Row::Ticket(row) => row.updated_at,
            Row::Call(row) => row.updated_at,
            Row::Session(row) => row.updated_at,
            Row::State(row) => row.updated_at,
            Row::Survey(row) => row.updated_at,
            Row::Agent(row) => row.updated_at,
            Row::Queue(row) => row.updated_at,
        }
    }

    pub fn set_updated_at(&mut self, at: i64) {
        *match self {
            Row::Ticket(row) => &mut row.updated_at,
            Row::Call(row) => &mut row.updated_at,
            Row::Session(row) => &mut row.updated_at,
            Row::State(row) => &mut row.updated_at,
            Row::Survey(row) => &mut row.updated_at,
            Row::Agent(row) => &mut row.updated_at,
            Row::Queue(row) => &mut row.updated_at,
        } = at;
    }

    pub fn table(&self) -> &'static str {
        match self {
            Row::Ticket(_) => "ticket",
            Row::Call(_) => "call_record",
            Row::Session(_) => "im_session",
            Row::State(_) => "agent_state",
            Row::Survey(_) => "survey",
            Row::Agent(_) => "agent",
            Row::Queue(_) => "queue",
        }
    }

    /// Shows every column in the table's order.
    #[inline]
    pub fn each<'a>(&'a self, mut visit: impl Visit<'a>) {
        match self {
            Row::Ticket(row) => show!(visit, row;
                id: int(row.id),
                queue_id: int(row.queue_id),
                channel: text(row.channel),
                priority: int(row.priority),
                customer_id: int(row.customer_id),
                assignee_id: int(row.assignee_id),
                status: text(row.status.text()),
                created_at: time(row.created_at),
                assigned_at: time(row.assigned_at),
                first_reply_at: time(row.first_reply_at),
                solved_at: time(row.solved_at),
                closed_at: time(row.closed_at),
                reopen_count: int(row.reopen_count),
                reply_count: int(row.reply_count),
                escalated: int(row.escalated),
                first_reply_due_at: time(row.first_reply_due_at),
                resolve_due_at: time(row.resolve_due_at),
                updated_at: time(row.updated_at),
            ),
            Row::Call(row) => show!(visit, row;
                id: int(row.id),
                queue_id: int(row.queue_id),
                direction: text(row.direction),
                customer_id: int(row.customer_id),
                agent_id: int(row.agent_id),
                status: text(row.status.text()),
                started_at: time(row.started_at),
                queued_at: time(row.queued_at),
                answered_at: time(row.answered_at),
                ended_at: time(row.ended_at),
                wrapup_ended_at: time(row.wrapup_ended_at),
                talk_seconds: int(row.talk_seconds),
                hold_seconds: int(row.hold_seconds),
                hold_count: int(row.hold_count),
                missed_count: int(row.missed_count),
                transferred_in: int(row.transferred_in),
                transferred_out: int(row.transferred_out),
                ended_by: text(row.ended_by),
                updated_at: time(row.updated_at),
            ),
            Row::Session(row) => show!(visit, row;
                id: int(row.id),
                queue_id: int(row.queue_id),
                channel: text(row.channel),
                customer_id: int(row.customer_id),
                agent_id: int(row.agent_id),
                status: text(row.status.text()),
                created_at: time(row.created_at),
                queued_at: time(row.queued_at),
                assigned_at: time(row.assigned_at),
                first_reply_at: time(row.first_reply_at),
                last_customer_message_at: time(row.last_customer_message_at),
                last_agent_message_at: time(row.last_agent_message_at),
                closed_at: time(row.closed_at),
                customer_messages: int(row.customer_messages),
                agent_messages: int(row.agent_messages),
                reply_wait_seconds: int(row.reply_wait_seconds),
                updated_at: time(row.updated_at),
            ),
            Row::State(row) => show!(visit, row;
                agent_id: int(row.agent_id),
                queue_id: int(row.queue_id),
                state: text(row.state.text()),
                since: time(row.since),
                slots: int(row.slots),
                slots_used: int(row.slots_used),
                updated_at: time(row.updated_at),
            ),
            Row::Survey(row) => show!(visit, row;
                id: int(row.id),
                subject: text(row.subject),
                subject_id: int(row.subject_id),
                queue_id: int(row.queue_id),
                agent_id: int(row.agent_id),
                sent_at: time(row.sent_at),
                score: int(row.score),
                resolved: int(row.resolved),
                rated_at: time(row.rated_at),
                updated_at: time(row.updated_at),
            ),
            Row::Agent(row) => show!(visit, row;
                id: int(row.id),
                name: text(row.name.as_str()),
                team_id: int(row.team_id),
                updated_at: time(row.updated_at),
            ),
            Row::Queue(row) => show!(visit, row;
                id: int(row.id),
                name: text(row.name.as_str()),
                updated_at: time(row.updated_at),
            ),
        }
    }

    /// All columns at once, where speed is no matter.
    pub fn cells(&self) -> Vec<(&'static str, Cell<'_>)> {
        let mut cells = Vec::with_capacity(20);
        self.each(|column: Column, cell| cells.push((column.name, cell)));
        cells
    }
}
