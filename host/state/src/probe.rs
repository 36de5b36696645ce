//! Whether state could be opened, without opening it: for `weir check`.

use crate::{DirLock, Location, OpenError};
use slatedb::object_store::path::Path as ObjectPath;
use slatedb::object_store::{ObjectStoreExt as _, PutPayload};
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// Checks that the place can be written and nobody works on it. Leaves nothing behind but the lock
/// file of a directory that was there before.
pub fn probe(state: &str) -> Result<(), OpenError> {
    match Location::parse(state)? {
        Location::Directory(directory) if directory.exists() => {
            let _lock = DirLock::take(&directory)?;
            probe_directory(&directory)
        }
        Location::Directory(directory) => {
            let parent = directory.ancestors().skip(1).find(|a| a.exists()).unwrap_or(Path::new("."));
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            probe_directory(parent)
        }
        location @ Location::Url(_) => probe_url(&location, state),
    }
}

fn probe_directory(directory: &Path) -> Result<(), OpenError> {
    let file = directory.join(format!(".weir-check-{}", std::process::id()));
    let written = std::fs::write(&file, "x").and_then(|()| std::fs::remove_file(&file));
    written.map_err(|e| OpenError::Location(format!("state: {} cannot be written: {e}", directory.display())))
}

fn probe_url(location: &Location, state: &str) -> Result<(), OpenError> {
    let objects = location.open()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| OpenError::Unavailable(format!("threads for the state do not start: {e}")))?;
    let path = ObjectPath::from(format!("check-{}", std::process::id()));
    let round = async {
        objects.put(&path, PutPayload::from_static(b"x")).await?;
        objects.delete(&path).await
    };
    let failed =
        |reason: String| OpenError::Unavailable(format!("state {state} cannot be written: {reason}"));
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, round).await }) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_could_be_made_is_fine_and_is_not_made() {
        let directory = tempfile::tempdir().expect("a directory");
        let state = directory.path().join("a/b");
        probe(state.to_str().expect("UTF-8")).expect("could be made");
        assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 0);
    }

    #[test]
    fn a_directory_in_use_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let lock = DirLock::take(directory.path()).expect("free");
        let state = directory.path().to_str().expect("UTF-8");
        assert!(matches!(probe(state), Err(OpenError::Locked(_))));
        drop(lock);
        probe(state).expect("free again");
    }
}
