//! Request bodies: a blocking reader over the chunks that the network side hands on, and the
//! compressed blocks of `decompress=1`.

use bytes::{Buf, Bytes};
use std::io::{Error, ErrorKind, Read};
use tokio::sync::mpsc::Receiver;

/// One block may not be larger than this, packed or not: the client's blocks have 256 kB.
const BLOCK_BYTES_MAX: usize = 256 << 20;
/// Checksum, method, packed size, size.
const HEADER: usize = 25;
/// Bytes of the checksum, which the packed size does not count.
const CHECKSUM: usize = 16;

/// Reads the chunks of a body on a blocking thread.
pub struct BodyReader {
    chunks: Receiver<Result<Bytes, String>>,
    current: Bytes,
}

impl BodyReader {
    pub fn new(chunks: Receiver<Result<Bytes, String>>) -> BodyReader {
        BodyReader { chunks, current: Bytes::new() }
    }
}

impl Read for BodyReader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                None => return Ok(0),
                Some(Ok(chunk)) => self.current = chunk,
                Some(Err(error)) => return Err(Error::new(ErrorKind::ConnectionAborted, error)),
            }
        }
        let n = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..n]);
        Ok(n)
    }
}

/// Unpacks ClickHouse's compressed blocks, checksums checked.
///
/// | bytes | what |
/// |---|---|
/// | 16 | CityHash 1.0.2, 128 bits, of all that follows |
/// | 1 | method: 0x82 lz4, 0x02 none |
/// | 4 | size of the block from the method on |
/// | 4 | size unpacked |
/// | … | data |
pub struct BlockReader<R> {
    inner: R,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> BlockReader<R> {
    pub fn new(inner: R) -> BlockReader<R> {
        BlockReader { inner, block: Vec::new(), at: 0 }
    }

    /// False at the end of the body.
    fn next_block(&mut self) -> std::io::Result<bool> {
        let mut header = [0; HEADER];
        match fill(&mut self.inner, &mut header)? {
            0 => return Ok(false),
            HEADER => {}
            _ => return Err(bad("a compressed block is cut off")),
        }
        let packed_size = size_at(&header, 17);
        let size = size_at(&header, 21);
        if !(HEADER - CHECKSUM..=BLOCK_BYTES_MAX).contains(&packed_size) || size > BLOCK_BYTES_MAX {
            return Err(bad("a compressed block has an impossible size"));
        }
        let mut packed = vec![0; packed_size];
        let prefix = HEADER - CHECKSUM;
        packed[..prefix].copy_from_slice(&header[CHECKSUM..]);
        self.inner.read_exact(&mut packed[prefix..])?;
        let mut checksum = [0; CHECKSUM];
        checksum.copy_from_slice(&header[..CHECKSUM]);
        // The library has the two halves the other way round.
        if cityhash_rs::cityhash_102_128(&packed).rotate_right(64) != u128::from_le_bytes(checksum) {
            return Err(bad("the checksum of a compressed block does not match: corrupted data"));
        }
        self.block = match header[CHECKSUM] {
            0x82 => lz4_flex::block::decompress(&packed[prefix..], size).map_err(|e| bad(&e.to_string()))?,
            0x02 => packed.split_off(prefix),
            method => return Err(bad(&format!("compression method {method:#04x} is not served, only lz4"))),
        };
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for BlockReader<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.at >= self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let n = into.len().min(self.block.len() - self.at);
        into[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Reads until `into` is full or the end; how much was read.
pub fn fill(reader: &mut dyn Read, into: &mut [u8]) -> std::io::Result<usize> {
    let mut n = 0;
    while n < into.len() {
        match reader.read(&mut into[n..])? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}

fn size_at(header: &[u8; HEADER], at: usize) -> usize {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize
}

fn bad(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(data: &[u8]) -> Vec<u8> {
        let packed = lz4_flex::block::compress(data);
        let mut tail = vec![0x82];
        tail.extend((packed.len() as u32 + 9).to_le_bytes());
        tail.extend((data.len() as u32).to_le_bytes());
        tail.extend(packed);
        let mut all = cityhash_rs::cityhash_102_128(&tail).rotate_right(64).to_le_bytes().to_vec();
        all.extend(tail);
        all
    }

    fn read(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        BlockReader::new(bytes).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn blocks_follow_one_another() {
        let both = [block(b"hello "), block(&[]), block(b"world")].concat();
        assert_eq!(read(&both).expect("readable"), b"hello world");
    }

    #[test]
    fn a_damaged_block_is_refused() {
        let good = block(b"hello");
        assert!(read(&good[..good.len() - 1]).is_err());
        for at in [0, 16, 17, 22, good.len() - 1] {
            let mut damaged = good.clone();
            damaged[at] ^= 0x40;
            assert!(read(&damaged).is_err(), "byte {at}");
        }
    }
}
