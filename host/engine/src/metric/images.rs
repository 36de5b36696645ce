//! Row images → samples → cells, for metrics over current values. Metrics of one source are shown the same
//! images: what they ask of them (a packed column, the keys of a space) is worked out for the first of them.

use super::Metric;
use super::absorb::{Entries, Running, weight_of};
use crate::keys::{KeySpace, Texts, UNKNOWN, write_key};
use crate::plan::{DimensionFrom, InputPlan};
use crate::rowtable::{NO_IMAGE, RowImage};
use crate::shared::columns_only;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use weir_types::batch::{Dictionary, cell};
use weir_types::contract::{GuestError, Images, PackedColumn, PackedDictionary, Samples, ValueType, pack};

/// A column of images as guests get it.
type Packed = (Arc<PackedColumn>, Arc<PackedDictionary>);

/// Where a column stands that the images do not have.
const NOWHERE: usize = usize::MAX;

/// Old and new images of rows of one source, for metrics over current values.
pub struct ImageBatch<'a> {
    source: usize,
    /// Position in the images of each declared column, up to the last one that has any.
    positions: Vec<usize>,
    images: &'a [RowImage<'a>],
    /// −1 for an image that ceases to hold, 1 for one that begins to.
    signs: &'a [i64],
    /// Of the last images, which are those that begin to hold, the number of the same row's image that
    /// ceases to, or [`NO_IMAGE`].
    before: &'a [u32],
    /// For each position, whether a cell there does not fit in some image.
    unfit: Vec<bool>,
    /// Columns of all images, by position.
    packed: FxHashMap<(usize, ValueType), Packed>,
    /// Keys of all images, by key space.
    keys: FxHashMap<usize, Vec<u32>>,
}

impl<'a> ImageBatch<'a> {
    /// `columns`: the declared column of each position in the images. `before`, for as many of the last
    /// images as are given: which image of the same row it replaces, or [`NO_IMAGE`].
    pub fn new(
        source: usize,
        columns: &[usize],
        images: &'a [RowImage<'a>],
        (signs, before): (&'a [i64], &'a [u32]),
    ) -> ImageBatch<'a> {
        let mut positions = vec![NOWHERE; columns.iter().max().map_or(0, |last| last + 1)];
        columns.iter().enumerate().for_each(|(at, column)| positions[*column] = at);
        let mut unfit = vec![false; columns.len()];
        for image in images {
            unfit.iter_mut().zip(image.states).for_each(|(unfit, state)| *unfit |= *state == cell::UNFIT);
        }
        let (packed, keys) = (FxHashMap::default(), FxHashMap::default());
        ImageBatch { source, positions, images, signs, before, unfit, packed, keys }
    }

    /// Where a declared column stands in the images.
    fn position(&self, column: usize) -> usize {
        self.positions.get(column).copied().unwrap_or(NOWHERE)
    }

    /// The images whose columns that the metric needs fit; None = all of them.
    fn shown(&self, input: &InputPlan) -> Option<Vec<u32>> {
        let needed: Vec<usize> = input.needed.iter().map(|column| self.position(*column)).collect();
        if needed.iter().all(|at| self.unfit.get(*at) == Some(&false)) {
            return None;
        }
        let fits = |image: &RowImage<'_>| {
            needed.iter().all(|at| image.states.get(*at).is_some_and(|state| *state != cell::UNFIT))
        };
        let images = (0..).zip(self.images).filter(|(_, image)| fits(image));
        Some(images.map(|(number, _)| number).collect())
    }

    /// Those images as the metric gets them.
    fn pack(&mut self, input: &InputPlan, shown: Option<&[u32]>, texts: &Texts) -> Images {
        let rows = shown.map_or(self.images.len(), <[u32]>::len) as u32;
        let columns = input.fields.iter().zip(&input.types).map(|(field, ty)| {
            let (at, images) = (self.position(*field), self.images);
            match shown {
                None => {
                    let packed = self.packed.entry((at, *ty));
                    packed.or_insert_with(|| pack_column(images.iter(), at, *ty, texts)).clone()
                }
                Some(shown) => pack_column(shown.iter().map(|i| &images[*i as usize]), at, *ty, texts),
            }
        });
        let (columns, dictionaries) = columns.unzip();
        Images { rows, columns, dictionaries }
    }

    /// The keys of these images in a space whose dimensions are these columns.
    fn key_ids(
        &mut self,
        (number, space): (usize, &mut KeySpace),
        columns: &[usize],
        of: &[u32],
    ) -> Vec<u32> {
        let at: Vec<usize> = columns.iter().map(|column| self.position(*column)).collect();
        let known = self.keys.entry(number).or_insert_with(|| vec![UNKNOWN; self.images.len()]);
        let id = |image: &u32| {
            let id = &mut known[*image as usize];
            if *id == UNKNOWN {
                let mut key = [0i64; 9];
                let values = at.iter().map(|at| value(&self.images[*image as usize], *at));
                *id = space.id(write_key(&mut key, values));
            }
            *id
        };
        of.iter().map(id).collect()
    }
}

