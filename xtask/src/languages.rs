//! `cargo xtask languages`: the metrics that exist in C, Go, JavaScript and Python as well, built from
//! examples/languages. What is up to date, by a hash over sources, contract and tools, is left as it is.

mod recipes;

use crate::tools::languages as tool;
use crate::{dirs, plugins, say};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// How to build one language's component.
struct Language {
    /// Name of its folder and its component.
    name: &'static str,
    /// Fetches the tools, and says which they are.
    tools: fn() -> Result<String>,
    /// Builds in a fresh folder that holds the sources, and gives the component.
    build: fn(&Path) -> Result<Vec<u8>>,
}

const ALL: [Language; 4] = [
    Language { name: "c", tools: recipes::c_tools, build: recipes::c },
    Language { name: "go", tools: recipes::go_tools, build: recipes::go },
    Language { name: "javascript", tools: recipes::javascript_tools, build: recipes::javascript },
    Language { name: "python", tools: recipes::python_tools, build: recipes::python },
];

/// What was built, and what was not for want of a tool.
pub struct Built {
    /// Holds `<language>.wasm`.
    pub folder: PathBuf,
    /// A sentence for each language whose tools cannot be had.
    pub left_out: Vec<String>,
}

pub fn run() -> Result<bool> {
    let built = build()?;
    for sentence in &built.left_out {
        say::note(format!("left out: {sentence}"));
    }
    println!("{}", built.folder.display());
    Ok(built.left_out.is_empty())
}

pub fn build() -> Result<Built> {
    let folder = dirs::target()?.join("languages");
    dirs::make(&folder)?;
    let mut left_out = Vec::new();
    for language in &ALL {
        match (language.tools)() {
            Ok(tools) => build_one(language, &tools, &folder).with_context(|| language.name.to_owned())?,
            Err(why) => {
                // What an earlier build left must not pass for this one's.
                forget(&folder, language.name)?;
                left_out.push(format!("{}: {why:#}", language.name));
            }
        }
    }
    Ok(Built { folder, left_out })
}

fn forget(folder: &Path, name: &str) -> Result<()> {
    for file in [format!("{name}.key"), format!("{name}.wasm")] {
        match std::fs::remove_file(folder.join(&file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {file}"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn build_one(language: &Language, tools: &str, folder: &Path) -> Result<()> {
    let name = language.name;
    let sources = examples().join(name);
    let key = key(&sources, tools)?;
    let (component, kept) = (folder.join(format!("{name}.wasm")), folder.join(format!("{name}.key")));
    if component.exists() && std::fs::read_to_string(&kept).is_ok_and(|old| old == key) {
        return Ok(());
    }
    say::step(format!("building the metrics in {name} ({tools})"));
    let work = folder.join("work").join(name);
    if work.exists() {
        std::fs::remove_dir_all(&work)?;
    }
    dirs::make(&work)?;
    for file in files(&sources)? {
        let to = work.join(file.strip_prefix(&sources)?);
        dirs::make(to.parent().context("a file has a folder")?)?;
        std::fs::copy(&file, &to).with_context(|| format!("copy {}", file.display()))?;
    }
    let bytes = (language.build)(&work)?;
    plugins::check_imports(&bytes)?;
    std::fs::write(&component, bytes).with_context(|| format!("write {}", component.display()))?;
    std::fs::write(&kept, key).with_context(|| format!("write {}", kept.display()))
}

pub fn examples() -> PathBuf {
    dirs::workspace().join("examples/languages")
}

pub fn contract() -> PathBuf {
    dirs::workspace().join("wit/v0.1")
}

/// The files of a folder and the folders in it, by path.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(self::files(&path)?),
            false => files.push(path),
        }
    }
    files.sort();
    Ok(files)
}

/// A hash over everything that a component is made of, the recipe included.
fn key(sources: &Path, tools: &str) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(tools.as_bytes()).update(include_bytes!("languages/recipes.rs"));
    let mut all = files(sources)?;
    all.extend(files(&contract())?);
    all.push(examples().join("wasi_stub.wat"));
    for file in all {
        let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        hasher.update(name.as_bytes()).update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The tools of all languages, fetched; a name and where it is, or why it is not.
pub fn fetch_tools() -> Result<String> {
    let one = |language: &Language| match (language.tools)() {
        Ok(tools) => tools,
        Err(why) => format!("{} left out: {why:#}", language.name),
    };
    let all: Vec<String> = ALL.iter().map(one).collect();
    if all.is_empty() { bail!("no language is known") } else { Ok(all.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_a_folder_of_sources() {
        for language in &ALL {
            let files = files(&examples().join(language.name)).expect("readable");
            assert!(files.iter().any(|f| f.ends_with("README.md")), "{}", language.name);
        }
    }

    #[test]
    fn another_version_of_a_tool_is_another_key() {
        let sources = examples().join("c");
        assert_ne!(key(&sources, "a 1").expect("readable"), key(&sources, "a 2").expect("readable"));
    }

    #[test]
    fn the_stub_of_wasi_is_a_module() {
        assert!(recipes::stub().expect("readable").starts_with(b"\0asm"));
    }
}
