//! One batch of changes, with what all metrics share worked out once: which columns changed, which
//! do not fit, the rows that a set of watched fields selects and their packed columns, the ids of texts
//! and keys.

mod bits;
mod select;

use crate::keys::{DimColumn, KeySpace, TextMap, Texts, UNKNOWN, write_key};
use crate::plan::InputPlan;
use bits::Bits;
use rustc_hash::FxHashMap;
use select::Selection;
use std::sync::Arc;
use weir_types::batch::{Cells, ChangeBatch, Op, cell};
use weir_types::contract::{Changes, PackedDictionary, ValueType, pack};

/// A batch under processing.
pub struct View<'a> {
    pub batch: &'a ChangeBatch,
    /// Events that every metric sees whatever it watches: all but updates that have a before image.
    always: Bits,
    /// Updates with a before image: seen by metrics that watch a column which they changed.
    updates: Bits,
    changed: FxHashMap<usize, Bits>,
    /// Rows whose cell of a column does not fit, if there are any.
    unfit: FxHashMap<usize, Option<Bits>>,
    selections: Vec<Selection>,
    dictionaries: FxHashMap<usize, Arc<PackedDictionary>>,
    text_maps: FxHashMap<usize, TextMap>,
    /// By key space, those of before and of after images.
    keys: FxHashMap<usize, [Vec<u32>; 2]>,
}

/// Which image of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Image {
    Before,
    After,
}

impl<'a> View<'a> {
    pub fn new(batch: &'a ChangeBatch) -> View<'a> {
        let is_update = |row: usize| batch.ops[row] == Op::Update && batch.before_present[row] != 0;
        View {
            batch,
            always: Bits::of(batch.len(), |row| batch.ops[row].is_event() && !is_update(row)),
            updates: Bits::of(batch.len(), is_update),
            changed: FxHashMap::default(),
            unfit: FxHashMap::default(),
            selections: Vec::new(),
            dictionaries: FxHashMap::default(),
            text_maps: FxHashMap::default(),
            keys: FxHashMap::default(),
        }
    }

    /// Rows in which the column differs between the images.
    fn changed(&mut self, column: usize) -> &Bits {
        let batch = self.batch;
        self.changed.entry(column).or_insert_with(|| {
            let (before, after) = (&batch.before[column], &batch.after[column]);
            let values = before.values.iter().zip(&after.values);
            let states = before.states.iter().zip(&after.states);
            let differs = |((v, w), (s, t)): ((&i64, &i64), (&u8, &u8))| u8::from(v != w) | u8::from(s != t);
            Bits::of_bytes(batch.len(), &values.zip(states).map(differs).collect::<Vec<u8>>())
        })
    }

    /// Rows in which a cell of the column does not fit, if there are any.
    fn unfit(&mut self, column: usize) -> Option<&Bits> {
        let batch = self.batch;
        let unfit = self.unfit.entry(column).or_insert_with(|| {
            let (before, after) = (&batch.before[column].states, &batch.after[column].states);
            let any = before.contains(&cell::UNFIT) || after.contains(&cell::UNFIT);
            let is = |row: usize| before[row] == cell::UNFIT || after[row] == cell::UNFIT;
            any.then(|| Bits::of(batch.len(), is))
        });
        unfit.as_ref()
    }

    /// The number of the selection of rows that an event metric must see. Metrics that watch the same
    /// columns share it, unless a cell that only one of them needs does not fit.
    pub fn select(&mut self, input: &InputPlan) -> usize {
        let suspects: Vec<usize> =
            input.needed.iter().copied().filter(|column| self.unfit(*column).is_some()).collect();
        let same = |s: &Selection| s.watches == input.watches && s.suspects == suspects;
        if let Some(known) = self.selections.iter().position(same) {
            return known;
        }
        let mut touched = Bits::none(self.batch.len());
        for column in &input.watches {
            touched.add(self.changed(*column));
        }
        let mut unfit = Bits::none(self.batch.len());
        for column in &suspects {
            self.unfit(*column).into_iter().for_each(|bits| unfit.add(bits));
        }
        let shown = touched.and(&self.updates).or(&self.always);
        let selection = Selection::new(self.batch, input.watches.clone(), suspects, &shown, &unfit);
        self.selections.push(selection);
        self.selections.len() - 1
    }

    /// The rows of a selection, and how many more there would be if all their fields fitted.
    pub fn selected(&self, selection: usize) -> (Arc<[u32]>, u64) {
        let selection = &self.selections[selection];
        (selection.rows.clone(), selection.excluded)
    }

    /// The changes of a selection as the metric gets them.
    pub fn gather(&mut self, input: &InputPlan, selection: usize) -> Changes {
        let dictionaries = self.dictionaries(input);
        self.selections[selection].changes(self.batch, &input.fields, dictionaries)
    }

    fn dictionaries(&mut self, input: &InputPlan) -> Vec<Arc<PackedDictionary>> {
        let batch = self.batch;
        let known = &mut self.dictionaries;
        let mut dictionary = |(field, ty): (&usize, &ValueType)| match ty {
            ValueType::Text => {
                let dictionary = &batch.dictionaries[*field];
                let pack = || {
                    let offsets = pack::u32s(dictionary.offsets());
                    Arc::new(PackedDictionary { offsets, bytes: dictionary.bytes().to_vec() })
                };
                known.entry(*field).or_insert_with(pack).clone()
            }
            _ => Arc::default(),
        };
        input.fields.iter().zip(&input.types).map(&mut dictionary).collect()
    }

    /// Makes sure that texts of these columns have ids.
    pub fn map_texts(&mut self, columns: &[(usize, ValueType)], texts: &mut Texts) {
        for (column, ty) in columns {
            if *ty == ValueType::Text {
                let dictionary = &self.batch.dictionaries[*column];
                self.text_maps.entry(*column).or_insert_with(|| TextMap::of(dictionary, texts));
            }
        }
    }

    /// The ids of a text column, if it was mapped.
    pub fn text_map(&self, column: usize) -> Option<&TextMap> {
        self.text_maps.get(&column)
    }

    /// Key ids of samples by image and row, each worked out once for all metrics that share the key space.
    /// `columns` are the space's dimensions; their texts must have been mapped.
    pub fn key_ids(
        &mut self,
        (space_id, space): (usize, &mut KeySpace),
        columns: &[(usize, ValueType)],
        samples: impl Iterator<Item = (Image, u32)>,
    ) -> Vec<u32> {
        let batch = self.batch;
        let dims = |side: &'a [Cells]| -> Vec<DimColumn<'_>> {
            let texts = |c: &usize, ty: ValueType| self.text_maps.get(c).filter(|_| ty == ValueType::Text);
            columns.iter().map(|(c, ty)| DimColumn { cells: &side[*c], texts: texts(c, *ty) }).collect()
        };
        let (before, after) = (dims(&batch.before), dims(&batch.after));
        let unknown = || [vec![UNKNOWN; batch.len()], vec![UNKNOWN; batch.len()]];
        let [known_before, known_after] = self.keys.entry(space_id).or_insert_with(unknown);
        let mut key = [0i64; 9];
        let id = |(image, row): (Image, u32)| {
            let (dims, known) = match image {
                Image::Before => (&before, &mut *known_before),
                Image::After => (&after, &mut *known_after),
            };
            let id = &mut known[row as usize];
            if *id == UNKNOWN {
                let values = dims.iter().map(|column| column.value(row as usize));
                *id = space.id(write_key(&mut key, values));
            }
            *id
        };
        samples.map(id).collect()
    }
}

#[cfg(test)]
mod tests;
