//! The record's key: it must name every primary-key column, and is looked at no further (cells come
//! from the images).

use crate::json::{Entry, find, object, offset_in};
use crate::outcome::DeadReason;
use crate::plan::Plan;
use crate::scan;

/// The shape of the last good key: bytes between the values. Empty until there was one.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyShape {
    /// What stands before each value, and whether the value is one of the primary key.
    parts: Vec<(Vec<u8>, bool)>,
    tail: Vec<u8>,
}

impl KeyShape {
    /// Whether the key is usable.
    #[inline(always)]
    pub fn check(&mut self, key: Option<&[u8]>, plan: &Plan) -> Result<(), DeadReason> {
        match key {
            Some(key) if self.matches(key) => Ok(()),
            _ => self.check_general(key, plan),
        }
    }

    #[inline(always)]
    fn matches(&self, key: &[u8]) -> bool {
        if self.parts.is_empty() {
            return false;
        }
        let mut at = 0;
        for (before, is_primary) in &self.parts {
            let Some(rest) = key.get(at..) else { return false };
            if !rest.starts_with(before) {
                return false;
            }
            at += before.len();
            if *is_primary && key.get(at) == Some(&b'n') {
                return false;
            }
            match scan::value(key, at) {
                Some(end) => at = end,
                None => return false,
            }
        }
        key.get(at..) == Some(&self.tail[..])
    }

    #[cold]
    fn check_general(&mut self, key: Option<&[u8]>, plan: &Plan) -> Result<(), DeadReason> {
        let dead = |what: String| DeadReason::Key(what);
        let names = || plan.key_names.join(", ");
        let Some(key) = key else {
            return Err(dead(format!("it is null, but the table's key is {}", names())));
        };
        if let [0, _, _, _, _, ..] = key {
            return Err(dead("it carries a schema registry header; only JSON keys are read".into()));
        }
        let text = std::str::from_utf8(key).map_err(|e| dead(format!("it is not UTF-8: {e}")))?;
        let top = object(text).map_err(|e| dead(format!("it is no JSON object: {e}")))?;
        let fields = match (find(&top, "schema"), find(&top, "payload")) {
            (Some(_), Some(payload)) => {
                Some(object(payload).map_err(|e| dead(format!("its payload is no object: {e}")))?)
            }
            _ => None,
        };
        let inner = fields.as_ref().unwrap_or(&top);
        for name in &plan.key_names {
            match find(inner, name) {
                None => return Err(dead(format!("it lacks {name}, but the table's key is {}", names()))),
                Some("null") => return Err(dead(format!("its {name} is null"))),
                Some(_) => {}
            }
        }
        self.learn(key, &top, fields.as_deref(), plan);
        Ok(())
    }

    fn learn(&mut self, key: &[u8], top: &[Entry], fields: Option<&[Entry]>, plan: &Plan) {
        self.parts.clear();
        let mut at = 0;
        let mut add = |entry: &Entry, is_primary: bool| {
            let start = offset_in(key, entry.raw);
            self.parts.push((key[at..start].to_vec(), is_primary));
            at = start + entry.raw.len();
        };
        // Of a name that occurs twice only the last counts: too odd to be learnt.
        let is_odd = |entries: &[Entry]| {
            entries.iter().enumerate().any(|(i, e)| entries[..i].iter().any(|other| other.key == e.key))
        };
        if is_odd(top) || fields.is_some_and(is_odd) || top.len() + fields.map_or(0, <[Entry]>::len) > 64 {
            return;
        }
        let is_primary = |entry: &Entry| plan.key_names.iter().any(|n| *n == entry.key);
        match fields {
            None => top.iter().for_each(|e| add(e, is_primary(e))),
            Some(fields) => {
                for entry in top {
                    match &*entry.key {
                        // Constant: part of what stands before the first value.
                        "schema" => {}
                        "payload" => fields.iter().for_each(|e| add(e, is_primary(e))),
                        _ => add(entry, false),
                    }
                }
            }
        }
        self.tail = key[at..].to_vec();
    }
}
