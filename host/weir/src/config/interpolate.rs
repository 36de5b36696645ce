//! `${env:NAME}` and `${file:PATH}` in any text, so that secrets stand elsewhere.

use std::path::Path;
use toml::Value;

/// Replaces references in every text of the value. `$${` stands for `${`. An error names the place.
pub fn interpolate(value: &mut Value, place: &str, folder: &Path) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains("${") => {
            *text = expand(text, folder).map_err(|reason| format!("{place}: {reason}"))?;
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let place = match item.get("name").and_then(Value::as_str) {
                    Some(name) => format!("{place} `{name}`"),
                    None => format!("{place}[{index}]"),
                };
                interpolate(item, &place, folder)?;
            }
        }
        Value::Table(table) => {
            for (key, item) in table.iter_mut() {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                interpolate(item, &place, folder)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn expand(text: &str, folder: &Path) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let (reference, after) =
            rest[at + 2..].split_once('}').ok_or("`${` without `}` (write `$${` for a plain `${`)")?;
        out.push_str(&resolve(reference, folder)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn resolve(reference: &str, folder: &Path) -> Result<String, String> {
    match reference.split_once(':') {
        Some(("env", name)) => std::env::var(name)
            .map_err(|_| format!("environment variable `{name}` is not set (or is no UTF-8)")),
        Some(("file", path)) => {
            let path = folder.join(path);
            let text = std::fs::read_to_string(&path)
                .map_err(|e| format!("file {} cannot be read: {e}", path.display()))?;
            // Editors end files with a line break, which is no part of a secret.
            Ok(text.trim_end_matches(['\r', '\n']).to_string())
        }
        _ => Err(format!("`${{{reference}}}` is neither `${{env:NAME}}` nor `${{file:PATH}}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_from_files_and_the_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), "hunter2\n").expect("written");
        let expanded = expand("a ${file:secret} b $${env:X}", folder.path());
        assert_eq!(expanded.as_deref(), Ok("a hunter2 b ${env:X}"));
        let path = std::env::var("PATH").expect("set everywhere");
        assert_eq!(expand("${env:PATH}", folder.path()), Ok(path));
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        let mut value: Value =
            toml::from_str("[clickhouse]\npassword = \"${env:WEIR_TEST_NOT_SET}\"").expect("toml");
        let error = interpolate(&mut value, "", Path::new(".")).expect_err("missing");
        assert_eq!(
            error,
            "clickhouse.password: environment variable `WEIR_TEST_NOT_SET` is not set (or is no UTF-8)"
        );
        for wrong in ["${env:X", "${secret:x}", "${file:no/such/file}"] {
            assert!(expand(wrong, Path::new(".")).is_err(), "{wrong}");
        }
    }
}
