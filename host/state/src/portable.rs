//! The file of an exported state: one stream that any machine can read.
//!
//! ```text
//! file   = "WEIRSTAT" · version (u32) · block …
//! block  = kind (u8) · length unpacked (u32) · length packed (u32) · check (16 bytes) · packed bytes (LZ4)
//! check  = the first 16 bytes of BLAKE3(check of the block before · kind · both lengths · packed bytes)
//! ```
//!
//! Numbers are little-endian. The first block is the header, the last one the end with its counts; between
//! them come entries of the database, ascending, then objects. A check covers all that stands before it, so
//! nothing can be changed, left out, or put elsewhere without being noticed.

use std::io::{ErrorKind, Read, Write};
use weir_types::Micros;

const MAGIC: &[u8; 8] = b"WEIRSTAT";
/// The version of the format. Raise it, and read the old one, when it changes.
const VERSION: u32 = 1;
/// Bytes of entries collected into one block.
const BLOCK_BYTES: usize = 1 << 20;
/// No block is larger; more than the largest component or value.
const BLOCK_MOST: usize = 512 << 20;
const CHECK_BYTES: usize = 16;

const HEADER: u8 = 1;
const ENTRIES: u8 = 2;
const OBJECT: u8 = 3;
const END: u8 = 4;

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub shard: String,
    /// Version of the host that wrote it.
    pub host: String,
    /// Real time when it was written.
    pub made: Micros,
    /// The greatest generation known where it was written; 0 if none.
    pub generation: u64,
}

/// What a whole file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Keys of the database, and bytes of keys and values.
    pub entries: u64,
    pub entry_bytes: u64,
    /// Objects beside the database (components), and their bytes.
    pub objects: u64,
    pub object_bytes: u64,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Entries(Vec<(Vec<u8>, Vec<u8>)>),
    Object { name: String, bytes: Vec<u8> },
}

/// Why a file cannot be written or read, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("it cannot be written: {0}")]
    Write(std::io::Error),
    #[error("it cannot be read: {0}")]
    Read(std::io::Error),
    #[error("it is no exported state: `weir state export` writes such files")]
    Foreign,
    #[error(
        "it has format {0}, this host reads {VERSION}: use the host version that wrote it, or a newer one"
    )]
    Version(u32),
    #[error("it was cut off after {0} bytes: copy it again, or take another export")]
    CutOff(u64),
    #[error("it is damaged at byte {0}: copy it again, or take another export")]
    Damaged(u64),
    #[error("a value of {0} bytes is too large to be exported: please report it")]
    TooLarge(usize),
}

/// Writes a file from its beginning to its end.
pub struct Writer<W: Write> {
    out: W,
    check: [u8; CHECK_BYTES],
    /// Entries that wait for a block.
    waiting: Vec<u8>,
    totals: Totals,
}

impl<W: Write> Writer<W> {
    pub fn new(mut out: W, header: &Header) -> Result<Self, FileError> {
        out.write_all(MAGIC)
            .and_then(|()| out.write_all(&VERSION.to_le_bytes()))
            .map_err(FileError::Write)?;
        let mut writer =
            Writer { out, check: [0; CHECK_BYTES], waiting: Vec::new(), totals: Totals::default() };
        let mut body = Vec::new();
        put_bytes(&mut body, header.shard.as_bytes())?;
        put_bytes(&mut body, header.host.as_bytes())?;
        body.extend_from_slice(&header.made.to_le_bytes());
        body.extend_from_slice(&header.generation.to_le_bytes());
        writer.block(HEADER, &body)?;
        Ok(writer)
    }