impl ImageBatch<'_> {
    /// For each sample whether the guest need not get it: most changes of a row change nothing of what a
    /// metric takes from it, and then its old image takes back from a slot what its new one adds. That both
    /// leave the slot as it was is a law to which metrics over current values are held when they are loaded.
    fn cancelled(&self, of: &[u32], slots: &[u32], samples: &Samples) -> Vec<bool> {
        let mut cancelled = vec![false; of.len()];
        let olds = self.images.len() - self.before.len();
        let mut by_old = vec![NO_IMAGE; olds];
        for (sample, image) in of.iter().enumerate() {
            let is_only = sample.checked_sub(1).is_none_or(|last| of[last] != *image)
                && of.get(sample + 1).is_none_or(|next| next != image);
            if !is_only {
                continue;
            }
            let Some(new) = (*image as usize).checked_sub(olds) else {
                by_old[*image as usize] = sample as u32;
                continue;
            };
            let old = by_old.get(self.before[new] as usize).copied().filter(|old| *old != NO_IMAGE);
            let Some(old) = old.map(|old| old as usize) else { continue };
            if slots[old] == slots[sample] && same_sample(samples, old, sample) {
                (cancelled[old], cancelled[sample]) = (true, true);
            }
        }
        cancelled
    }
}

/// Whether two samples have the same weight and values.
fn same_sample(samples: &Samples, a: usize, b: usize) -> bool {
    let same = |column: &PackedColumn| {
        column.offsets.is_empty()
            && pack::bit(&column.validity, a) == pack::bit(&column.validity, b)
            && pack::i64_at(&column.values, a) == pack::i64_at(&column.values, b)
    };
    weight_of(samples, a) == weight_of(samples, b) && samples.values.iter().all(same)
}

/// The value of a cell that has one, texts as ids.
fn value(image: &RowImage<'_>, at: usize) -> Option<i64> {
    (image.states[at] == cell::VALUE).then(|| image.values[at])
}

/// One column of images.
fn pack_column<'a>(
    images: impl Iterator<Item = &'a RowImage<'a>> + Clone,
    at: usize,
    ty: ValueType,
    texts: &Texts,
) -> Packed {
    let mut codes = Codes::default();
    let value = |image: &RowImage<'_>| match (image.states[at], ty) {
        (cell::VALUE, ValueType::Text) => codes.of(image.values[at], texts).to_le_bytes(),
        _ => image.values[at].to_le_bytes(),
    };
    let values: Vec<[u8; 8]> = images.clone().map(value).collect();
    let valid: Vec<u8> = images.map(|image| u8::from(image.states[at] == cell::VALUE)).collect();
    let dictionary = PackedDictionary {
        offsets: pack::u32s(codes.dictionary.offsets()),
        bytes: codes.dictionary.bytes().to_vec(),
    };
    let validity = pack::bits_of(&valid);
    let column = PackedColumn { validity, values: values.into_flattened(), offsets: Vec::new() };
    (column.into(), dictionary.into())
}

/// Codes of texts that are known by id: a text is looked at when its id comes for the first time.
#[derive(Default)]
struct Codes {
    by_id: FxHashMap<i64, i64>,
    dictionary: Dictionary,
}

impl Codes {
    fn of(&mut self, id: i64, texts: &Texts) -> i64 {
        let dictionary = &mut self.dictionary;
        let code = || i64::from(dictionary.code(texts.get(id as u32).as_bytes()));
        *self.by_id.entry(id).or_insert_with(code)
    }
}

