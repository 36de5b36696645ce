//! A consistent look at a shard's state, beside a running host or without one.

use crate::store::{check_shard, database_path, listed_generation, refuse_unfinished, runtime, within};
use crate::{Location, OpenError, root_cause};
use slatedb::config::{DbReaderOptions, ScanOptions};
use slatedb::object_store::path::Path;
use slatedb::object_store::{self, ObjectStore, ObjectStoreExt as _};
use slatedb::{DbReader, DbReaderMode, ErrorKind};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use weir_types::ports::StateError;

/// The reader keeps what it reads from being collected by a checkpoint, which it makes once and gives
/// back at the end; if it is killed, the checkpoint goes by itself after this time.
const CHECKPOINT_LIFETIME: Duration = Duration::from_secs(6 * 3600);
/// Never moves on to newer state while it reads.
const POLL: Duration = Duration::from_secs(2 * 3600);
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// The state as it stood at one moment: the end of an epoch. Takes no lock and fences nobody. Its calls
/// block and must not be made from an async task.
pub struct Snapshot {
    /// None once closed.
    runtime: Option<Runtime>,
    reader: DbReader,
    objects: Arc<dyn ObjectStore>,
    place: String,
}

impl Snapshot {
    /// Refused if there is no state, or an import into it did not come to its end.
    pub fn open(state: &str, shard: &str) -> Result<Snapshot, OpenError> {
        check_shard(shard)?;
        let location = Location::parse(state)?;
        let place = location.describe();
        if let Location::Directory(directory) = &location
            && !directory.join("shards").join(shard).is_dir()
        {
            return Err(nothing(&place, shard));
        }
        let objects = location.open()?;
        let runtime = runtime()?;
        let opened = runtime.block_on(within(&place, open_reader(objects.clone(), &place, shard)));
        let reader = opened?;
        Ok(Snapshot { runtime: Some(runtime), reader, objects, place })
    }

    fn block<T>(&self, future: impl Future<Output = Result<T, StateError>>) -> Result<T, StateError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            None => Err(StateError::Unavailable(format!("{} is closed", self.place))),
        }
    }

    /// Shows every entry of the database, ascending by key, until `see` fails.
    pub fn for_each<E: From<StateError>>(
        &self,
        mut see: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut failure = None;
        self.block(async {
            let failed = |e: slatedb::Error| {
                let text = format!("{}: reading it failed: {e}", self.place);
                match e.kind() {
                    ErrorKind::Data => StateError::Corrupt(text),
                    _ => StateError::Unavailable(text),
                }
            };
            let options = ScanOptions::new()
                .with_read_ahead_bytes(4 << 20)
                .with_max_fetch_tasks(4)
                .with_cache_blocks(false);
            let entries = self.reader.scan_with_options(.., &options);
            let mut entries = entries.await.map_err(failed)?;
            while let Some(entry) = entries.next().await.map_err(failed)? {
                if let Err(error) = see(&entry.key, &entry.value) {
                    failure = Some(error);
                    break;
                }
            }
            Ok(())
        })?;
        failure.map_or(Ok(()), Err)
    }

    fn object_error(&self, error: &object_store::Error) -> StateError {
        StateError::Unavailable(format!("{}: reading an object failed: {}", self.place, root_cause(error)))
    }

    /// Names (as they are stored) and sizes of the objects beside the database, ascending.
    pub fn objects(&self) -> Result<Vec<(String, u64)>, StateError> {
        self.block(async {
            let listed = self.objects.list_with_delimiter(Some(&Path::from("blobs"))).await;
            let listed = listed.map_err(|e| self.object_error(&e))?;
            let named = |o: &object_store::ObjectMeta| Some((o.location.filename()?.to_string(), o.size));
            let mut objects: Vec<_> = listed.objects.iter().filter_map(named).collect();
            objects.sort();
            Ok(objects)
        })
    }

    /// One object by its stored name.
    pub fn object(&self, name: &str) -> Result<Vec<u8>, StateError> {
        self.block(async {
            let path = Path::parse(format!("blobs/{name}"))
                .map_err(|e| StateError::Corrupt(format!("{}: object `{name}`: {e}", self.place)))?;
            let found = self.objects.get(&path).await.map_err(|e| self.object_error(&e))?;
            Ok(found.bytes().await.map_err(|e| self.object_error(&e))?.to_vec())
        })
    }

    /// The greatest generation that has an object here; 0 if none has.
    pub fn listed_generation(&self) -> Result<u64, StateError> {
        self.block(async { listed_generation(&*self.objects).await.map_err(|e| self.object_error(&e)) })
    }
}

fn nothing(place: &str, shard: &str) -> OpenError {
    OpenError::Location(format!("{place} holds no state of shard `{shard}`"))
}

async fn open_reader(objects: Arc<dyn ObjectStore>, place: &str, shard: &str) -> Result<DbReader, OpenError> {
    refuse_unfinished(&*objects, place, shard).await?;
    let found = objects
        .list_with_delimiter(Some(&database_path(shard)))
        .await
        .map_err(|error| OpenError::Unavailable(format!("{place} cannot be read: {}", root_cause(&error))))?;
    if found.common_prefixes.is_empty() {
        return Err(nothing(place, shard));
    }
    let options = DbReaderOptions {
        manifest_poll_interval: POLL,
        checkpoint_lifetime: CHECKPOINT_LIFETIME,
        ..DbReaderOptions::default()
    };
    let opened = DbReader::open(database_path(shard), objects, DbReaderMode::ManagedCheckpoint, options);
    opened.await.map_err(|error| match error.kind() {
        ErrorKind::Data => OpenError::Corrupt(format!("{place} cannot be read: {error}")),
        _ => OpenError::Unavailable(format!("{place} cannot be read: {error}")),
    })
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        match runtime.block_on(async { tokio::time::timeout(CLOSE_PATIENCE, self.reader.close()).await }) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the reader of the state was not closed in order"),
            Err(_) => tracing::debug!("the reader of the state did not close in time"),
        }
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}
