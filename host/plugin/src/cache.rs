//! Compiled components on disk, so that a restart does not compile again.
//!
//! A file is named after everything that its code depends on: the component's bytes, wasmtime's
//! version, the machine and the engine's configuration. It begins with the BLAKE3 hash of the rest;
//! a file that does not match is compiled anew, never run. The hash is against damage, not against
//! people: whoever can write into the directory can make the host run code, so it must belong to
//! the host alone.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use wasmtime::Engine;

/// Number of files kept; the oldest go first. Every component of a large deployment fits several
/// times over.
const MAX_FILES: usize = 512;

/// Part of every key: raise it when the file layout changes.
const LAYOUT: &[u8] = b"weir compiled component 1";

const HASH_BYTES: usize = 32;

/// The directory of compiled components.
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    pub fn new(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Cache { dir })
    }

    /// Where the compiled form of a component lies.
    pub fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let mut key = KeyHasher(blake3::Hasher::new());
        key.write(LAYOUT);
        digest.hash(&mut key);
        // Holds wasmtime's version, the target with its CPU features, and all settings.
        engine.precompile_compatibility_hash().hash(&mut key);
        self.dir.join(format!("{}.cwasm", key.0.finalize().to_hex()))
    }

    /// The compiled bytes, if they are there and whole.
    pub fn get(&self, path: &Path) -> Option<Vec<u8>> {
        let mut bytes = fs::read(path).ok()?;
        if bytes.len() < HASH_BYTES {
            return None;
        }
        let code = bytes.split_off(HASH_BYTES);
        (bytes == blake3::hash(&code).as_bytes()).then_some(code)
    }

    /// Puts compiled bytes; a reader sees the whole file or none.
    pub fn put(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        // Two loads at once may compile the same component: each writes a file of its own.
        let temporary = path.with_extension(format!("{}-{:p}.part", std::process::id(), code.as_ptr()));
        let mut file = Vec::with_capacity(HASH_BYTES + code.len());
        file.extend_from_slice(blake3::hash(code).as_bytes());
        file.extend_from_slice(code);
        let written = fs::write(&temporary, &file).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.and_then(|()| self.prune())
    }

    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|e| e == "cwasm") {
                files.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        files.sort();
        let surplus = files.len().saturating_sub(MAX_FILES);
        for (_, path) in &files[..surplus] {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// Feeds what is hashed into BLAKE3: std's hashers are no stable keys.
struct KeyHasher(blake3::Hasher);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0.finalize().as_bytes()[..8]);
        u64::from_le_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_counts_as_absent() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = Cache::new(dir.path().to_path_buf()).expect("it can be made");
        let path = cache.path(&Engine::default(), "digest");
        assert_eq!(cache.get(&path), None);
        cache.put(&path, b"compiled").expect("it can be written");
        assert_eq!(cache.get(&path).as_deref(), Some(&b"compiled"[..]));
        let mut bytes = fs::read(&path).expect("it is there");
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(&path, &bytes).expect("it can be damaged");
        assert_eq!(cache.get(&path), None);
        fs::write(&path, b"short").expect("it can be cut");
        assert_eq!(cache.get(&path), None);
    }
}