impl Metric {
    /// Shows old and new images to a metric over current values. `gave`, one for each image, becomes true
    /// for those that give a sample.
    pub fn observe_images(
        &mut self,
        batch: &mut ImageBatch<'_>,
        gave: &mut [bool],
        run: &mut Running<'_>,
    ) -> Result<(), GuestError> {
        for at in 0..self.plan.inputs.len() {
            if self.plan.inputs[at].source != batch.source {
                continue;
            }
            let input = self.plan.inputs[at].clone();
            let start = (run.monotonic)();
            let shown = batch.shown(&input);
            let count = shown.as_ref().map_or(batch.images.len(), Vec::len);
            self.cost.excluded += (batch.images.len() - count) as u64;
            if count == 0 {
                continue;
            }
            let packed = batch.pack(&input, shown.as_deref(), &run.shared.texts);
            self.cost.rows_in += count as u64;
            let gathered = (run.monotonic)();
            self.spent("watch", start, gathered);
            let samples = self.instance.observe_image(at as u32, &packed)?;
            let observed = (run.monotonic)();
            self.spent("observe", gathered, observed);
            let of: Vec<u32> = images_of(&samples, shown.as_deref());
            of.iter().for_each(|image| gave[*image as usize] = true);
            self.absorb_images(&input, batch, &of, samples, run)?;
            self.spent("accumulate", observed, (run.monotonic)());
        }
        Ok(())
    }

    /// `of`: which image each sample comes from.
    fn absorb_images(
        &mut self,
        input: &InputPlan,
        batch: &mut ImageBatch<'_>,
        of: &[u32],
        samples: Samples,
        run: &mut Running<'_>,
    ) -> Result<(), GuestError> {
        self.cost.samples += of.len() as u64;
        self.cost.rejected += samples.rejects.len() as u64;
        let pane = self.cells.now_pane();
        let ids: Vec<u32> = match columns_only(&input.dimensions) {
            Some(columns) => batch.key_ids((self.space, &mut run.shared.spaces[self.space]), &columns, of),
            None => {
                let samples = of.iter().enumerate().map(|(sample, image)| {
                    self.computed_key(input, batch, *image as usize, (&samples, sample), run)
                });
                samples.collect()
            }
        };
        let mut slots = Vec::with_capacity(of.len());
        for (sample, (image, id)) in of.iter().zip(ids).enumerate() {
            let weight = weight_of(&samples, sample) * batch.signs[*image as usize];
            let numbers = &mut self.numbers;
            let cell = self.cells.cell(pane, id, || numbers.take());
            cell.weight += weight;
            cell.samples += 1;
            slots.push(cell.slot);
        }
        let cancelled = batch.cancelled(of, &slots, &samples);
        let mut entries = Entries::with_room(of.len());
        for (sample, slot) in slots.into_iter().enumerate().filter(|(sample, _)| !cancelled[*sample]) {
            entries.push(sample, slot, weight_of(&samples, sample) * batch.signs[of[sample] as usize]);
        }
        self.accumulate(samples, entries)
    }

    /// The key of a sample that computes dimensions.
    fn computed_key(
        &self,
        input: &InputPlan,
        batch: &ImageBatch<'_>,
        image: usize,
        (samples, sample): (&Samples, usize),
        run: &mut Running<'_>,
    ) -> u32 {
        let mut key = [0i64; 9];
        let values = input.dimensions.iter().map(|dimension| match dimension {
            DimensionFrom::Column(column) => value(&batch.images[image], batch.position(*column)),
            DimensionFrom::Computed(at) => self.computed(*at, samples, sample, run.shared),
        });
        let key = write_key(&mut key, values);
        run.shared.spaces[self.space].id(key)
    }
}

/// Which image each sample comes from, of those that were `shown`.
fn images_of(samples: &Samples, shown: Option<&[u32]>) -> Vec<u32> {
    let rows = samples.rows.as_chunks::<4>().0.iter().map(|row| u32::from_le_bytes(*row));
    match shown {
        None => rows.collect(),
        Some(shown) => rows.map(|row| shown[row as usize]).collect(),
    }
}

#[cfg(test)]
mod tests;
