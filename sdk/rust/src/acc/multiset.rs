//! A signed map value → count, kept so that counting a range does not walk over its values.

use crate::packed::{Reader, put_signed, put_varint};

/// Most entries of a chunk: an insertion moves at most 2 kB, and a hundred thousand values are some
/// thousand chunks.
const MOST: usize = 128;
const HALF: usize = MOST / 2;

/// How often each value is there. Exact, and bounded by the number of different values: a count that
/// becomes 0 leaves nothing behind.
///
/// A count below 0 (a value taken back before it was added) is kept, so that adding in any order gives
/// the same, and everything that reads takes it as absent.
///
/// Costs over n different values, with chunks of C = 128: [`add`](Self::add) O(log n + C),
/// [`merge`](Self::merge) that for each value of `from`, [`at_most`](Self::at_most) O(n / C + C),
/// [`least`](Self::least) and [`greatest`](Self::greatest) O(1) where no count is below 0.
#[derive(Clone, Debug, Default)]
pub struct Multiset {
    /// Ascending; none is empty, and two neighbours together have more than [`HALF`] entries, so that
    /// chunks are few.
    chunks: Vec<Chunk>,
}

#[derive(Clone, Debug)]
struct Chunk {
    /// The greatest value: looking for a chunk touches none of their entries.
    last: i64,
    /// Ascending by value, no count 0.
    entries: Vec<(i64, i64)>,
    /// Sum of the counts above 0.
    present: i64,
}

impl Chunk {
    fn new(entries: Vec<(i64, i64)>) -> Self {
        let present = present(&entries);
        Chunk { last: greatest_of(&entries), entries, present }
    }
}

/// The greatest value of a chunk; that of an empty one is above all, but none stays empty.
fn greatest_of(entries: &[(i64, i64)]) -> i64 {
    entries.last().map_or(i64::MAX, |entry| entry.0)
}

/// Counts wrap at their width, as sums do.
fn present(entries: &[(i64, i64)]) -> i64 {
    entries.iter().fold(0, |sum, entry| sum.wrapping_add(entry.1.max(0)))
}

impl Multiset {
    /// Adds a value so many times; a negative count takes it back.
    pub fn add(&mut self, value: i64, count: i64) {
        if count == 0 {
            return;
        }
        // The first chunk that reaches as far as the value, or the last one.
        let at = self.chunks.partition_point(|chunk| chunk.last < value);
        let last = self.chunks.len().saturating_sub(1);
        let at = at.min(last);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(Chunk::new(vec![(value, count)]));
            return;
        };
        match chunk.entries.binary_search_by_key(&value, |entry| entry.0) {
            Ok(place) => {
                let was = chunk.entries[place].1;
                let is = was.wrapping_add(count);
                chunk.present = chunk.present.wrapping_sub(was.max(0)).wrapping_add(is.max(0));
                chunk.entries[place].1 = is;
                if is == 0 {
                    chunk.entries.remove(place);
                    chunk.last = greatest_of(&chunk.entries);
                    self.shrink(at);
                }
            }
            Err(MOST) if at == last => {
                // Values that ascend, as times do, fill their chunks.
                self.chunks.push(Chunk::new(vec![(value, count)]));
            }
            Err(_) if chunk.entries.len() == MOST => {
                let upper = Chunk::new(chunk.entries.split_off(HALF));
                chunk.present = chunk.present.wrapping_sub(upper.present);
                chunk.last = greatest_of(&chunk.entries);
                self.chunks.insert(at + 1, upper);
                self.add(value, count);
            }
            Err(place) => {
                chunk.entries.insert(place, (value, count));
                chunk.last = chunk.last.max(value);
                chunk.present = chunk.present.wrapping_add(count.max(0));
            }
        }
    }

    /// Joins a chunk that has lost an entry with a neighbour, if both are small, and gives memory back.
    fn shrink(&mut self, at: usize) {
        let len = |at: usize| self.chunks.get(at).map(|chunk| chunk.entries.len());
        let joins = |one: usize| matches!((len(one), len(one + 1)), (Some(a), Some(b)) if a + b <= HALF);
        let left = [at.wrapping_sub(1), at].into_iter().find(|one| *one < self.chunks.len() && joins(*one));
        if let Some(left) = left {
            let right = self.chunks.remove(left + 1);
            if let Some(chunk) = self.chunks.get_mut(left) {
                chunk.entries.extend(right.entries);
                chunk.last = greatest_of(&chunk.entries);
                chunk.present = chunk.present.wrapping_add(right.present);
            }
        } else if len(at) == Some(0) {
            self.chunks.remove(at);
        } else if let Some(Chunk { entries, .. }) = self.chunks.get_mut(at)
            && entries.len() < entries.capacity() / 4
        {
            entries.shrink_to(entries.len() * 2);
        }
    }

    /// Adds every value of `from`.
    pub fn merge(&mut self, from: &Multiset) {
        from.entries().for_each(|(value, count)| self.add(value, count));
    }

    /// Values and their counts, those below 0 included, ascending by value.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (i64, i64)> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.entries.iter().copied())
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The least value that is present.
    pub fn least(&self) -> Option<i64> {
        self.entries().find(|entry| entry.1 > 0).map(|entry| entry.0)
    }

    /// The greatest value that is present.
    pub fn greatest(&self) -> Option<i64> {
        self.entries().rev().find(|entry| entry.1 > 0).map(|entry| entry.0)
    }

    /// How many values are present, each as often as it is.
    pub fn total(&self) -> i64 {
        self.chunks.iter().fold(0, |sum, chunk| sum.wrapping_add(chunk.present))
    }

    /// How many of them are ≤ `limit`. The limit is wider than a value, so that one computed from two
    /// times need not be cut.
    pub fn at_most(&self, limit: i128) -> i64 {
        let whole = self.chunks.partition_point(|chunk| i128::from(chunk.last) <= limit);
        let (below, rest) = self.chunks.split_at(whole);
        let in_part = rest.first().map_or(0, |chunk| {
            let end = chunk.entries.partition_point(|entry| i128::from(entry.0) <= limit);
            present(chunk.entries.get(..end).unwrap_or_default())
        });
        below.iter().fold(in_part, |sum, chunk| sum.wrapping_add(chunk.present))
    }

    /// Number of entries, then for each the distance to the value before and the count.
    pub fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.entries().count() as u128);
        let mut last = 0;
        for (value, count) in self.entries() {
            put_signed(out, i128::from(value) - last);
            put_signed(out, count.into());
            last = value.into();
        }
    }

    pub fn load(from: &mut Reader<'_>) -> Result<Self, String> {
        const RANGE: &str = "a value in the state is out of range";
        let n = from.varint()?;
        let (mut chunks, mut entries) = (Vec::new(), Vec::<(i64, i64)>::new());
        let mut last: Option<i64> = None;
        for _ in 0..n {
            let step = from.signed()?;
            let value = i128::from(last.unwrap_or(0)).checked_add(step).ok_or(RANGE)?;
            let value = i64::try_from(value).map_err(|_| RANGE)?;
            if last.is_some_and(|last| last >= value) {
                return Err("values in the state are not in order".into());
            }
            let count = from.int()?;
            if count == 0 {
                return Err("a value in the state has the count 0".into());
            }
            if entries.len() == HALF {
                chunks.push(Chunk::new(std::mem::take(&mut entries)));
            }
            entries.push((value, count));
            last = Some(value);
        }
        if !entries.is_empty() {
            chunks.push(Chunk::new(entries));
        }
        Ok(Multiset { chunks })
    }
}

#[cfg(test)]
mod tests;
