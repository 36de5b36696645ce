//! The shard's state: one SlateDB database on an object store, blobs beside it, and the numbers of
//! generations. The only user of slatedb.
//!
//! ```text
//! <state>/lock                 who works here (local directories only)
//! <state>/shards/<shard>/…     the database of a shard
//! <state>/blobs/<name>         objects by name (components)
//! <state>/generation/<n>       one empty object for each generation ever claimed
//! <state>/owner/<shard>        who works on the shard (object stores only), renewed every few seconds
//! <state>/importing/<shard>    there while an import is under way
//! ```

mod location;
mod owner;
pub mod portable;
mod probe;
mod snapshot;
mod store;
mod transfer;

pub use location::{DirLock, Location};
pub use owner::Claim;
pub use probe::probe;
pub use snapshot::Snapshot;
pub use store::Store;
pub use transfer::{Export, TransferError, export, import, read_file};

/// Why the state cannot be opened, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another host works on it.
    #[error("{0}")]
    Locked(String),
    /// The location is wrong or cannot be used.
    #[error("{0}")]
    Location(String),
    /// It could not be opened now; trying again may help.
    #[error("{0}")]
    Unavailable(String),
    /// What is stored cannot be read.
    #[error("{0}")]
    Corrupt(String),
}

/// Object stores wrap their errors; the innermost says what is wrong.
pub(crate) fn root_cause(error: &slatedb::object_store::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let (outer, inner) = (error.to_string(), cause.to_string());
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}
