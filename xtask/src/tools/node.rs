//! Node and npm.

use crate::tools::{apt, which};
use anyhow::Result;

/// npm alone (it brings node).
pub fn ensure_npm() -> Result<()> {
    if which("npm").is_some() { Ok(()) } else { apt::install("npm", &["npm"]) }
}

pub fn is_there() -> bool {
    which("node").is_some() && which("npm").is_some()
}
