//! The state store of `weir-types` over SlateDB.

use crate::owner::{Claim, Owner, PACE};
use crate::{DirLock, Location, OpenError, root_cause};
use slatedb::config::{GarbageCollectorDirectoryOptions, GarbageCollectorOptions, ScanOptions, Settings};
use slatedb::object_store::path::Path;
use slatedb::object_store::{self, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use slatedb::{CloseReason, Db, ErrorKind, WriteBatch, WriteHandle};
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use weir_types::ports::{KeyValues, StateError, StateStore, WriteSet, reserved};

/// How long a call may take before it is reported as trouble. SlateDB itself tries for ever.
const PATIENCE: Duration = Duration::from_secs(10);
/// Opening replays a log, which takes longer.
const OPEN_PATIENCE: Duration = Duration::from_secs(120);
/// An object is somewhat larger than what was put into it.
const PROBE_BYTES: usize = 64 << 10;
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// A shard's state. Its calls block and must not be made from an async task.
pub struct Store {
    /// None once closed.
    runtime: Option<Runtime>,
    db: Db,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) shard: String,
    /// For error texts.
    pub(crate) place: String,
    patience: Duration,
    /// A write that was handed over, but whose end was not waited for.
    unfinished: Mutex<Option<Unfinished>>,
    /// Set once the database has said so.
    fenced: AtomicBool,
    /// On an object store.
    owner: Option<Owner>,
    /// On a local directory.
    _lock: Option<DirLock>,
}

struct Unfinished {
    /// Of the write set: the caller repeats it after a failure.
    hash: u64,
    handle: WriteHandle,
}

impl Store {
    /// Opens the state of a shard at a directory or URL, making it if it is missing. Refused while
    /// another host works on it; one that was taken over is fenced off from then on.
    pub fn open(state: &str, shard: &str, claim: Claim) -> Result<Store, OpenError> {
        Self::open_for(state, shard, claim, Purpose::Run)
    }

    pub(crate) fn open_for(
        state: &str,
        shard: &str,
        claim: Claim,
        purpose: Purpose,
    ) -> Result<Store, OpenError> {
        let location = Location::parse(state)?;
        let lock = match &location {
            Location::Directory(directory) => Some(DirLock::take(directory)?),
            Location::Url(_) => None,
        };
        Self::open_with(&location, shard, lock, claim, purpose)
    }

    fn open_with(
        location: &Location,
        shard: &str,
        lock: Option<DirLock>,
        claim: Claim,
        purpose: Purpose,
    ) -> Result<Store, OpenError> {
        check_shard(shard)?;
        let objects = location.open()?;
        let place = location.describe();
        let runtime = runtime()?;
        let opened: Result<(Db, Option<Owner>), OpenError> = runtime.block_on(async {
            if purpose == Purpose::Run {
                within(&place, refuse_unfinished(&*objects, &place, shard)).await?;
            }
            let take = Owner::take(objects.clone(), &place, shard, claim, PACE);
            let mut owner = match location {
                Location::Directory(_) => None,
                Location::Url(_) => Some(within(&place, take).await?),
            };
            let db = open_db(location, shard, objects.clone(), &place).await;
            if let (Err(_), Some(owner)) = (&db, &mut owner) {
                owner.release().await;
            }
            Ok((db?, owner))
        });
        let (db, owner) = opened?;
        Ok(Store {
            runtime: Some(runtime),
            db,
            objects,
            shard: shard.to_string(),
            place,
            patience: PATIENCE,
            unfinished: Mutex::new(None),
            fenced: AtomicBool::new(false),
            owner,
            _lock: lock,
        })
    }

