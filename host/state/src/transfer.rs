//! Moving a state: out into one file, and from such a file into an empty place.

use crate::portable::{FileError, Header, Item, Reader, Totals, Writer};
use crate::store::{Purpose, Store, generation_path, import_mark};
use crate::{Claim, OpenError, Snapshot};
use slatedb::object_store::path::Path as ObjectPath;
use slatedb::object_store::{self, ObjectStoreExt as _, PutPayload};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use weir_types::Micros;
use weir_types::ports::{StateError, StateStore as _, WriteSet, reserved};

/// Bytes written at once by an import.
const WRITE_BYTES: usize = 4 << 20;
/// Each is given up after ten seconds.
const WRITE_ATTEMPTS: u32 = 6;
const FILE_BUFFER: usize = 1 << 20;

/// Why a state was not moved, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    State(#[from] StateError),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: FileError },
    #[error("{0}")]
    Refused(String),
}

/// What is exported, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    pub state: &'a str,
    pub shard: &'a str,
    /// Version of this host.
    pub host: &'a str,
    /// Real time.
    pub now: Micros,
}

/// Writes the state as it stands into a new file, which appears under its name once it is whole. A host
/// may be running on it.
pub fn export(what: Export<'_>, file: &Path) -> Result<Totals, TransferError> {
    if file.exists() {
        return Err(TransferError::Refused(format!(
            "{} is there already: remove it, or name another file",
            file.display()
        )));
    }
    let snapshot = Snapshot::open(what.state, what.shard)?;
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = write_file(&snapshot, what, &partial).and_then(|totals| {
        std::fs::rename(&partial, file).map_err(|e| at(file)(FileError::Write(e)))?;
        sync_folder(file).map_err(|e| at(file)(FileError::Write(e)))?;
        Ok(totals)
    });
    if written.is_err() {
        // Half a file is of no use; the error matters more than a failed removal.
        let _unremoved = std::fs::remove_file(&partial);
    }
    written
}

fn write_file(snapshot: &Snapshot, what: Export<'_>, partial: &Path) -> Result<Totals, TransferError> {
    let failed = at(partial);
    let out = File::create(partial).map_err(|e| failed(FileError::Write(e)))?;
    let header = Header {
        shard: what.shard.to_string(),
        host: what.host.to_string(),
        made: what.now,
        generation: snapshot.listed_generation()?,
    };
    let mut writer = Writer::new(BufWriter::with_capacity(FILE_BUFFER, out), &header).map_err(at(partial))?;
    snapshot.for_each(|key, value| writer.entry(key, value).map_err(at(partial)))?;
    // Objects come second: one that the entries name was stored before them.
    for (name, _) in snapshot.objects()? {
        writer.object(&name, &snapshot.object(&name)?).map_err(at(partial))?;
    }
    let (out, totals) = writer.finish().map_err(at(partial))?;
    let out = out.into_inner().map_err(|e| failed(FileError::Write(e.into_error())))?;
    out.sync_all().map_err(|e| failed(FileError::Write(e)))?;
    Ok(totals)
}

fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn at(path: &Path) -> impl Fn(FileError) -> TransferError {
    let path = path.to_path_buf();
    move |error| TransferError::File { path: path.clone(), error }
}

/// Shows every part of an exported file, each checked; the whole file is known to be good only at the end.
pub fn read_file(
    file: &Path,
    mut see: impl FnMut(Item) -> Result<(), TransferError>,
) -> Result<(Header, Totals), TransferError> {
    let from = File::open(file).map_err(|e| at(file)(FileError::Read(e)))?;
    let mut reader = Reader::new(BufReader::with_capacity(FILE_BUFFER, from)).map_err(at(file))?;
    while let Some(item) = reader.next_item().map_err(at(file))? {
        see(item)?;
    }
    Ok((reader.header().clone(), reader.totals()))
}