    pub fn entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), FileError> {
        if !self.waiting.is_empty() && self.waiting.len() + key.len() + value.len() > BLOCK_BYTES {
            self.flush_entries()?;
        }
        put_bytes(&mut self.waiting, key)?;
        put_bytes(&mut self.waiting, value)?;
        self.totals.entries += 1;
        self.totals.entry_bytes += (key.len() + value.len()) as u64;
        Ok(())
    }

    pub fn object(&mut self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        self.flush_entries()?;
        let mut body = Vec::with_capacity(name.len() + bytes.len() + 8);
        put_bytes(&mut body, name.as_bytes())?;
        put_bytes(&mut body, bytes)?;
        self.totals.objects += 1;
        self.totals.object_bytes += bytes.len() as u64;
        self.block(OBJECT, &body)
    }

    /// Writes the end. Without it the file is taken for cut off.
    pub fn finish(mut self) -> Result<(W, Totals), FileError> {
        self.flush_entries()?;
        let totals = self.totals;
        let numbers = [totals.entries, totals.entry_bytes, totals.objects, totals.object_bytes];
        let body: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.block(END, &body)?;
        self.out.flush().map_err(FileError::Write)?;
        Ok((self.out, totals))
    }

    fn flush_entries(&mut self) -> Result<(), FileError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let body = std::mem::take(&mut self.waiting);
        self.block(ENTRIES, &body)
    }

    fn block(&mut self, kind: u8, body: &[u8]) -> Result<(), FileError> {
        if body.len() > BLOCK_MOST {
            return Err(FileError::TooLarge(body.len()));
        }
        let packed = lz4_flex::block::compress(body);
        let head = head(kind, body.len() as u32, packed.len() as u32);
        self.check = check_of(&self.check, &head, &packed);
        let parts = [&head[..], &self.check, &packed];
        parts.iter().try_for_each(|part| self.out.write_all(part)).map_err(FileError::Write)
    }
}

/// Reads a file block by block, each checked before anything of it is used.
pub struct Reader<R: Read> {
    from: R,
    header: Header,
    check: [u8; CHECK_BYTES],
    /// Bytes read so far.
    at: u64,
    totals: Totals,
    ended: bool,
}