    /// Whether another host has taken this state over: this one must end, and not be restarted.
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire) || self.owner.as_ref().is_some_and(Owner::is_lost)
    }

    /// Runs one call to its end, or to the end of patience. `size`: of what is written.
    pub(crate) fn run<T>(
        &self,
        call: &str,
        size: usize,
        future: impl Future<Output = Result<T, StateError>>,
    ) -> Result<T, StateError> {
        let Some(runtime) = &self.runtime else { return Err(self.is_closed()) };
        runtime.block_on(async {
            match tokio::time::timeout(self.patience, future).await {
                Ok(result) => result,
                Err(_) => Err(StateError::Unavailable(format!(
                    "{}: {call} is not done after {:?}{}",
                    self.place,
                    self.patience,
                    self.probe(size).await
                ))),
            }
        })
    }

    /// SlateDB retries without saying why: asks the object store itself, with as many bytes.
    async fn probe(&self, size: usize) -> String {
        let path = Path::from("probe");
        let probe = async {
            self.objects.put(&path, PutPayload::from(vec![0u8; size + PROBE_BYTES])).await?;
            self.objects.delete(&path).await
        };
        match tokio::time::timeout(self.patience, probe).await {
            Ok(Ok(())) => String::new(),
            Ok(Err(error)) => format!(": {}", root_cause(&error)),
            Err(_) => ": it does not answer".into(),
        }
    }

    fn error(&self, call: &str, error: &slatedb::Error) -> StateError {
        let text = format!("{}: {call} failed: {error}", self.place);
        match error.kind() {
            ErrorKind::Closed(CloseReason::Fenced) => {
                self.fenced.store(true, Ordering::Release);
                StateError::Fenced(self.place.clone())
            }
            ErrorKind::Data => StateError::Corrupt(text),
            // It never comes back within this process.
            ErrorKind::Closed(_) => StateError::Closed(format!(
                "{text}: the database has stopped for good: restart this host; nothing that was stored is lost"
            )),
            _ => StateError::Unavailable(text),
        }
    }

    pub(crate) fn object_error(&self, call: &str, error: &object_store::Error) -> StateError {
        StateError::Unavailable(format!("{}: {call} failed: {}", self.place, root_cause(error)))
    }

    async fn commit(&self, writes: WriteSet, hash: u64) -> Result<(), StateError> {
        let earlier = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(earlier) = earlier {
            let handle = self.keep(earlier.hash, earlier.handle);
            self.finish(&handle).await?;
            if earlier.hash == hash {
                // It is the same write, repeated because its end was not seen.
                return Ok(());
            }
        }
        let mut batch = WriteBatch::new();
        for (key, value) in writes.puts {
            batch.put_bytes(key.into(), value.into());
        }
        for key in writes.deletes {
            batch.delete(key);
        }
        let handle = self.db.write(batch).await.map_err(|e| self.error("a write", &e))?;
        let handle = self.keep(hash, handle);
        self.finish(&handle).await
    }

    /// Remembers the write until it is finished: this future may be dropped while it waits.
    fn keep(&self, hash: u64, handle: WriteHandle) -> WriteHandle {
        let copy = handle.clone();
        *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner) = Some(Unfinished { hash, handle });
        copy
    }

    async fn finish(&self, handle: &WriteHandle) -> Result<(), StateError> {
        // At once, not at the next tick.
        let done = match self.db.flush().await {
            Ok(()) => handle.await_durable().await,
            Err(error) => Err(error),
        };
        done.map_err(|e| self.error("a write", &e))?;
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(())
    }

    /// The keys of the database that follow this one, at most `most`.
    pub(crate) fn keys_after(&self, key: &[u8], most: usize) -> Result<Vec<Vec<u8>>, StateError> {
        let range = (Bound::Excluded(key), Bound::Unbounded);
        self.run_long(async {
            let failed = |e: slatedb::Error| self.error("a scan", &e);
            let mut entries = self.db.scan_with_options(range, &scanning()).await.map_err(failed)?;
            let mut keys = Vec::new();
            while keys.len() < most
                && let Some(entry) = entries.next().await.map_err(failed)?
            {
                keys.push(entry.key.to_vec());
            }
            Ok(keys)
        })
    }

    /// Runs one call to its end: a scan may read much, and nothing goes on without it.
    fn run_long<T>(&self, future: impl Future<Output = Result<T, StateError>>) -> Result<T, StateError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            None => Err(self.is_closed()),
        }
    }

    fn is_closed(&self) -> StateError {
        StateError::Unavailable(format!("{} is closed", self.place))
    }

    /// The greatest generation that is known here.
    async fn greatest_generation(&self) -> Result<u64, StateError> {
        let listed = listed_generation(&*self.objects).await;
        let listed = listed.map_err(|e| self.object_error("listing generations", &e))?;
        let key = reserved::claimed(&self.shard);
        let stored = self.db.get(key).await.map_err(|e| self.error("a read", &e))?;
        Ok(listed.max(stored.and_then(|bytes| reserved::read_claimed(&bytes)).unwrap_or(0)))
    }

    /// Notes a generation in the database. This proves that no other host has opened the state since
    /// the generation was claimed: whoever does so later will claim a greater one.
    async fn note_generation(&self, generation: u64) -> Result<(), StateError> {
        let failed = |e: slatedb::Error| self.error("noting a generation", &e);
        let mut batch = WriteBatch::new();
        batch.put(reserved::claimed(&self.shard), reserved::write_claimed(generation));
        let handle = self.db.write(batch).await.map_err(failed)?;
        self.db.flush().await.map_err(failed)?;
        handle.await_durable().await.map_err(failed)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // Everything acknowledged is durable already; closing in order only makes the next start quick.
        match runtime.block_on(async { tokio::time::timeout(CLOSE_PATIENCE, self.db.close()).await }) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the state was not closed in order"),
            Err(_) => tracing::warn!("the state did not close in time; nothing is lost"),
        }
        if let Some(owner) = &mut self.owner {
            let released =
                runtime.block_on(async { tokio::time::timeout(CLOSE_PATIENCE, owner.release()).await });
            if released.is_err() {
                tracing::warn!(
                    "the ownership of the state is not given back: the next start waits up to 15 s"
                );
            }
        }
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

