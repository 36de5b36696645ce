//! Columns of outputs as `evaluate` writes them.

use crate::packed::BitsWriter;
use crate::raw::{Column, Dictionary, Output, Outputs, ValueType};
use std::collections::BTreeMap;

/// Takes the outputs of one slot after the other, in the order of the accumulator's `outputs`.
#[derive(Debug)]
pub struct OutputsWriter {
    columns: Vec<ColumnWriter>,
    next: usize,
    fault: Option<String>,
}

#[derive(Debug)]
struct ColumnWriter {
    output: Output,
    values: Vec<u8>,
    validity: BitsWriter,
    offsets: Vec<u8>,
    codes: BTreeMap<String, u64>,
    dictionary: Dictionary,
}

impl OutputsWriter {
    pub fn new(outputs: Vec<Output>, slots: usize) -> Self {
        let columns = outputs.into_iter().map(|output| ColumnWriter {
            values: Vec::with_capacity(slots * 8),
            validity: BitsWriter::default(),
            offsets: if output.is_list { 0u32.to_le_bytes().to_vec() } else { Vec::new() },
            codes: BTreeMap::new(),
            dictionary: Dictionary::default(),
            output,
        });
        OutputsWriter { columns: columns.collect(), next: 0, fault: None }
    }

    /// No value, or no list.
    pub fn null(&mut self) {
        match self.columns.get_mut(self.next) {
            Some(column) if column.output.is_list && column.output.nullable => {
                column.end_list(false);
                self.next += 1;
            }
            _ => self.put(None, |output| output.nullable && !output.is_list, "null"),
        }
    }
    pub fn int(&mut self, value: i64) {
        // A time is an integer too; what it means stands in the output.
        self.put(
            Some(value),
            |o| matches!(o.value_type, ValueType::Int | ValueType::Time) && !o.is_list,
            "int",
        );
    }
    pub fn bool(&mut self, value: bool) {
        self.put(Some(value.into()), |o| o.value_type == ValueType::Bool && !o.is_list, "bool");
    }
    /// NaN becomes null: the contract has none.
    pub fn float(&mut self, value: f64) {
        if value.is_nan() {
            return self.null();
        }
        // -0.0 and 0.0 are one number, so they must be one bit pattern.
        let bits = (value + 0.0).to_bits() as i64;
        self.put(Some(bits), |o| o.value_type == ValueType::Float && !o.is_list, "float");
    }
    pub fn text(&mut self, value: &str) {
        let code = self.columns.get_mut(self.next).map(|column| column.code(value) as i64);
        self.put(code, |o| o.value_type == ValueType::Text && !o.is_list, "text");
    }
    pub fn ints(&mut self, values: &[i64]) {
        self.list(ValueType::Int, values.iter().copied(), "list of ints");
    }
    pub fn floats(&mut self, values: &[f64]) {
        self.list(ValueType::Float, values.iter().map(|v| v.to_bits() as i64), "list of floats");
    }

    fn put(&mut self, bits: Option<i64>, fits: impl Fn(&Output) -> bool, what: &str) {
        match self.columns.get_mut(self.next) {
            Some(column) if fits(&column.output) => {
                column.values.extend_from_slice(&bits.unwrap_or(0).to_le_bytes());
                column.validity.push(bits.is_some());
            }
            column => {
                let name = column.map_or_else(|| "beyond the last".into(), |c| c.output.name.clone());
                self.blame(format!("evaluate wrote {what} into the output {name}"));
            }
        }
        self.next += 1;
    }

    fn list(&mut self, ty: ValueType, bits: impl Iterator<Item = i64>, what: &str) {
        match self.columns.get_mut(self.next) {
            Some(column) if column.output.is_list && column.output.value_type == ty => {
                bits.for_each(|bits| column.values.extend_from_slice(&bits.to_le_bytes()));
                column.end_list(true);
            }
            column => {
                let name = column.map_or_else(|| "beyond the last".into(), |c| c.output.name.clone());
                self.blame(format!("evaluate wrote a {what} into the output {name}"));
            }
        }
        self.next += 1;
    }

    fn blame(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// Ends a slot.
    pub fn end_slot(&mut self) {
        if self.next != self.columns.len() {
            self.blame(format!("evaluate wrote {} values for {} outputs", self.next, self.columns.len()));
        }
        self.next = 0;
    }

    pub fn finish(self) -> Result<Outputs, String> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut outputs = Outputs::default();
        for column in self.columns {
            outputs.dictionaries.push(column.dictionary);
            outputs.columns.push(Column {
                validity: column.validity.finish(),
                values: column.values,
                offsets: column.offsets,
            });
        }
        Ok(outputs)
    }
}

impl ColumnWriter {
    /// Ends a slot's list; one that is null has no elements.
    fn end_list(&mut self, there: bool) {
        self.offsets.extend_from_slice(&((self.values.len() / 8) as u32).to_le_bytes());
        self.validity.push(there);
    }
    fn code(&mut self, text: &str) -> u64 {
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        let code = self.codes.len() as u64;
        if self.dictionary.offsets.is_empty() {
            self.dictionary.offsets.extend_from_slice(&0u32.to_le_bytes());
        }
        self.dictionary.bytes.extend_from_slice(text.as_bytes());
        self.dictionary.offsets.extend_from_slice(&(self.dictionary.bytes.len() as u32).to_le_bytes());
        self.codes.insert(text.into(), code);
        code
    }
}
