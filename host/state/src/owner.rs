//! Who works on a state on an object store, where no file can be locked: an object that its owner renews
//! every few seconds.
//!
//! The object keeps a second host away while the first one lives. It does not make writes safe: that is
//! the database's fencing, which holds whatever happens here. Each renewal replaces exactly the owner's
//! own version of the object, so an owner that was taken over learns it by its next renewal, even if it has
//! nothing to write.

use crate::OpenError;
use slatedb::object_store::path::Path;
use slatedb::object_store::{self, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, UpdateVersion};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weir_types::Micros;

/// How often what is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// An owner that gave no sign of life for this long may be replaced.
    pub stale_after: Duration,
    /// Between two renewals.
    pub beat: Duration,
    /// Between two looks at an owner that may be dead.
    pub look: Duration,
}

pub(crate) const PACE: Pace =
    Pace { stale_after: Duration::from_secs(15), beat: Duration::from_secs(3), look: Duration::from_secs(1) };

/// Hosts that start at the same moment take turns; more turns than this mean that something else is wrong.
const ATTEMPTS: u32 = 20;
/// First line of an object whose owner has stopped in order.
const RELEASED: &str = "released";

/// How a host presents itself when it opens a state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim {
    /// Take the state from an owner that is still alive.
    pub take_over: bool,
    /// Real time when this process started: with machine and process number it tells hosts apart.
    pub started: Micros,
}

/// A claim that was granted, renewed until it is dropped or lost.
pub(crate) struct Owner {
    lost: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    beats: JoinHandle<()>,
}

/// Found in the object: its text, and which version of it that is.
struct Found {
    text: String,
    version: UpdateVersion,
    age: Duration,
}

impl Owner {
    /// Becomes the owner of `shard`, or is refused while another host is alive.
    pub async fn take(
        objects: Arc<dyn ObjectStore>,
        place: &str,
        shard: &str,
        claim: Claim,
        pace: Pace,
    ) -> Result<Owner, OpenError> {
        let (path, name) = (path_of(shard), name_of(claim.started));
        for _ in 0..ATTEMPTS {
            let failed = |e: object_store::Error| unavailable(place, &e);
            let mode = match find(&*objects, shard, &path).await.map_err(failed)? {
                None => PutMode::Create,
                Some(found) if claim.take_over || found.text.starts_with(RELEASED) => {
                    PutMode::Update(found.version)
                }
                Some(found) => {
                    let version = await_silence(&*objects, place, &path, found, pace).await?;
                    PutMode::Update(version)
                }
            };
            let creates = mode == PutMode::Create;
            match objects.put_opts(&path, text_of(&name, 0), mode.into()).await {
                Ok(put) => return Ok(Owner::keep(objects, path, name, put.into(), pace.beat)),
                // Another host, or the old owner, was quicker: look again.
                Err(error) if is_conflict(&error) && !(creates && is_absent(&error)) => {}
                Err(error) => return Err(unavailable(place, &error)),
            }
        }
        Err(OpenError::Unavailable(format!("{place}: other hosts start on it again and again: stop them")))
    }

    fn keep(
        objects: Arc<dyn ObjectStore>,
        path: Path,
        name: String,
        version: UpdateVersion,
        every: Duration,
    ) -> Owner {
        let lost = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = watch::channel(false);
        let beats = beat(objects, path, name, version, every, stopped, lost.clone());
        let beats = Handle::current().spawn(beats);
        Owner { lost, stop, beats }
    }

    /// Whether another host has become the owner.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Lets the next host start at once.
    pub async fn release(&mut self) {
        let _gone = self.stop.send(true);
        if (&mut self.beats).await.is_err() {
            tracing::debug!("the task that renews the ownership of the state panicked");
        }
    }
}

