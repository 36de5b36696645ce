//! Just enough reading of SQL to know where an insert's statement ends and its data begin. The
//! engine must never see both in one text: data that look like SQL would run as SQL.

/// An insert, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct InsertParts {
    /// The statement without its FORMAT clause or VALUES.
    pub head: Vec<u8>,
    pub format: String,
    /// Where the data begin in the text; its end if none follow.
    pub data: usize,
}

/// First keyword of a statement, in capitals.
pub fn first_word(sql: &[u8]) -> String {
    let mut scan = Scan { text: sql, at: 0 };
    while let Some(token) = scan.next() {
        match token {
            Token::Word(start, end) => return upper(&sql[start..end]),
            Token::Open => continue,
            _ => break,
        }
    }
    String::new()
}

/// Takes an INSERT apart. None for an insert from a SELECT and for what is no insert: those carry
/// no data. An insert that names no format has the format `Values`.
pub fn insert_parts(sql: &[u8]) -> Option<InsertParts> {
    if first_word(sql) != "INSERT" {
        return None;
    }
    let mut scan = Scan { text: sql, at: 0 };
    let mut depth = 0;
    while let Some(token) = scan.next() {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            Token::Word(start, end) if depth == 0 => match upper(&sql[start..end]).as_str() {
                "SELECT" | "WITH" | "WATCH" | "FROM" => return None,
                "VALUES" => {
                    return Some(InsertParts {
                        head: sql[..start].into(),
                        format: "Values".into(),
                        data: end,
                    });
                }
                "FORMAT" => return Some(after_format(sql, start, end)),
                _ => {}
            },
            _ => {}
        }
    }
    let head = sql.trim_ascii_end();
    let head = head.strip_suffix(b";").unwrap_or(head);
    Some(InsertParts { head: head.into(), format: "Values".into(), data: sql.len() })
}

/// `FORMAT name`, then blanks and one line end, then the data: as ClickHouse's own parser has it.
fn after_format(sql: &[u8], start: usize, end: usize) -> InsertParts {
    let name = end + sql[end..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let name_end = name + sql[name..].iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let mut data = name_end + sql[name_end..].iter().take_while(|b| matches!(b, b' ' | b'\t' | 0x0c)).count();
    for line_end in [b'\r', b'\n'] {
        if sql.get(data) == Some(&line_end) {
            data += 1;
        }
    }
    let format = String::from_utf8_lossy(&sql[name..name_end]).into_owned();
    InsertParts { head: sql[..start].into(), format, data }
}

/// The format that a query names at its end.
pub fn trailing_format(sql: &str) -> Option<&str> {
    let mut words = sql.trim_end().trim_end_matches(';').split_ascii_whitespace().rev();
    let (name, keyword) = (words.next()?, words.next()?);
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_name && keyword.eq_ignore_ascii_case("format")).then_some(name)
}

/// A quoted text for SQL.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A quoted identifier for SQL.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

fn upper(word: &[u8]) -> String {
    String::from_utf8_lossy(word).to_ascii_uppercase()
}

enum Token {
    Word(usize, usize),
    Open,
    Close,
    Other,
}

/// Walks over a statement: comments are skipped, quoted texts are one token.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn skip_past(&mut self, end: &[u8]) {
        let rest = &self.text[self.at..];
        let found = rest.windows(end.len()).position(|w| w == end);
        self.at += found.map_or(rest.len(), |i| i + end.len());
    }

    fn skip_quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == quote {
                return;
            }
        }
        self.at = self.text.len();
    }

    fn next(&mut self) -> Option<Token> {
        loop {
            let rest = self.text.get(self.at..)?;
            match *rest.first()? {
                b if b.is_ascii_whitespace() => self.at += 1,
                b'-' if rest.starts_with(b"--") => self.skip_past(b"\n"),
                b'#' if rest.starts_with(b"# ") || rest.starts_with(b"#!") => self.skip_past(b"\n"),
                b'/' if rest.starts_with(b"/*") => self.skip_past(b"*/"),
                quote @ (b'\'' | b'"' | b'`') => {
                    self.skip_quoted(quote);
                    return Some(Token::Other);
                }
                b if b.is_ascii_alphabetic() || b == b'_' => {
                    let start = self.at;
                    self.at += rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                    return Some(Token::Word(start, self.at));
                }
                b => {
                    self.at += 1;
                    return Some(match b {
                        b'(' => Token::Open,
                        b')' => Token::Close,
                        _ => Token::Other,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(sql: &str) -> Option<(String, String, String)> {
        let parts = insert_parts(sql.as_bytes())?;
        Some((String::from_utf8_lossy(&parts.head).trim().into(), parts.format, sql[parts.data..].into()))
    }

    fn some(head: &str, format: &str, data: &str) -> Option<(String, String, String)> {
        Some((head.into(), format.into(), data.into()))
    }

    #[test]
    fn the_data_of_an_insert_are_parted_from_its_statement() {
        let sql = "INSERT INTO t(a, b) FORMAT JSONEachRow\n{\"a\":1}; DROP TABLE t";
        assert_eq!(parts(sql), some("INSERT INTO t(a, b)", "JSONEachRow", "{\"a\":1}; DROP TABLE t"));
        assert_eq!(parts("insert into t values (1), (2)"), some("insert into t", "Values", " (1), (2)"));
        assert_eq!(parts("INSERT INTO t FORMAT RowBinary"), some("INSERT INTO t", "RowBinary", ""));
        assert_eq!(parts("INSERT INTO t;"), some("INSERT INTO t", "Values", ""));
    }

    #[test]
    fn keywords_in_names_comments_and_texts_are_not_taken_for_keywords() {
        let sql =
            "/* FORMAT x */ INSERT INTO `FORMAT a` (`VALUES`) -- SELECT\n SETTINGS a='FORMAT b' FORMAT CSV 1";
        let (head, format, data) = parts(sql).expect("an insert");
        assert!(head.ends_with("SETTINGS a='FORMAT b'"));
        assert_eq!((format.as_str(), data.as_str()), ("CSV", "1"));
    }

    #[test]
    fn an_insert_from_a_query_carries_no_data() {
        assert_eq!(parts("INSERT INTO t SELECT 1"), None);
        assert_eq!(parts("INSERT INTO t WITH 1 AS x SELECT x"), None);
        assert_eq!(parts("SELECT 1"), None);
        assert_eq!(first_word(b" -- note\n((select 1))"), "SELECT");
    }

    #[test]
    fn only_a_format_at_the_end_counts() {
        assert_eq!(trailing_format("SELECT 1 FORMAT JSON;"), Some("JSON"));
        assert_eq!(trailing_format("SELECT 'x FORMAT JSON'"), None);
        assert_eq!(trailing_format("SELECT 1"), None);
    }

    #[test]
    fn quotes_cannot_be_left() {
        assert_eq!(quote("a'b\\"), "'a\\'b\\\\'");
        assert_eq!(identifier("a`b"), "`a\\`b`");
    }
}