impl<R: Read> Reader<R> {
    pub fn new(mut from: R) -> Result<Self, FileError> {
        let mut at = 0;
        let mut magic = [0u8; 8];
        let got = fill(&mut from, &mut magic, &mut at)?;
        if !MAGIC.starts_with(&magic[..got]) || got == 0 {
            return Err(FileError::Foreign);
        }
        let mut version = [0u8; 4];
        if fill(&mut from, &mut version, &mut at)? < version.len() {
            return Err(FileError::CutOff(at));
        }
        match u32::from_le_bytes(version) {
            VERSION => {}
            other => return Err(FileError::Version(other)),
        }
        let header = Header { shard: String::new(), host: String::new(), made: 0, generation: 0 };
        let (check, totals) = ([0; CHECK_BYTES], Totals::default());
        let mut reader = Reader { from, header, check, at, totals, ended: false };
        let (kind, body) = reader.block()?;
        let header = if kind == HEADER { read_header(&body) } else { None };
        reader.header = header.ok_or(FileError::Damaged(at))?;
        Ok(reader)
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was read so far; of the whole file once `next` has given None.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The next part; None once the end was reached and everything was there.
    pub fn next_item(&mut self) -> Result<Option<Item>, FileError> {
        if self.ended {
            return Ok(None);
        }
        let at = self.at;
        let damaged = || FileError::Damaged(at);
        let (kind, body) = self.block()?;
        match kind {
            ENTRIES => {
                let entries = read_entries(&body).ok_or_else(damaged)?;
                self.totals.entries += entries.len() as u64;
                self.totals.entry_bytes +=
                    entries.iter().map(|(k, v)| (k.len() + v.len()) as u64).sum::<u64>();
                Ok(Some(Item::Entries(entries)))
            }
            OBJECT => {
                let mut rest = &body[..];
                let name = take_text(&mut rest).ok_or_else(damaged)?;
                let bytes = take_bytes(&mut rest).filter(|_| rest.is_empty()).ok_or_else(damaged)?.to_vec();
                self.totals.objects += 1;
                self.totals.object_bytes += bytes.len() as u64;
                Ok(Some(Item::Object { name, bytes }))
            }
            END => {
                let t = self.totals;
                let numbers = [t.entries, t.entry_bytes, t.objects, t.object_bytes];
                let expected: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                if body != expected || fill(&mut self.from, &mut [0u8], &mut self.at)? > 0 {
                    return Err(damaged());
                }
                self.ended = true;
                Ok(None)
            }
            _ => Err(damaged()),
        }
    }

    /// Reads to the end, so that a file is known to be good before anything is done with it.
    pub fn verify(mut self) -> Result<(Header, Totals), FileError> {
        while self.next_item()?.is_some() {}
        Ok((self.header, self.totals))
    }

    fn block(&mut self) -> Result<(u8, Vec<u8>), FileError> {
        let start = self.at;
        let mut head = [0u8; 9];
        let mut check = [0u8; CHECK_BYTES];
        for part in [&mut head[..], &mut check[..]] {
            let length = part.len();
            if fill(&mut self.from, part, &mut self.at)? < length {
                return Err(FileError::CutOff(self.at));
            }
        }
        let [kind, r0, r1, r2, r3, p0, p1, p2, p3] = head;
        let unpacked = u32::from_le_bytes([r0, r1, r2, r3]) as usize;
        let length = u64::from(u32::from_le_bytes([p0, p1, p2, p3]));
        let mut packed = Vec::new();
        // Grows with what is really there, whatever the length claims.
        self.from.by_ref().take(length).read_to_end(&mut packed).map_err(FileError::Read)?;
        self.at += packed.len() as u64;
        if (packed.len() as u64) < length {
            return Err(FileError::CutOff(self.at));
        }
        if check != check_of(&self.check, &head, &packed) || unpacked > BLOCK_MOST {
            return Err(FileError::Damaged(start));
        }
        self.check = check;
        let body = lz4_flex::block::decompress(&packed, unpacked).map_err(|_| FileError::Damaged(start))?;
        if body.len() != unpacked {
            return Err(FileError::Damaged(start));
        }
        Ok((kind, body))
    }
}

fn head(kind: u8, unpacked: u32, packed: u32) -> [u8; 9] {
    let mut head = [kind; 9];
    head[1..5].copy_from_slice(&unpacked.to_le_bytes());
    head[5..].copy_from_slice(&packed.to_le_bytes());
    head
}

fn check_of(before: &[u8; CHECK_BYTES], head: &[u8], packed: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(head).update(packed);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}

/// Reads until the buffer is full or the file ends; how many bytes it got.
fn fill(from: &mut impl Read, buffer: &mut [u8], at: &mut u64) -> Result<usize, FileError> {
    let mut got = 0;
    while got < buffer.len() {
        match from.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(FileError::Read(e)),
        }
    }
    *at += got as u64;
    Ok(got)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), FileError> {
    let length = u32::try_from(bytes.len()).map_err(|_| FileError::TooLarge(bytes.len()))?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (bytes, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(bytes)
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(rest)?.to_vec()).ok()
}

fn take_number(rest: &mut &[u8]) -> Option<[u8; 8]> {
    let (number, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(*number)
}

fn read_header(body: &[u8]) -> Option<Header> {
    let mut rest = body;
    let (shard, host) = (take_text(&mut rest)?, take_text(&mut rest)?);
    let made = Micros::from_le_bytes(take_number(&mut rest)?);
    let generation = u64::from_le_bytes(take_number(&mut rest)?);
    rest.is_empty().then_some(Header { shard, host, made, generation })
}

fn read_entries(body: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut rest = body;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let key = take_bytes(&mut rest)?.to_vec();
        entries.push((key, take_bytes(&mut rest)?.to_vec()));
    }
    Some(entries)
}

#[cfg(test)]
mod tests;
