//! Quoting, for the few places where a name or text must stand in a statement (DDL takes no
//! parameters).

/// A quoted text.
pub fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A quoted identifier.
pub fn name(value: &str) -> String {
    format!("`{}`", value.replace('\\', "\\\\").replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_be_left() {
        assert_eq!(text("it's \\N"), "'it\\'s \\\\N'");
        assert_eq!(name("a`b\\"), "`a\\`b\\\\`");
    }
}
