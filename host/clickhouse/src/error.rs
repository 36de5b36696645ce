//! What the caller must do about an error of ClickHouse: try again, or stop with a clear line.

use clickhouse::error::Error;
use std::fmt::Write as _;
use weir_types::ports::SinkError;

/// Longer texts are cut: ClickHouse likes to repeat the statement.
const TEXT_CHARS_MAX: usize = 400;

/// Unknown user, wrong password, password required, address not allowed, authentication failed.
const LOGIN: &[u32] = &[192, 193, 194, 195, 516];

/// Codes that no retry heals: something in the tables, the statement or the user's rights is not as
/// Weir needs it. What is not listed may pass (memory, disk, too many parts, time-outs, network,
/// read-only tables, a server that is starting).
const FATAL: &[u32] = &[
    16,  // NO_SUCH_COLUMN_IN_TABLE
    26,  // CANNOT_PARSE_QUOTED_STRING
    27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
    36,  // BAD_ARGUMENTS
    42,  // NUMBER_OF_ARGUMENTS_DOESNT_MATCH
    43,  // ILLEGAL_TYPE_OF_ARGUMENT
    44,  // ILLEGAL_COLUMN
    46,  // UNKNOWN_FUNCTION
    47,  // UNKNOWN_IDENTIFIER
    48,  // NOT_IMPLEMENTED
    50,  // UNKNOWN_TYPE
    53,  // TYPE_MISMATCH
    56,  // UNKNOWN_STORAGE
    57,  // TABLE_ALREADY_EXISTS
    60,  // UNKNOWN_TABLE
    62,  // SYNTAX_ERROR
    70,  // CANNOT_CONVERT_TYPE
    73,  // UNKNOWN_FORMAT
    80,  // INCORRECT_QUERY
    81,  // UNKNOWN_DATABASE
    115, // UNKNOWN_SETTING
    117, // INCORRECT_DATA
    164, // READONLY (the user, not the table: that is 242)
    349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
    386, // NO_COMMON_TYPE
    452, // SETTING_CONSTRAINT_VIOLATION
    497, // ACCESS_DENIED
];

/// Where and as whom the server is asked, for error texts.
#[derive(Clone, Debug)]
pub struct Target {
    /// Without user information and parameters.
    pub url: String,
    pub user: String,
}

impl Target {
    pub fn new(url: &str, user: &str) -> Target {
        let end = url.find(['?', '#']).unwrap_or(url.len());
        let shown = match url[..end].split_once("://") {
            Some((scheme, rest)) => {
                format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
            }
            None => url[..end].to_string(),
        };
        Target { url: shown.trim_end_matches('/').to_string(), user: user.to_string() }
    }

    /// `what` says what was being done: `inserting into metric_realtime`.
    pub fn classify(&self, what: &str, error: &Error) -> SinkError {
        let url = &self.url;
        match error {
            Error::BadResponse(text) => self.refused(what, text),
            Error::TimedOut => self.timed_out(what),
            Error::SchemaMismatch(_) | Error::InvalidParams(_) | Error::Unsupported(_) => SinkError::Fatal(
                format!("ClickHouse at {url}, {what}: {}; was the table changed?", chain(error)),
            ),
            _ => SinkError::Retry(format!("ClickHouse at {url}, {what}: {}", chain(error))),
        }
    }

    pub fn timed_out(&self, what: &str) -> SinkError {
        SinkError::Retry(format!("ClickHouse at {}, {what}: no answer in time", self.url))
    }

    fn refused(&self, what: &str, text: &str) -> SinkError {
        let (url, user) = (&self.url, &self.user);
        match code(text) {
            Some(code) if LOGIN.contains(&code) => SinkError::Fatal(format!(
                "ClickHouse at {url} does not let user `{user}` in: wrong user or password; set them in \
                 [clickhouse] of the configuration"
            )),
            Some(497) => SinkError::Fatal(format!(
                "ClickHouse at {url}, {what}: user `{user}` lacks a right: {}",
                one_line(text)
            )),
            Some(code) if FATAL.contains(&code) => {
                SinkError::Fatal(format!("ClickHouse at {url}, {what}: {}", one_line(text)))
            }
            Some(_) => SinkError::Retry(format!("ClickHouse at {url}, {what}: {}", one_line(text))),
            // The native port says so in plain text.
            None if text.contains("clickhouse-client") => SinkError::Fatal(format!(
                "{url} is ClickHouse's native port; set [clickhouse] url to its HTTP port (8123 by default)"
            )),
            None => SinkError::Retry(format!(
                "{url} does not answer as ClickHouse does: {}; is it ClickHouse's HTTP port?",
                one_line(text)
            )),
        }
    }
}

/// The number in `Code: 60. DB::Exception: …`.
pub fn code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Whether an error says that a table or database is not there.
pub fn is_absent(error: &Error) -> bool {
    matches!(error, Error::BadResponse(text) if matches!(code(text), Some(60 | 81)))
}

/// The error and its causes, which carry what matters (`connection refused`).
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            let _ = write!(text, ": {next}");
        }
        cause = error.source();
    }
    one_line(&text)
}

fn one_line(text: &str) -> String {
    let text = text.rsplit_once(" (version ").map_or(text, |(before, _)| before);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TEXT_CHARS_MAX) {
        None => line,
        Some((end, _)) => format!("{} …", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> SinkError {
        Target::new("http://me:secret@host:8123/?a=b", "me")
            .classify("inserting into t", &Error::BadResponse(text.into()))
    }

    #[test]
    fn a_wrong_password_is_one_clear_line_and_final() {
        let error = of("Code: 516. DB::Exception: me: Authentication failed.\nIf you have … (version 26.7)");
        let SinkError::Fatal(text) = error else { panic!("{error}") };
        assert!(text.contains("user `me`") && text.contains("password") && !text.contains('\n'), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for code in [241, 242, 243, 252, 159, 210, 999] {
            let error = of(&format!("Code: {code}. DB::Exception: x"));
            assert!(matches!(error, SinkError::Retry(_)), "{error}");
        }
        assert!(matches!(of("<html>502 Bad Gateway</html>"), SinkError::Retry(_)));
        let error = Target::new("http://h", "u").classify("x", &Error::TimedOut);
        assert!(matches!(error, SinkError::Retry(_)));
    }

    #[test]
    fn what_no_retry_heals_is_final() {
        for code in [60, 81, 53, 62, 497] {
            let error = of(&format!("Code: {code}. DB::Exception: x"));
            assert!(matches!(error, SinkError::Fatal(_)), "{error}");
        }
        let error = of("Port 9000 is for clickhouse-client program");
        assert!(matches!(&error, SinkError::Fatal(text) if text.contains("HTTP port")), "{error}");
    }

    #[test]
    fn long_texts_are_cut_and_lines_joined() {
        let error = of(&format!("Code: 241. DB::Exception: a\n  b {}", "ü".repeat(1000))).to_string();
        assert!(error.contains("a b ü") && error.ends_with('…') && error.chars().count() < 600, "{error}");
    }
}