/// Renews the object until it is told to stop, or finds that it is no longer its own.
async fn beat(
    objects: Arc<dyn ObjectStore>,
    path: Path,
    name: String,
    version: UpdateVersion,
    every: Duration,
    mut stopped: watch::Receiver<bool>,
    lost: Arc<AtomicBool>,
) {
    let mut mode = PutMode::Update(version);
    for count in 1u64.. {
        // Stopped in order, or dropped without a word.
        let stop = tokio::time::timeout(every, stopped.changed()).await.is_ok();
        let text = match stop {
            true => PutPayload::from(format!("{RELEASED}\n{name}\n")),
            false => text_of(&name, count),
        };
        match objects.put_opts(&path, text, mode.clone().into()).await {
            Ok(put) => mode = PutMode::Update(put.into()),
            Err(error) if is_conflict(&error) => match look(&*objects, &path).await {
                // Our own renewal, whose answer was lost on the way.
                Ok(Some((text, version))) if text.lines().next() == Some(name.as_str()) => {
                    mode = PutMode::Update(version);
                }
                Ok(Some(_)) => {
                    lost.store(true, Ordering::Release);
                    return;
                }
                // Somebody tidied up.
                Ok(None) => mode = PutMode::Create,
                Err(error) => tracing::debug!(%error, "the owner of the state cannot be read"),
            },
            Err(error) => tracing::debug!(%error, "the ownership of the state cannot be renewed"),
        }
        if stop {
            return;
        }
    }
}

/// Waits until the object found has not been renewed for long enough; gives its version.
async fn await_silence(
    objects: &dyn ObjectStore,
    place: &str,
    path: &Path,
    found: Found,
    pace: Pace,
) -> Result<UpdateVersion, OpenError> {
    let owner = found.text.lines().next().unwrap_or("another host").to_string();
    let mut silent = found.age;
    if silent < pace.stale_after {
        tracing::info!(%owner, "the state has an owner that was alive a moment ago: it is watched");
    }
    while silent < pace.stale_after {
        tokio::time::sleep(pace.look).await;
        silent += pace.look;
        match objects.head(path).await {
            Ok(meta) if meta.e_tag == found.version.e_tag => {}
            Ok(_) => {
                return Err(OpenError::Locked(format!(
                    "{place} is in use by another host, {owner}: stop that one, or (`weir run`) take it over with --take-over"
                )));
            }
            Err(object_store::Error::NotFound { .. }) => break,
            Err(error) => return Err(unavailable(place, &error)),
        }
    }
    Ok(found.version)
}

/// The object, and how long ago it was renewed by the object store's own clock.
async fn find(
    objects: &dyn ObjectStore,
    shard: &str,
    path: &Path,
) -> Result<Option<Found>, object_store::Error> {
    let Some((text, version)) = look(objects, path).await? else { return Ok(None) };
    let clock = Path::from(format!("owner/{shard}.clock"));
    objects.put(&clock, PutPayload::from_static(b"")).await?;
    let now = objects.head(&clock).await?.last_modified;
    let renewed = match objects.head(path).await {
        Ok(meta) => meta.last_modified,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let age = Duration::from_millis((now - renewed).num_milliseconds().max(0) as u64);
    Ok(Some(Found { text, version, age }))
}

/// The object's text, and which version of it that is.
async fn look(
    objects: &dyn ObjectStore,
    path: &Path,
) -> Result<Option<(String, UpdateVersion)>, object_store::Error> {
    let found = match objects.get(path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    Ok(Some((String::from_utf8_lossy(&found.bytes().await?).into_owned(), version)))
}

fn path_of(shard: &str) -> Path {
    Path::from(format!("owner/{shard}"))
}

fn name_of(started: Micros) -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = if machine.trim().is_empty() { "an unnamed machine" } else { machine.trim() };
    format!("process {} on {machine}, started {started}", std::process::id())
}

/// Differs with each renewal, so that versions made of contents differ too.
fn text_of(name: &str, count: u64) -> PutPayload {
    PutPayload::from(format!("{name}\nrenewed {count}\n"))
}

/// Where an object is to be made: its bucket is absent.
fn is_absent(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
}

fn is_conflict(error: &object_store::Error) -> bool {
    use object_store::Error::{AlreadyExists, Precondition};
    matches!(error, AlreadyExists { .. } | Precondition { .. }) || is_absent(error)
}

fn unavailable(place: &str, error: &object_store::Error) -> OpenError {
    OpenError::Unavailable(format!("{place}: its owner cannot be found out: {}", crate::root_cause(error)))
}

#[cfg(test)]
mod tests;
