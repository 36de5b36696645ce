//! The shard's state: one SlateDB database on an object store, blobs beside it, and the numbers of
//! generations. The only user of slatedb.
//!
//! ```text
//! <state>/lock                 who works here (local directories only)
//! <state>/shards/<shard>/…     the database of a shard
//! <state>/blobs/<name>         objects by name (components)
//! <state>/generation/<n>       one empty object for each generation ever claimed
//! ```

mod location;
mod probe;
mod store;

pub use location::{DirLock, Location};
pub use probe::probe;
pub use store::Store;

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
