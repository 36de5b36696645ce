//! Sets of a batch's rows, 64 to a word: metrics are many, so that what each of them asks of all rows must
//! cost next to nothing for rows that it does not see.

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits(Vec<u64>);

impl Bits {
    pub fn none(rows: usize) -> Bits {
        Bits(vec![0; rows.div_ceil(64)])
    }

    /// The rows for which `is` is true.
    pub fn of(rows: usize, is: impl Fn(usize) -> bool) -> Bits {
        let bytes: Vec<u8> = (0..rows).map(|row| u8::from(is(row))).collect();
        Bits::of_bytes(rows, &bytes)
    }

    /// The rows whose byte is 1 and not 0; rows beyond the bytes are not in it.
    pub fn of_bytes(rows: usize, bytes: &[u8]) -> Bits {
        let mut bits = Bits::none(rows);
        for (word, bytes) in bits.0.iter_mut().zip(bytes.chunks(64)) {
            for (eight, bytes) in bytes.chunks(8).enumerate() {
                let mut of_row = [0u8; 8];
                of_row[..bytes.len()].copy_from_slice(bytes);
                *word |= u64::from(weir_types::contract::pack::byte_of(of_row)) << (eight * 8);
            }
        }
        bits
    }

    pub fn add(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    fn with(self, other: &Bits, op: impl Fn(u64, u64) -> u64) -> Bits {
        Bits(self.0.iter().zip(&other.0).map(|(a, b)| op(*a, *b)).collect())
    }
    pub fn and(self, other: &Bits) -> Bits {
        self.with(other, |a, b| a & b)
    }
    pub fn or(self, other: &Bits) -> Bits {
        self.with(other, |a, b| a | b)
    }
    pub fn without(&self, other: &Bits) -> Bits {
        self.clone().with(other, |a, b| a & !b)
    }

    pub fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The rows, ascending.
    pub fn rows(&self) -> Vec<u32> {
        let mut rows = Vec::with_capacity(self.count() as usize);
        for (at, word) in self.0.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                rows.push(at as u32 * 64 + left.trailing_zeros());
                left &= left - 1;
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sets_of_rows_are_those_of_a_set(
            rows in proptest::collection::vec((any::<bool>(), any::<bool>()), 0..200),
        ) {
            let of = |is: &dyn Fn(&(bool, bool)) -> bool| -> Vec<u32> {
                (0..).zip(&rows).filter(|(_, row)| is(row)).map(|(at, _)| at).collect()
            };
            let (a, b) = (Bits::of(rows.len(), |i| rows[i].0), Bits::of(rows.len(), |i| rows[i].1));
            prop_assert_eq!(a.rows(), of(&|row| row.0));
            prop_assert_eq!(a.count(), a.rows().len() as u64);
            prop_assert_eq!(a.without(&b).rows(), of(&|row| row.0 && !row.1));
            prop_assert_eq!(a.clone().and(&b).rows(), of(&|row| row.0 && row.1));
            prop_assert_eq!(a.or(&b).rows(), of(&|row| row.0 || row.1));
        }
    }

    #[test]
    fn a_column_that_is_not_decoded_has_no_rows() {
        assert_eq!(Bits::of_bytes(100, &[]).rows(), Vec::<u32>::new());
    }
}
