//! Where state lies: a local directory with a lock, or an object store by URL.

use crate::OpenError;
use slatedb::object_store::local::LocalFileSystem;
use slatedb::object_store::prefix::PrefixStore;
use slatedb::object_store::{ObjectStore, parse_url_opts};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where state lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Directory(PathBuf),
    /// `s3://bucket/prefix` and the like. Credentials come from the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`, …).
    Url(String),
}

impl Location {
    /// A text with `://` is a URL, `file://` of a directory; any other is a directory.
    pub fn parse(text: &str) -> Result<Location, OpenError> {
        if let Some(path) = text.strip_prefix("file://") {
            if !path.starts_with('/') {
                return Err(OpenError::Location(format!("state `{text}`: a file URL reads file:///path")));
            }
            return Ok(Location::Directory(path.into()));
        }
        if text.contains("://") {
            return Ok(Location::Url(text.trim_end_matches('/').to_string()));
        }
        if text.is_empty() {
            return Err(OpenError::Location("state: name a directory or an object store's URL".into()));
        }
        Ok(Location::Directory(text.into()))
    }

    /// For error texts: `state directory /a/b` or `state s3://bucket/prefix`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Location::Directory(directory) => format!("state directory {}", directory.display()),
            Location::Url(url) => format!("state {url}"),
        }
    }

    /// The object store. A local directory is made if it is missing.
    pub(crate) fn open(&self) -> Result<Arc<dyn ObjectStore>, OpenError> {
        match self {
            Location::Directory(directory) => {
                create_directory(directory)?;
                let store = LocalFileSystem::new_with_prefix(directory).map_err(|e| {
                    OpenError::Location(format!("state directory {}: {e}", directory.display()))
                })?;
                // Files and their directories are synced before a write counts.
                Ok(Arc::new(store.with_fsync(true)))
            }
            Location::Url(url) => {
                let wrong = |e: &dyn std::fmt::Display| OpenError::Location(format!("state `{url}`: {e}"));
                let parsed = url.as_str().try_into().map_err(|e| wrong(&e))?;
                // The options are known by lower-case names.
                let options = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
                let (store, prefix) = parse_url_opts(&parsed, options).map_err(|e| wrong(&e))?;
                Ok(Arc::new(PrefixStore::new(store, prefix)))
            }
        }
    }
}

fn create_directory(directory: &Path) -> Result<(), OpenError> {
    std::fs::create_dir_all(directory).map_err(|e| {
        OpenError::Location(format!("state directory {} cannot be made: {e}", directory.display()))
    })
}

/// A lock on a local state directory; ends with the process, however that ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Refused while another process holds it.
    pub fn take(directory: &Path) -> Result<DirLock, OpenError> {
        create_directory(directory)?;
        let path = directory.join("lock");
        let failed = |e: std::io::Error| {
            OpenError::Location(format!("state directory {} cannot be locked: {e}", directory.display()))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // The number is for people only; without it the refusal stands all the same.
                let _unreadable = file.read_to_string(&mut owner);
                let owner =
                    if owner.trim().is_empty() { "another host".into() } else { owner.trim().to_string() };
                return Err(OpenError::Locked(format!(
                    "state directory {} is in use by {owner}: stop it, or give this host another `state`",
                    directory.display()
                )));
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "process {}", std::process::id()).map_err(failed)?;
        Ok(DirLock { _file: file })
    }
}