impl StateStore for Store {
    fn write(&self, writes: WriteSet) -> Result<(), StateError> {
        if writes.puts.is_empty() && writes.deletes.is_empty() {
            return Ok(());
        }
        let hash = hash_of(&writes);
        let size = writes.size_bytes();
        self.run("a write", size, self.commit(writes, hash))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.run("a read", 0, async {
            let value = self.db.get(key).await.map_err(|e| self.error("a read", &e))?;
            Ok(value.map(|bytes| bytes.to_vec()))
        })
    }

    fn scan(&self, prefix: &[u8]) -> Result<KeyValues, StateError> {
        self.run_long(async {
            let failed = |e: slatedb::Error| self.error("a scan", &e);
            let options = scanning();
            let mut entries = self.db.scan_prefix_with_options(prefix, .., &options).await.map_err(failed)?;
            let mut found = KeyValues::new();
            while let Some(entry) = entries.next().await.map_err(failed)? {
                found.push((entry.key.to_vec(), entry.value.to_vec()));
            }
            Ok(found)
        })
    }

    fn put_blob(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let payload = PutPayload::from(bytes.to_vec());
        self.run("storing an object", bytes.len(), async {
            let put = self.objects.put(&blob_path(name), payload).await;
            put.map(|_| ()).map_err(|e| self.object_error("storing an object", &e))
        })
    }

    fn get_blob(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.run("reading an object", 0, async {
            let failed = |e: object_store::Error| self.object_error("reading an object", &e);
            match self.objects.get(&blob_path(name)).await {
                Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?.to_vec())),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(failed(error)),
            }
        })
    }

    fn claim_generation(&self, at_least: u64) -> Result<u64, StateError> {
        self.run("claiming a generation", 0, async {
            let mut number = at_least.max(self.greatest_generation().await? + 1);
            let claimed = loop {
                let path = generation_path(number);
                let put = self.objects.put_opts(&path, PutPayload::from_static(b""), PutMode::Create.into());
                match put.await {
                    Ok(_) => break number,
                    Err(
                        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. },
                    ) => {
                        number += 1;
                    }
                    Err(error) => return Err(self.object_error("claiming a generation", &error)),
                }
            };
            self.note_generation(claimed).await?;
            Ok(claimed)
        })
    }
}

/// What the state is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Run,
    /// Whatever an import left unfinished may be there.
    Import,
}

pub(crate) fn check_shard(shard: &str) -> Result<(), OpenError> {
    if shard.is_empty() || !shard.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(OpenError::Location(format!("shard `{shard}`: use letters, digits, `-` and `_`")));
    }
    Ok(())
}

