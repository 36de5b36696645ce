//! Guests made of the WAT files in tests/hostile, and what the tests share.

#![allow(clippy::unwrap_used, dead_code)]

pub mod image;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use weir_plugin::{Limits, Sandbox, SandboxOptions};
use weir_types::contract::{Field, Input, MetricInfo, Output, RowMemory, ValueType};
use weir_types::schema::{ColumnDecl, ColumnType, Format, Reading, SourceDecl};
use weir_types::window::Window;
use weir_types::{MINUTE, SECOND};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Parts of the base guest, in the order in which they make a module.
const PARTS: [&str; 19] = [
    "imports",
    "memory",
    "realloc",
    "post",
    "helpers",
    "describe",
    "open",
    "is-new",
    "observe",
    "observe-image",
    "add",
    "accumulate",
    "join",
    "merge",
    "output",
    "spoil",
    "evaluate",
    "save",
    "load",
];

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn hostile_dir() -> PathBuf {
    repository().join("tests/hostile")
}

/// One hostile guest as its file tells it.
pub struct HostileGuest {
    pub name: String,
    pub replaces: Vec<String>,
    /// Words of the error with which `load` must refuse it; None if it must pass.
    pub refused: Option<String>,
    text: String,
}

impl HostileGuest {
    pub fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(hostile_dir().join(format!("{name}.wat"))).unwrap();
        let head = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).map(|v| v.trim().to_string());
        let replaces = head(";; replaces:").expect("a hostile guest says what it replaces");
        let refused = head(";; refused:");
        assert!(refused.is_some() || head(";; passes").is_some(), "{name} does not say what becomes of it");
        HostileGuest {
            name: name.into(),
            replaces: replaces.split(',').map(|part| part.trim().to_string()).collect(),
            refused,
            text,
        }
    }

    /// All of them, by name.
    pub fn all() -> Vec<Self> {
        let files = std::fs::read_dir(hostile_dir()).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<String> = files
            .filter(|path| path.extension().is_some_and(|e| e == "wat"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_string())
            .collect();
        names.sort();
        names.iter().map(|name| Self::read(name)).collect()
    }

    pub fn component(&self) -> Vec<u8> {
        component(Some(self), &[sum()])
    }
}

/// The base guest, described as these metrics.
pub fn good(infos: &[MetricInfo]) -> Vec<u8> {
    component(None, infos)
}

fn component(hostile: Option<&HostileGuest>, infos: &[MetricInfo]) -> Vec<u8> {
    let mut text = String::from("(module\n");
    for part in PARTS.iter().chain(&["release"]) {
        match hostile {
            Some(hostile) if hostile.replaces.iter().any(|r| r == part) => {
                // Where it replaces several parts, its text stands once.
                if hostile.replaces[0] == *part {
                    text.push_str(&hostile.text);
                }
            }
            _ => {
                let path = hostile_dir().join("base").join(format!("{part}.wat"));
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
        text.push('\n');
    }
    let bytes = image::description(infos, 65_536);
    let hex: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    text.push_str(&format!("(data (i32.const 65536) \"{hex}\"))"));
    wrap(&text, "metric")
}

/// A core module of the contract's world as a component.
pub fn wrap(module: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap_or_else(|e| panic!("{e}"));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(repository().join("wit/v0.1")).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

fn int(name: &str) -> Field {
    Field { name: name.into(), value_type: ValueType::Int, nullable: false }
}

/// How the base guest describes itself.
pub fn sum() -> MetricInfo {
    MetricInfo {
        name: "t.sum".into(),
        title: "Sum".into(),
        unit: "1".into(),
        description: "The sum of all new values of v.".into(),
        owner: "tests".into(),
        version: "1.0.0".into(),
        deprecated: None,
        replaced_by: Some("t.other".into()),
        inputs: vec![Input {
            source: "t".into(),
            fields: vec![int("v"), int("w")],
            watches: vec!["v".into()],
        }],
        bases: vec![],
        dimensions: vec!["w".into()],
        dimension_sets: vec![],
        windows: vec![Window::Tumbling(MINUTE), Window::Day],
        values: vec![int("v")],
        computed_dimensions: vec![],
        outputs: vec![Output {
            name: "sum".into(),
            value_type: ValueType::Int,
            is_list: false,
            nullable: false,
            unit: "1".into(),
            description: "The sum.".into(),
        }],
        time_varying: false,
        rows: RowMemory::Live,
        state_version: 3,
        state_versions_read: vec![2, 3],
        meaning_version: 1,
        extra: vec![("key".into(), "value".into())],
    }
}

/// The source that the base guest reads.
pub fn sources() -> Vec<Arc<SourceDecl>> {
    let column = |name: &str, ty, nullable| ColumnDecl { name: name.into(), ty, nullable, values: vec![] };
    vec![Arc::new(SourceDecl {
        name: "t".into(),
        topics: vec!["t".into()],
        table: "t".into(),
        format: Format::DebeziumJson,
        reading: Reading::default(),
        columns: vec![
            column("v", ColumnType::Int, false),
            column("w", ColumnType::Int, false),
            column("word", ColumnType::Text, false),
            column("maybe", ColumnType::Int, true),
        ],
        primary_key: vec![0],
        event_time: 0,
        out_of_orderness: SECOND,
        idle_after: SECOND,
        max_dead_share: 1.0,
    })]
}

/// Limits that a hostile guest reaches quickly.
pub fn tight() -> Limits {
    Limits {
        memory_bytes: 8 * 1024 * 1024,
        call: Duration::from_millis(300),
        bytes_returned: 1024 * 1024,
        ..Limits::default()
    }
}

pub fn sandbox(limits: Limits) -> Sandbox {
    Sandbox::new(SandboxOptions { limits, ..SandboxOptions::default() }).unwrap()
}
