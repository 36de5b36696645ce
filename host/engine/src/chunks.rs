//! Rows of one width that never move: a list of a million that doubles would stop the stream while it is copied.

/// Rows in a chunk, as a power of two.
const ROWS: u32 = 10;

/// Rows for which a list begins with room: many stay small.
const FIRST: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct Chunks<T> {
    width: usize,
    chunks: Vec<Box<[T]>>,
    count: u32,
}

impl<T: Clone + Default> Chunks<T> {
    pub fn of_width(width: usize) -> Chunks<T> {
        Chunks { width, chunks: Vec::new(), count: 0 }
    }

    #[inline]
    pub fn get(&self, at: u32) -> &[T] {
        &self.chunks[(at >> ROWS) as usize][self.first(at)..][..self.width]
    }

    #[inline]
    pub fn get_mut(&mut self, at: u32) -> &mut [T] {
        let first = self.first(at);
        &mut self.chunks[(at >> ROWS) as usize][first..][..self.width]
    }

    #[inline]
    fn first(&self, at: u32) -> usize {
        (at & ((1 << ROWS) - 1)) as usize * self.width
    }

    /// Adds a row; gives its number.
    pub fn push(&mut self) -> u32 {
        match self.chunks.as_mut_slice() {
            [] => self.chunks.push(vec![T::default(); self.width * FIRST].into()),
            [first] if first.len() == self.count as usize * self.width && self.count >> ROWS == 0 => {
                let mut room = std::mem::take(first).into_vec();
                room.resize(2 * room.len(), T::default());
                *first = room.into();
            }
            chunks if self.count >> ROWS == chunks.len() as u32 => {
                self.chunks.push(vec![T::default(); self.width << ROWS].into());
            }
            _ => {}
        }
        self.count += 1;
        self.count - 1
    }

    /// Rows that were added.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Makes every row wider by one, with this value.
    pub fn widen(&mut self, value: T) {
        let mut wider = Chunks::of_width(self.width + 1);
        for at in 0..self.count {
            let row = wider.push();
            let row = wider.get_mut(row);
            row[..self.width].clone_from_slice(self.get(at));
            row[self.width] = value.clone();
        }
        *self = wider;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_what_they_hold_over_chunks_and_widths() {
        let mut chunks = Chunks::of_width(2);
        let count = (3 << ROWS) + 5;
        for n in 0..count {
            assert_eq!(chunks.push(), n);
            chunks.get_mut(n).copy_from_slice(&[n, n + 1]);
        }
        chunks.widen(7);
        assert!((0..count).all(|n| chunks.get(n) == [n, n + 1, 7]));
    }
}
