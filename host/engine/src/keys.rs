//! Dense ids for texts and for keys (tuples of dimension values), shared by all metrics.

use crate::keytable::KeyTable;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use weir_types::batch::{Cells, Dictionary, cell};
use weir_types::contract::ValueType;
use weir_types::key;

/// Texts with dense ids, which are given out again once nobody needs a text any more.
#[derive(Debug, Default)]
pub struct Texts {
    ids: FxHashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    /// Ids without a text.
    free: Vec<u32>,
    /// How many were left when those that nobody needs were last forgotten.
    kept: usize,
}

impl Texts {
    pub fn id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let text: Arc<str> = text.into();
        let id = match self.free.pop() {
            Some(id) => {
                self.texts[id as usize] = text.clone();
                id
            }
            None => {
                self.texts.push(text.clone());
                self.texts.len() as u32 - 1
            }
        };
        self.ids.insert(text, id);
        id
    }
    pub fn get(&self, id: u32) -> &str {
        &self.texts[id as usize]
    }
    pub fn len(&self) -> usize {
        self.ids.len()
    }
    /// Whether they have doubled since those that nobody needs were last forgotten.
    pub fn have_doubled(&self) -> bool {
        self.len() >= 2 * self.kept
    }
    /// Those that are there now count as needed.
    pub fn keep_all(&mut self) {
        self.kept = self.len();
    }
    /// To be told which of them are needed.
    pub fn none_needed(&self) -> Needed {
        Needed(vec![false; self.texts.len()])
    }
    /// Forgets those that are not needed.
    pub fn keep(&mut self, needed: &Needed) {
        let (none, texts, free) = (Arc::<str>::default(), &mut self.texts, &mut self.free);
        self.ids.retain(|_, id| {
            let is_needed = needed.0[*id as usize];
            if !is_needed {
                texts[*id as usize] = none.clone();
                free.push(*id);
            }
            is_needed
        });
        self.keep_all();
    }
}

/// Which texts somebody holds, by id.
#[derive(Debug)]
pub struct Needed(Vec<bool>);

impl Needed {
    pub fn add(&mut self, id: i64) {
        self.0[id as usize] = true;
    }
}

/// Translates the codes of one batch's dictionary into ids of [`Texts`].
#[derive(Debug, Default)]
pub struct TextMap {
    ids: Vec<u32>,
}

impl TextMap {
    pub fn of(dictionary: &Dictionary, texts: &mut Texts) -> TextMap {
        TextMap { ids: (0..dictionary.len() as u32).map(|c| texts.id(dictionary.get(c))).collect() }
    }
    #[inline]
    pub fn id(&self, code: i64) -> i64 {
        i64::from(self.ids[code as usize])
    }
}

/// An id that has not been worked out yet.
pub const UNKNOWN: u32 = u32::MAX;

/// A key inside the process: its null mask (bit i = value i is null) and then its values, texts as ids.
pub type Key = Box<[i64]>;

/// The keys over one list of dimensions.
#[derive(Debug)]
pub struct KeySpace {
    types: Vec<ValueType>,
    ids: KeyTable,
    /// Keys that were rendered, by id.
    rendered: Vec<Option<Arc<[String]>>>,
}

impl KeySpace {
    pub fn new(types: Vec<ValueType>) -> KeySpace {
        let ids = KeyTable::new(types.len() + 1);
        KeySpace { types, ids, rendered: Vec::new() }
    }
    /// The id of a key given as mask and values.
    #[inline]
    pub fn id(&mut self, key: &[i64]) -> u32 {
        self.ids.find(key).unwrap_or_else(|| {
            let id = self.ids.len() as u32;
            self.ids.insert(key, id);
            id
        })
    }
    /// The id of a key that was given one.
    pub fn find(&self, key: &[i64]) -> Option<u32> {
        self.ids.find(key)
    }
    pub fn get(&self, id: u32) -> &[i64] {
        self.ids.get(id)
    }
    /// Canonical texts of a key's values, made once for all rows of the key.
    pub fn render(&mut self, id: u32, texts: &Texts) -> Arc<[String]> {
        if self.rendered.len() <= id as usize {
            self.rendered.resize(self.ids.len(), None);
        }
        let key = self.ids.get(id);
        let value = |i: usize| (key[0] >> i & 1 == 0).then_some(key[i + 1]);
        let render = |(i, ty): (usize, &ValueType)| key::render(*ty, value(i), |t| texts.get(t).to_string());
        let rendered = || self.types.iter().enumerate().map(render).collect();
        self.rendered[id as usize].get_or_insert_with(rendered).clone()
    }
    /// The texts of its keys.
    pub fn needs(&self, needed: &mut Needed) {
        let texts: Vec<usize> = (0..self.types.len()).filter(|i| self.types[*i] == ValueType::Text).collect();
        if texts.is_empty() {
            return;
        }
        for key in (0..self.ids.len() as u32).map(|id| self.ids.get(id)) {
            texts.iter().filter(|i| key[0] >> **i & 1 == 0).for_each(|i| needed.add(key[i + 1]));
        }
    }
    /// The key in a form that outlives the process.
    pub fn to_stored(&self, id: u32, texts: &Texts) -> StoredKey {
        let key = self.get(id);
        let part = |(i, ty): (usize, &ValueType)| match ty {
            _ if key[0] >> i & 1 == 1 => StoredPart::Null,
            ValueType::Text => StoredPart::Text(texts.get(key[i + 1] as u32).to_string()),
            _ => StoredPart::Value(key[i + 1]),
        };
        self.types.iter().enumerate().map(part).collect()
    }
    /// The id of a stored key, if it is one of this space. Where a dimension was a number and is a text today, or the
    /// other way round, it is the key that is rendered alike.
    pub fn of_stored(&mut self, stored: &[StoredPart], texts: &mut Texts) -> Option<u32> {
        if stored.len() != self.types.len() {
            return None;
        }
        let mut key = vec![0i64; stored.len() + 1];
        for (i, (part, ty)) in stored.iter().zip(&self.types).enumerate() {
            key[i + 1] = match (part, ty) {
                (StoredPart::Null, _) => {
                    key[0] |= 1 << i;
                    0
                }
                (StoredPart::Text(text), ValueType::Text) => i64::from(texts.id(text)),
                (StoredPart::Text(text), ValueType::Int) => number(text)?,
                (StoredPart::Text(_), _) => return None,
                (StoredPart::Value(value), ValueType::Text) => i64::from(texts.id(&value.to_string())),
                (StoredPart::Value(value), _) => *value,
            };
        }
        Some(self.id(&key))
    }
}

