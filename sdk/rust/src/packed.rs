//! Reading and writing the contract's packed byte lists. Every length is checked once, before any
//! entry is read, so that reading needs no further checks and never panics.

/// A packed u32 list.
#[derive(Clone, Copy, Debug)]
pub struct U32s<'a>(&'a [[u8; 4]]);

impl<'a> U32s<'a> {
    pub fn new(what: &str, bytes: &'a [u8]) -> Result<Self, String> {
        let (entries, rest) = bytes.as_chunks::<4>();
        if rest.is_empty() {
            Ok(U32s(entries))
        } else {
            Err(wrong_length(what, bytes.len(), "a multiple of 4"))
        }
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    #[inline(always)]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.0.iter().map(|entry| u32::from_le_bytes(*entry))
    }
}

/// A packed list of 8-byte entries.
#[derive(Clone, Copy, Debug)]
pub struct I64s<'a>(&'a [[u8; 8]]);

impl<'a> I64s<'a> {
    /// A list that must have `n` entries.
    pub fn new(what: &str, bytes: &'a [u8], n: usize) -> Result<Self, String> {
        let (entries, rest) = bytes.as_chunks::<8>();
        if rest.is_empty() && entries.len() == n {
            Ok(I64s(entries))
        } else {
            Err(wrong_length(what, bytes.len(), &format!("{} for {n} entries", n * 8)))
        }
    }
    /// A list that may be left out.
    pub fn optional(what: &str, bytes: &'a [u8], n: usize) -> Result<Option<Self>, String> {
        if bytes.is_empty() { Ok(None) } else { Self::new(what, bytes, n).map(Some) }
    }
    /// Entry i; 0 beyond the end.
    #[inline(always)]
    pub fn get(&self, i: usize) -> i64 {
        self.0.get(i).map_or(0, |entry| i64::from_le_bytes(*entry))
    }
    #[inline(always)]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + 'a {
        self.0.iter().map(|entry| i64::from_le_bytes(*entry))
    }
}

/// A bit list; empty = all ones.
#[derive(Clone, Copy, Debug)]
pub struct Bits<'a>(&'a [u8]);

impl<'a> Bits<'a> {
    pub fn new(what: &str, bytes: &'a [u8], n: usize) -> Result<Self, String> {
        if bytes.is_empty() || bytes.len() == n.div_ceil(8) {
            Ok(Bits(bytes))
        } else {
            Err(wrong_length(what, bytes.len(), &format!("0 or {} for {n} bits", n.div_ceil(8))))
        }
    }
    #[inline(always)]
    pub fn get(&self, i: usize) -> bool {
        match self.0.get(i >> 3) {
            Some(byte) => byte >> (i & 7) & 1 == 1,
            None => self.0.is_empty(),
        }
    }
}

fn wrong_length(what: &str, is: usize, should: &str) -> String {
    format!("{what}: {is} bytes where {should} are due")
}

/// Checks offsets (packed u32, never falling, from 0 to `total`) and gives them.
pub fn offsets<'a>(what: &str, bytes: &'a [u8], entries: usize, total: usize) -> Result<U32s<'a>, String> {
    let list = U32s::new(what, bytes)?;
    if list.len() != entries + 1 {
        return Err(wrong_length(what, bytes.len(), &format!("{} for {entries} entries", (entries + 1) * 4)));
    }
    let mut last = 0;
    for (i, offset) in list.iter().enumerate() {
        if offset < last || (i == 0 && offset != 0) {
            return Err(format!("{what}: entry {i} is {offset} after {last}"));
        }
        last = offset;
    }
    if last as usize == total { Ok(list) } else { Err(format!("{what}: they end at {last} of {total}")) }
}

/// Builds a bit list that stays empty as long as all bits are ones.
#[derive(Clone, Debug, Default)]
pub struct BitsWriter {
    bytes: Vec<u8>,
    len: usize,
}

impl BitsWriter {
    #[inline(always)]
    pub fn push(&mut self, bit: bool) {
        if bit && self.bytes.is_empty() {
            self.len += 1;
        } else {
            self.push_slow(bit);
        }
    }
    fn push_slow(&mut self, bit: bool) {
        if self.bytes.is_empty() {
            self.bytes = vec![0xff; self.len / 8];
            if !self.len.is_multiple_of(8) {
                self.bytes.push((1 << (self.len % 8)) - 1);
            }
        }
        if self.len.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (self.len % 8);
        }
        self.len += 1;
    }
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Appends an unsigned number in 7-bit groups, least significant first.
pub fn put_varint(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number, small magnitudes short.
pub fn put_signed(out: &mut Vec<u8>, value: i128) {
    put_varint(out, ((value << 1) ^ (value >> 127)) as u128);
}

/// Reads what the functions above have written.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.0.split_first().ok_or("the state ends early")?;
        self.0 = rest;
        Ok(*first)
    }
    pub fn varint(&mut self) -> Result<u128, String> {
        let mut value = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if shift == 126 && bits > 3 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number in the state is too long".into())
    }
    pub fn signed(&mut self) -> Result<i128, String> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i128 ^ -((raw & 1) as i128))
    }
    /// A signed number that must fit `T`.
    pub fn int<T: TryFrom<i128>>(&mut self) -> Result<T, String> {
        T::try_from(self.signed()?).map_err(|_| "a number in the state is out of range".into())
    }
}

#[cfg(test)]
mod tests;
