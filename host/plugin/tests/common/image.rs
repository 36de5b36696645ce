//! Lays a description into a guest's memory, as the canonical ABI wants it.

#![allow(clippy::ptr_arg, reason = "these are handed on as functions over list entries")]

use weir_types::contract::{Field, Input, MetricInfo, Output, RowMemory, ValueType};
use weir_types::window::Window;

/// Bytes that begin with `list<metric-info>` (address, length), to stand at `base`.
pub fn description(infos: &[MetricInfo], base: u32) -> Vec<u8> {
    let mut image = Image { bytes: vec![0; 8], base };
    image.list(0, infos, 156, Image::info);
    image.bytes
}

struct Image {
    bytes: Vec<u8>,
    base: u32,
}

impl Image {
    fn reserve(&mut self, size: usize, align: usize) -> usize {
        let at = self.bytes.len().next_multiple_of(align);
        self.bytes.resize(at + size, 0);
        at
    }
    fn put_u32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    fn put_i64(&mut self, at: usize, value: i64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    fn pointer(&mut self, at: usize, to: usize, len: usize) {
        self.put_u32(at, self.base + to as u32);
        self.put_u32(at + 4, len as u32);
    }
    fn list<T>(&mut self, at: usize, items: &[T], size: usize, put: fn(&mut Self, usize, &T)) {
        let first = self.reserve(items.len() * size, 8);
        self.pointer(at, first, items.len());
        for (i, item) in items.iter().enumerate() {
            put(self, first + i * size, item);
        }
    }
    fn text(&mut self, at: usize, text: &str) {
        let to = self.reserve(text.len(), 1);
        self.bytes[to..].copy_from_slice(text.as_bytes());
        self.pointer(at, to, text.len());
    }
    fn string(&mut self, at: usize, text: &String) {
        self.text(at, text);
    }
    fn strings(&mut self, at: usize, texts: &Vec<String>) {
        self.list(at, texts, 8, Self::string);
    }
    fn maybe(&mut self, at: usize, text: &Option<String>) {
        if let Some(text) = text {
            self.bytes[at] = 1;
            self.text(at + 4, text);
        }
    }
    fn field(&mut self, at: usize, field: &Field) {
        self.text(at, &field.name);
        self.bytes[at + 8] = type_number(field.value_type);
        self.bytes[at + 9] = field.nullable.into();
    }
    fn output(&mut self, at: usize, output: &Output) {
        self.text(at, &output.name);
        self.bytes[at + 8] = type_number(output.value_type);
        self.bytes[at + 9] = output.is_list.into();
        self.bytes[at + 10] = output.nullable.into();
        self.text(at + 12, &output.unit);
        self.text(at + 20, &output.description);
    }
    fn input(&mut self, at: usize, input: &Input) {
        self.text(at, &input.source);
        self.list(at + 8, &input.fields, 12, Self::field);
        self.strings(at + 16, &input.watches);
    }
    fn window(&mut self, at: usize, window: &Window) {
        let (number, first, second) = match *window {
            Window::Tumbling(length) => (0, length, 0),
            Window::Day => (1, 0, 0),
            Window::Sliding { size, step } => (2, size, step),
            Window::Session { gap } => (3, gap, 0),
            Window::Now => (4, 0, 0),
        };
        self.bytes[at] = number;
        self.put_i64(at + 8, first);
        self.put_i64(at + 16, second);
    }
    fn extra(&mut self, at: usize, pair: &(String, String)) {
        self.text(at, &pair.0);
        self.text(at + 8, &pair.1);
    }
    fn number(&mut self, at: usize, number: &u32) {
        self.put_u32(at, *number);
    }
    fn info(&mut self, at: usize, info: &MetricInfo) {
        let texts = [&info.name, &info.title, &info.unit, &info.description, &info.owner, &info.version];
        for (i, text) in texts.into_iter().enumerate() {
            self.text(at + i * 8, text);
        }
        self.maybe(at + 48, &info.deprecated);
        self.maybe(at + 60, &info.replaced_by);
        self.list(at + 72, &info.inputs, 24, Self::input);
        self.strings(at + 80, &info.dimensions);
        self.list(at + 88, &info.dimension_sets, 8, Self::strings);
        self.list(at + 96, &info.windows, 24, Self::window);
        self.list(at + 104, &info.values, 12, Self::field);
        self.list(at + 112, &info.computed_dimensions, 12, Self::field);
        self.list(at + 120, &info.outputs, 28, Self::output);
        self.bytes[at + 128] = info.time_varying.into();
        self.bytes[at + 129] = match info.rows {
            RowMemory::Live => 0,
            RowMemory::All => 1,
        };
        self.put_u32(at + 132, info.state_version);
        self.list(at + 136, &info.state_versions_read, 4, Self::number);
        self.put_u32(at + 144, info.meaning_version);
        self.list(at + 148, &info.extra, 16, Self::extra);
    }
}

fn type_number(ty: ValueType) -> u8 {
    match ty {
        ValueType::Int => 0,
        ValueType::Float => 1,
        ValueType::Text => 2,
        ValueType::Bool => 3,
        ValueType::Time => 4,
    }
}