/// The number that is rendered as this text.
fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

/// Whether keys over dimensions with these types can be read as keys over those of today; see
/// [`KeySpace::of_stored`].
pub fn reads_as(then: &[(String, ValueType)], today: &[(String, ValueType)]) -> bool {
    use ValueType::{Int, Text};
    let fits = |((name, ty), (today, now)): (&(String, ValueType), &(String, ValueType))| {
        name == today && (ty == now || matches!((ty, now), (Int, Text) | (Text, Int)))
    };
    then.len() == today.len() && then.iter().zip(today).all(fits)
}

/// A key's value as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum StoredPart {
    Null,
    Value(i64),
    Text(String),
}

/// A [`StoredPart`] whose text is somewhere else; stored alike.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub enum KeyPart<'a> {
    Null,
    Value(i64),
    Text(&'a str),
}

impl<'a> From<&'a StoredPart> for KeyPart<'a> {
    fn from(part: &'a StoredPart) -> KeyPart<'a> {
        match part {
            StoredPart::Null => KeyPart::Null,
            StoredPart::Value(value) => KeyPart::Value(*value),
            StoredPart::Text(text) => KeyPart::Text(text),
        }
    }
}

/// A key as it is stored.
pub type StoredKey = Vec<StoredPart>;

/// A stored key's mask and values.
pub fn key_of(stored: &[StoredPart], texts: &mut Texts) -> Key {
    let mut key = vec![0i64; stored.len() + 1];
    for (i, part) in stored.iter().enumerate() {
        match part {
            StoredPart::Null => key[0] |= 1 << i,
            StoredPart::Value(value) => key[i + 1] = *value,
            StoredPart::Text(text) => key[i + 1] = i64::from(texts.id(text)),
        }
    }
    key.into()
}

/// The key group of a stored key: a stable hash of its parts (FNV-1a, 64 bits), mod 1024. Where values
/// are cut by key group, changing it means a new format.
pub fn key_group<'a>(key: impl Iterator<Item = KeyPart<'a>>) -> u16 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    for part in key {
        match part {
            KeyPart::Null => add(&[0]),
            KeyPart::Value(value) => {
                add(&[1]);
                add(&value.to_le_bytes());
            }
            KeyPart::Text(text) => {
                add(&[2]);
                add(&(text.len() as u32).to_le_bytes());
                add(text.as_bytes());
            }
        }
    }
    // The upper bits of FNV are mixed better than the lower ones.
    ((hash >> 32) % 1024) as u16
}

/// One dimension's cells of a batch, with how to read its texts.
pub struct DimColumn<'a> {
    pub cells: &'a Cells,
    pub texts: Option<&'a TextMap>,
}

impl DimColumn<'_> {
    /// The value of a row's cell, if it has one.
    #[inline]
    pub fn value(&self, row: usize) -> Option<i64> {
        let value = self.cells.values[row];
        (self.cells.states[row] == cell::VALUE).then(|| self.texts.map_or(value, |map| map.id(value)))
    }
}

/// A key's mask and values, written into `key`. There are at most eight dimensions.
#[inline]
pub fn write_key(key: &mut [i64; 9], values: impl Iterator<Item = Option<i64>>) -> &[i64] {
    let mut width = 0;
    key[0] = 0;
    for (i, value) in values.enumerate() {
        key[0] |= i64::from(value.is_none()) << i;
        key[i + 1] = value.unwrap_or(0);
        width = i + 1;
    }
    &key[..=width]
}

/// Projections of the keys of a full space onto one of its dimension sets.
#[derive(Debug)]
pub struct Projection {
    /// Which of the full space's dimensions the set has, ascending.
    pub dims: Vec<usize>,
    pub space: KeySpace,
    to: Vec<u32>,
}