pub(crate) fn runtime() -> Result<Runtime, OpenError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("state")
        .enable_all()
        .build()
        .map_err(|e| OpenError::Unavailable(format!("threads for the state do not start: {e}")))
}

/// Where the database of a shard lies.
pub(crate) fn database_path(shard: &str) -> Path {
    Path::from(format!("shards/{shard}"))
}

/// There while an import is under way, or if it did not come to its end.
pub(crate) fn import_mark(shard: &str) -> Path {
    Path::from(format!("importing/{shard}"))
}

pub(crate) async fn refuse_unfinished(
    objects: &dyn ObjectStore,
    place: &str,
    shard: &str,
) -> Result<(), OpenError> {
    match objects.head(&import_mark(shard)).await {
        Ok(_) => Err(OpenError::Corrupt(format!(
            "{place}: an import into shard `{shard}` did not come to its end: run it again with --replace"
        ))),
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(OpenError::Unavailable(format!("{place} cannot be read: {}", root_cause(&error)))),
    }
}

/// Object stores that are away are asked again and again; this ends it.
pub(crate) async fn within<T>(
    place: &str,
    call: impl Future<Output = Result<T, OpenError>>,
) -> Result<T, OpenError> {
    tokio::time::timeout(OPEN_PATIENCE, call).await.unwrap_or_else(|_| {
        let seconds = OPEN_PATIENCE.as_secs();
        Err(OpenError::Unavailable(format!("{place} does not answer within {seconds} s")))
    })
}

async fn open_db(
    location: &Location,
    shard: &str,
    objects: Arc<dyn ObjectStore>,
    place: &str,
) -> Result<Db, OpenError> {
    let builder = Db::builder(database_path(shard), objects)
        .with_settings(settings(matches!(location, Location::Directory(_))));
    let build = async {
        builder.build().await.map_err(|error| match error.kind() {
            ErrorKind::Data => OpenError::Corrupt(format!("{place} cannot be read: {error}")),
            _ => OpenError::Unavailable(format!("{place} cannot be opened: {error}")),
        })
    };
    within(place, build).await
}

/// The greatest generation that has an object; 0 if none has.
pub(crate) async fn listed_generation(objects: &dyn ObjectStore) -> Result<u64, object_store::Error> {
    let listed = objects.list_with_delimiter(Some(&Path::from("generation"))).await?;
    let numbers = listed.objects.iter().filter_map(|o| o.location.filename()?.parse::<u64>().ok());
    Ok(numbers.max().unwrap_or(0))
}

/// Ten digits, so that listings are in order for people too.
pub(crate) fn generation_path(number: u64) -> Path {
    Path::from(format!("generation/{number:010}"))
}

/// Reads ahead: on an object store each block would be a request of its own, one after the other.
fn scanning() -> ScanOptions {
    ScanOptions::new().with_read_ahead_bytes(4 << 20).with_max_fetch_tasks(4).with_cache_blocks(false)
}

fn blob_path(name: &str) -> Path {
    Path::from_iter(["blobs", name])
}

fn hash_of(writes: &WriteSet) -> u64 {
    let mut hasher = DefaultHasher::new();
    writes.puts.hash(&mut hasher);
    writes.deletes.hash(&mut hasher);
    hasher.finish()
}

fn settings(is_local: bool) -> Settings {
    let directory = GarbageCollectorDirectoryOptions {
        interval: Some(Duration::from_secs(60)),
        min_age: Duration::from_secs(120),
        ..GarbageCollectorDirectoryOptions::default()
    };
    Settings {
        // Writes are flushed one by one; the tick only serves what SlateDB does on the side.
        flush_interval: Some(Duration::from_millis(100)),
        // An epoch's write is a few MB at most: more than this unflushed means that storage is away.
        max_unflushed_bytes: 256 << 20,
        l0_sst_size_bytes: 32 << 20,
        garbage_collector_options: Some(GarbageCollectorOptions {
            manifest_options: Some(directory),
            wal_options: Some(directory),
            compacted_options: Some(directory),
            compactions_options: Some(directory),
            // A file system has no conditional overwrite, and the lock stands for it.
            boundary_files_enabled: !is_local,
            ..GarbageCollectorOptions::default()
        }),
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests;
