//! Errors of the TOML reader, in terms of the file: which part, which key, what was meant.

/// Turns the reader's error about one part of the file into one sentence.
pub fn describe(place: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    // The keys on the way to the error stand on a line of their own.
    let shown = error.to_string();
    let inner =
        shown.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`')).unwrap_or_default();
    let place = match (place, inner) {
        (place, "") => place.to_string(),
        ("", inner) => format!("`{inner}`"),
        (place, inner) => format!("{place}: `{inner}`"),
    };
    format!("{place}: {}", reword(message))
}

fn reword(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.replace("missing field", "missing key");
    };
    let Some((key, expected)) = rest.split_once('`') else { return message.to_string() };
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    unknown_key(key, &known)
}

/// The sentence about a key that nobody knows.
pub fn unknown_key(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown key `{key}`"),
        None => format!("unknown key `{key}`; known are {}", known.join(", ")),
    }
}

fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let length = key.chars().count();
    let most = if length < 4 { 1 } else { (length / 3).max(2) };
    let with_distance = known.iter().map(|name| (distance(key, name), *name));
    with_distance.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

/// Insertions, deletions and replacements that lead from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_nearly_right_is_proposed() {
        assert_eq!(
            unknown_key("colums", &["columns", "topics"]),
            "unknown key `colums`; did you mean `columns`?"
        );
        assert_eq!(
            unknown_key("xyz", &["columns", "topics"]),
            "unknown key `xyz`; known are columns, topics"
        );
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
