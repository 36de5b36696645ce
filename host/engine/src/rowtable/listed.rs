//! Keys of rows that change in an epoch, one after the other: a list of many that is filled and emptied again
//! and again, so its memory stays.

/// See the module.
#[derive(Debug, Default)]
pub struct Listed {
    keys: Vec<i64>,
    /// The stored bucket of each row.
    buckets: Vec<u32>,
}

impl Listed {
    /// Adds a key; all have the same width.
    pub fn push(&mut self, key: &[i64], bucket: u32) {
        self.keys.extend_from_slice(key);
        self.buckets.push(bucket);
    }

    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Keys and buckets, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&[i64], u32)> {
        let width = self.keys.len().checked_div(self.len()).unwrap_or(0).max(1);
        self.keys.chunks_exact(width).zip(self.buckets.iter().copied())
    }

    /// Empties it. It keeps the memory of what was in it, not that of the longest list that ever was.
    pub fn clear(&mut self) {
        self.keys.shrink_to(2 * self.keys.len());
        self.buckets.shrink_to(2 * self.buckets.len());
        self.keys.clear();
        self.buckets.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_in_their_order_and_none_after_it_was_emptied() {
        let mut listed = Listed::default();
        for round in 0..3 {
            listed.push(&[0, round], 7);
            listed.push(&[0, 5], 8);
            let all: Vec<(&[i64], u32)> = listed.iter().collect();
            assert_eq!(all, [(&[0, round][..], 7), (&[0, 5][..], 8)]);
            listed.clear();
            assert_eq!((listed.len(), listed.iter().count()), (0, 0));
        }
    }
}
