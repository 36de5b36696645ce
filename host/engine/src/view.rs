//! One batch of changes, with what all metrics share worked out once: which columns changed, which
//! do not fit, the ids of texts and keys.

use crate::keys::{DimColumn, KeySpace, TextMap, Texts, key_of_row};
use crate::plan::InputPlan;
use crate::rowtable::RowImage;
use rustc_hash::FxHashMap;
use weir_types::batch::{Cells, ChangeBatch, Op, cell};
use weir_types::contract::{Changes, Images, PackedColumn, PackedDictionary, ValueType, pack};

/// A batch under processing.
pub struct View<'a> {
    pub batch: &'a ChangeBatch,
    changed: FxHashMap<usize, Vec<u8>>,
    unfit: FxHashMap<usize, bool>,
    text_maps: FxHashMap<usize, TextMap>,
    keys: FxHashMap<(usize, Image), Vec<u32>>,
}

/// Which image of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Image {
    Before,
    After,
}

/// An id that has not been worked out yet.
const UNKNOWN: u32 = u32::MAX;

impl<'a> View<'a> {
    pub fn new(batch: &'a ChangeBatch) -> View<'a> {
        View {
            batch,
            changed: FxHashMap::default(),
            unfit: FxHashMap::default(),
            text_maps: FxHashMap::default(),
            keys: FxHashMap::default(),
        }
    }

    /// For each row whether the column differs between the images.
    fn changed(&mut self, column: usize) -> &[u8] {
        let batch = self.batch;
        self.changed.entry(column).or_insert_with(|| {
            let (before, after) = (&batch.before[column], &batch.after[column]);
            let values = before.values.iter().zip(&after.values);
            let states = before.states.iter().zip(&after.states);
            values.zip(states).map(|((v, w), (s, t))| u8::from(v != w) | u8::from(s != t)).collect()
        })
    }

    /// Whether any cell of the column does not fit.
    fn has_unfit(&mut self, column: usize) -> bool {
        let batch = self.batch;
        *self.unfit.entry(column).or_insert_with(|| {
            let images = [&batch.before[column], &batch.after[column]];
            images.iter().any(|c| c.states.contains(&cell::UNFIT))
        })
    }

    /// Rows that an event metric must see, and how many it would have seen if all their fields fitted.
    pub fn select(&mut self, input: &InputPlan) -> (Vec<u32>, u64) {
        let batch = self.batch;
        let mut touched = vec![0u8; batch.len()];
        for column in &input.watches {
            for (t, c) in touched.iter_mut().zip(self.changed(*column)) {
                *t |= c;
            }
        }
        let shown = |row: usize| match batch.ops[row] {
            Op::Update => touched[row] != 0 || batch.before_present[row] == 0,
            op => op.is_event(),
        };
        let rows: Vec<u32> = (0..batch.len()).filter(|r| shown(*r)).map(|r| r as u32).collect();
        let suspects: Vec<usize> = input.needed.iter().copied().filter(|c| self.has_unfit(*c)).collect();
        if suspects.is_empty() {
            return (rows, 0);
        }
        let fits = |row: &u32| {
            let row = *row as usize;
            let unfit = |c: &usize| {
                batch.before[*c].states[row] == cell::UNFIT || batch.after[*c].states[row] == cell::UNFIT
            };
            !suspects.iter().any(unfit)
        };
        let before = rows.len();
        let rows: Vec<u32> = rows.into_iter().filter(fits).collect();
        let excluded = (before - rows.len()) as u64;
        (rows, excluded)
    }

    /// The changes of `rows` as the metric gets them.
    pub fn gather(&self, input: &InputPlan, rows: &[u32]) -> Changes {
        let batch = self.batch;
        let bits = |present: &[u8]| pack::bits(rows.len(), |i| present[rows[i] as usize] != 0);
        let columns = |side: &[Cells]| input.fields.iter().map(|f| pack_cells(&side[*f], rows)).collect();
        Changes {
            rows: rows.len() as u32,
            before_present: bits(&batch.before_present),
            after_present: bits(&batch.after_present),
            event_times: pack_values(&batch.event_times.values, rows),
            before: columns(&batch.before),
            after: columns(&batch.after),
            dictionaries: self.dictionaries(input),
        }
    }

    fn dictionaries(&self, input: &InputPlan) -> Vec<PackedDictionary> {
        let dictionary = |(field, ty): (&usize, &ValueType)| match ty {
            ValueType::Text => {
                let dictionary = &self.batch.dictionaries[*field];
                PackedDictionary {
                    offsets: pack::u32s(dictionary.offsets()),
                    bytes: dictionary.bytes().to_vec(),
                }
            }
            _ => PackedDictionary::default(),
        };
        input.fields.iter().zip(&input.types).map(dictionary).collect()
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

    /// Key ids of rows in one image, worked out once for all metrics that share the key space.
    /// `columns` are the space's dimensions; their texts must have been mapped.
    pub fn key_ids(
        &mut self,
        (space_id, space): (usize, &mut KeySpace),
        columns: &[(usize, ValueType)],
        image: Image,
        rows: impl Iterator<Item = u32>,
        out: &mut Vec<u32>,
    ) {
        let batch = self.batch;
        let side = match image {
            Image::Before => &batch.before,
            Image::After => &batch.after,
        };
        let dims: Vec<DimColumn<'_>> = columns
            .iter()
            .map(|(c, ty)| DimColumn {
                cells: &side[*c],
                texts: if *ty == ValueType::Text { self.text_maps.get(c) } else { None },
            })
            .collect();
        let known = self.keys.entry((space_id, image)).or_insert_with(|| vec![UNKNOWN; batch.len()]);
        let mut key = [0i64; 9];
        for row in rows {
            let id = &mut known[row as usize];
            if *id == UNKNOWN {
                key_of_row(&dims, row as usize, &mut key[..=columns.len()]);
                *id = space.id(&key[..=columns.len()]);
            }
            out.push(*id);
        }
    }
}

fn pack_values(values: &[i64], rows: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() * 8);
    for row in rows {
        bytes.extend_from_slice(&values[*row as usize].to_le_bytes());
    }
    bytes
}

fn pack_cells(cells: &Cells, rows: &[u32]) -> PackedColumn {
    PackedColumn {
        validity: pack::bits(rows.len(), |i| cells.states[rows[i] as usize] == cell::VALUE),
        values: pack_values(&cells.values, rows),
        offsets: Vec::new(),
    }
}

/// Row images as a metric gets them. `columns` tells where each field stands in the images.
pub fn pack_images(images: &[RowImage<'_>], columns: &[(usize, ValueType)], texts: &Texts) -> Images {
    let n = images.len();
    let mut packed = Images { rows: n as u32, ..Images::default() };
    for (at, ty) in columns {
        let mut dictionary = weir_types::batch::Dictionary::default();
        let mut values = Vec::with_capacity(n * 8);
        for image in images {
            let value = match (image.states[*at], ty) {
                (cell::VALUE, ValueType::Text) => {
                    i64::from(dictionary.code(texts.get(image.values[*at] as u32).as_bytes()))
                }
                _ => image.values[*at],
            };
            values.extend_from_slice(&value.to_le_bytes());
        }
        let validity = pack::bits(n, |i| images[i].states[*at] == cell::VALUE);
        packed.columns.push(PackedColumn { validity, values, offsets: Vec::new() });
        packed.dictionaries.push(PackedDictionary {
            offsets: pack::u32s(dictionary.offsets()),
            bytes: dictionary.bytes().to_vec(),
        });
    }
    packed
}