/// Fills a place with the state of a file, which is read to its end before anything is changed.
///
/// Refused if a host works there, or if there is a state already and `replace` is not said. An import that
/// is killed leaves a mark, so that no host starts on half a state.
pub fn import(
    file: &Path,
    state: &str,
    shard: &str,
    replace: bool,
    claim: Claim,
) -> Result<(Header, Totals), TransferError> {
    let (header, totals) = read_file(file, |_| Ok(()))?;
    if header.shard != shard {
        return Err(TransferError::Refused(format!(
            "{} holds shard `{}`, but `{shard}` is to be filled: set `shard` in the configuration, or --shard",
            file.display(),
            header.shard
        )));
    }
    let store = Store::open_for(state, shard, claim, Purpose::Import)?;
    let filling = Filling { store: &store };
    if !replace && !filling.is_empty()? {
        return Err(TransferError::Refused(format!(
            "{} holds a state of shard `{shard}` already: name an empty place, or lose that state by --replace",
            store.place
        )));
    }
    filling.mark()?;
    filling.clear()?;
    let mark = reserved::imported(shard);
    // What was to be taken back of the time before still is.
    let mut takes_back = false;
    let mut writes = WriteSet::default();
    read_file(file, |item| {
        match item {
            Item::Entries(entries) => {
                takes_back |= entries.iter().any(|(key, value)| *key == mark && !value.is_empty());
                writes.puts.extend(entries);
            }
            Item::Object { name, bytes } => filling.object(&name, bytes)?,
        }
        if writes.size_bytes() >= WRITE_BYTES {
            filling.write(std::mem::take(&mut writes))?;
        }
        Ok(())
    })?;
    filling.generation(header.generation)?;
    if !takes_back {
        writes.put(mark, Vec::new());
    }
    filling.write(writes)?;
    filling.unmark()?;
    Ok((header, totals))
}

/// A store that is being filled.
struct Filling<'a> {
    store: &'a Store,
}

impl Filling<'_> {
    fn is_empty(&self) -> Result<bool, TransferError> {
        let marked = self.store.run("reading an object", 0, async {
            match self.store.objects.head(&import_mark(&self.store.shard)).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(self.store.object_error("reading an object", &error)),
            }
        })?;
        Ok(!marked && self.store.keys_after(&[], 1)?.is_empty())
    }

    fn mark(&self) -> Result<(), StateError> {
        self.put(&import_mark(&self.store.shard), Vec::new())
    }

    fn unmark(&self) -> Result<(), StateError> {
        self.store.run("removing an object", 0, async {
            let gone = self.store.objects.delete(&import_mark(&self.store.shard)).await;
            gone.map_err(|e| self.store.object_error("removing an object", &e))
        })
    }

    fn put(&self, path: &ObjectPath, bytes: Vec<u8>) -> Result<(), StateError> {
        self.store.run("storing an object", bytes.len(), async {
            let put = self.store.objects.put(path, PutPayload::from(bytes)).await;
            put.map(|_| ()).map_err(|e| self.store.object_error("storing an object", &e))
        })
    }

    /// A slow store is waited for: repeating a write is harmless.
    fn write(&self, writes: WriteSet) -> Result<(), StateError> {
        for _ in 1..WRITE_ATTEMPTS {
            match self.store.write(writes.clone()) {
                Err(StateError::Unavailable(reason)) => tracing::debug!(%reason, "written again"),
                done => return done,
            }
        }
        self.store.write(writes)
    }

    fn clear(&self) -> Result<(), StateError> {
        let mut last = Vec::new();
        loop {
            let keys = self.store.keys_after(&last, 10_000)?;
            let Some(newest) = keys.last() else { return Ok(()) };
            last.clone_from(newest);
            self.write(WriteSet { puts: Vec::new(), deletes: keys })?;
        }
    }

    fn object(&self, name: &str, bytes: Vec<u8>) -> Result<(), StateError> {
        let path = ObjectPath::parse(format!("blobs/{name}"))
            .map_err(|e| StateError::Corrupt(format!("the object `{name}` cannot be stored: {e}")))?;
        self.put(&path, bytes)
    }

    /// Makes sure that the next generation here is greater than any known where the file was written.
    fn generation(&self, known: u64) -> Result<(), StateError> {
        if known == 0 {
            return Ok(());
        }
        self.put(&generation_path(known), Vec::new())
    }
}

#[cfg(test)]
mod tests;