impl Projection {
    pub fn new(full: &[ValueType], dims: Vec<usize>) -> Projection {
        let types = dims.iter().map(|d| full[*d]).collect();
        Projection { dims, space: KeySpace::new(types), to: Vec::new() }
    }
    /// The id in the set's space of a key of the full space.
    #[inline]
    pub fn of(&mut self, full: &KeySpace, id: u32) -> u32 {
        while self.to.len() <= id as usize {
            let projected = self.project(full, self.to.len() as u32);
            self.to.push(projected);
        }
        self.to[id as usize]
    }
    fn project(&mut self, full: &KeySpace, id: u32) -> u32 {
        let key = full.get(id);
        let mut projected = [0i64; 9];
        for (i, dim) in self.dims.iter().enumerate() {
            projected[0] |= (key[0] >> dim & 1) << i;
            projected[i + 1] = key[dim + 1];
        }
        self.space.id(&projected[..=self.dims.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_key_survives_being_stored_and_read_into_another_process() {
        let (mut texts, mut other) = (Texts::default(), Texts::default());
        other.id("something else");
        let types = vec![ValueType::Int, ValueType::Text, ValueType::Int];
        let (mut space, mut second) = (KeySpace::new(types.clone()), KeySpace::new(types));
        let app = i64::from(texts.id("app"));
        let id = space.id(&[0b100, 7, app, 0]);
        let stored = space.to_stored(id, &texts);
        let back = second.of_stored(&stored, &mut other).expect("same arity");
        assert_eq!(*second.render(back, &other), ["7", "app", "\\N"]);
        assert_eq!(space.render(id, &texts), second.render(back, &other));
    }

    #[test]
    fn a_key_of_a_dimension_that_was_retyped_is_the_one_that_is_rendered_alike() {
        let mut texts = Texts::default();
        let (value, text) = (StoredPart::Value(-10), StoredPart::Text("-10".into()));
        let mut of = |ty, part: &StoredPart| {
            let mut space = KeySpace::new(vec![ty]);
            let id = space.of_stored(std::slice::from_ref(part), &mut texts)?;
            Some(space.render(id, &texts)[0].clone())
        };
        for ty in [ValueType::Int, ValueType::Text] {
            for part in [&value, &text] {
                assert_eq!(of(ty, part).as_deref(), Some("-10"));
            }
            assert_eq!(of(ty, &StoredPart::Null).as_deref(), Some("\\N"));
        }
        // "010" and "10" would become one.
        assert_eq!(of(ValueType::Int, &StoredPart::Text("010".into())), None);
        assert_eq!(of(ValueType::Int, &StoredPart::Text("web".into())), None);
        assert_eq!(of(ValueType::Bool, &StoredPart::Text("true".into())), None);
        let typed = |ty| [("queue_id".to_string(), ty)];
        assert!(reads_as(&typed(ValueType::Int), &typed(ValueType::Text)));
        assert!(!reads_as(&typed(ValueType::Time), &typed(ValueType::Text)));
        assert!(!reads_as(&typed(ValueType::Int), &[("agent_id".to_string(), ValueType::Int)]));
        assert!(!reads_as(&typed(ValueType::Int), &[]));
    }

    #[test]
    fn the_id_of_a_text_that_nobody_needs_is_given_to_another_and_those_that_are_needed_keep_theirs() {
        let mut texts = Texts::default();
        let ids: Vec<u32> = ["a", "b", "c"].map(|text| texts.id(text)).into();
        let mut space = KeySpace::new(vec![ValueType::Text, ValueType::Text, ValueType::Int]);
        // Value 1 is null, and value 2 is no text, whatever stands there.
        space.id(&[0b010, i64::from(ids[1]), i64::from(ids[0]), i64::from(ids[2])]);
        let mut needed = texts.none_needed();
        space.needs(&mut needed);
        assert!(texts.have_doubled());
        texts.keep(&needed);
        assert_eq!((texts.len(), texts.id("b"), texts.have_doubled()), (1, ids[1], false));
        let others: BTreeSet<u32> = ["a", "d", "e"].map(|text| texts.id(text)).into();
        assert!(others.is_superset(&BTreeSet::from([ids[0], ids[2]])) && !others.contains(&ids[1]));
        for (text, id) in ["a", "b", "d", "e"].map(|text| (text, texts.id(text))) {
            assert_eq!(texts.get(id), text);
        }
        assert_eq!((texts.len(), texts.have_doubled()), (4, true));
    }

    #[test]
    fn null_and_zero_are_different_keys_and_projections_keep_them_apart() {
        let types = vec![ValueType::Int, ValueType::Int];
        let mut full = KeySpace::new(types.clone());
        let (null, zero) = (full.id(&[0b01, 0, 5]), full.id(&[0, 0, 5]));
        assert_ne!(null, zero);
        let mut first = Projection::new(&types, vec![0]);
        assert_ne!(first.of(&full, null), first.of(&full, zero));
        let mut second = Projection::new(&types, vec![1]);
        assert_eq!(second.of(&full, null), second.of(&full, zero));
    }
}
