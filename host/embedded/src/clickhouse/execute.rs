//! Runs one call on a connection of its own, on a blocking thread.

use super::blocks::{BlockReader, BodyReader, fill};
use super::call::Call;
use super::engine::{Connection, Engine, QueryResult, Stats};
use super::sql;
use std::io::Read;

/// A statement as text may not be longer than this.
const SQL_BYTES_MAX: u64 = 64 << 20;
/// How much of an insert's data goes to the engine at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// What a call gave.
pub struct Answer {
    /// None for an insert.
    pub result: Option<QueryResult>,
    pub format: String,
    pub stats: Stats,
}

/// Err is ClickHouse's error text, `Code: …`.
pub fn execute(engine: &Engine, call: &Call, body: BodyReader) -> Result<Answer, String> {
    call.check()?;
    let connection = engine.connect()?;
    apply_settings(&connection, call)?;
    let mut body: Box<dyn Read> =
        if call.decompress { Box::new(BlockReader::new(body)) } else { Box::new(body) };

    // A statement in the URL with the data in the body need not be read as a whole.
    if let Some(insert) = sql::insert_parts(call.sql.as_bytes()) {
        let inline = call.sql.as_bytes()[insert.data..].to_vec();
        return stream_insert(&connection, &insert, &inline, &mut *body);
    }
    let mut text = call.sql.clone().into_bytes();
    if !text.is_empty() {
        text.push(b'\n');
    }
    body.take(SQL_BYTES_MAX).read_to_end(&mut text).map_err(|e| network(&e))?;
    if text.len() as u64 >= SQL_BYTES_MAX {
        return Err("Code: 62. DB::Exception: Syntax error: the statement is longer than 64 MiB; put the \
                    statement into the URL and the data into the body. (SYNTAX_ERROR)"
            .into());
    }
    if let Some(insert) = sql::insert_parts(&text) {
        return stream_insert(&connection, &insert, &text[insert.data..], &mut std::io::empty());
    }
    query(&connection, call, &text)
}

fn apply_settings(connection: &Connection, call: &Call) -> Result<(), String> {
    if let Some(database) = &call.database {
        connection.query(format!("USE {}", sql::identifier(database)).as_bytes(), "Null", &[])?;
    }
    let mut settings: Vec<String> =
        call.settings.iter().map(|(k, v)| format!("{} = {}", sql::identifier(k), sql::quote(v))).collect();
    if call.readonly {
        settings.push("readonly = 2".into());
    }
    if !settings.is_empty() {
        connection.query(format!("SET {}", settings.join(", ")).as_bytes(), "Null", &[])?;
    }
    Ok(())
}

fn query(connection: &Connection, call: &Call, text: &[u8]) -> Result<Answer, String> {
    if sql::first_word(text).is_empty() {
        return Err("Code: 62. DB::Exception: Syntax error: Empty query. (SYNTAX_ERROR)".into());
    }
    if connection.statements(text) > 1 {
        return Err(
            "Code: 62. DB::Exception: Syntax error (Multi-statements are not allowed). (SYNTAX_ERROR)".into(),
        );
    }
    let written = std::str::from_utf8(text).ok().and_then(sql::trailing_format);
    let format = written.or(call.default_format.as_deref()).unwrap_or("TabSeparated").to_string();
    let result = connection.query(text, &format, &call.params)?;
    Ok(Answer { stats: result.stats(), result: Some(result), format })
}

fn stream_insert(
    connection: &Connection,
    parts: &sql::InsertParts,
    inline: &[u8],
    body: &mut dyn Read,
) -> Result<Answer, String> {
    let mut insert = connection.insert(&parts.head, &parts.format)?;
    if !inline.is_empty() {
        insert.append(inline)?;
    }
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        // An error here drops `insert`, which cancels it: a client that went away inserts nothing
        // of the block that was under way.
        match fill(body, &mut chunk).map_err(|e| network(&e))? {
            0 => break,
            n => insert.append(&chunk[..n])?,
        }
    }
    Ok(Answer { result: None, format: "Null".into(), stats: insert.finish()? })
}

fn network(error: &std::io::Error) -> String {
    let (code, name) = match error.kind() {
        std::io::ErrorKind::InvalidData => (271, "CANNOT_DECOMPRESS"),
        _ => (210, "NETWORK_ERROR"),
    };
    format!("Code: {code}. DB::Exception: {error}. ({name})")
}
