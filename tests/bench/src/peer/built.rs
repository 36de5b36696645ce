//! The peer, built from a copy of its sources in the cache, and its data.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weir_e2e::process;

const LIMIT: Duration = Duration::from_secs(1800);
/// What its two builds make; never copied.
const MADE: [&str; 3] = ["target", "data", ".git"];

pub struct Built {
    dir: PathBuf,
}

impl Built {
    /// Builds it unless the same sources are built already.
    pub fn from(sources: &Path, cache: &Path) -> Result<Built> {
        for file in ["pom.xml", "src/main/java/peer/Job.java", "gen/Cargo.toml"] {
            if !sources.join(file).exists() {
                bail!(
                    "{} is not the peer's folder: it has no {file} (--peer DIR or WEIR_PEER)",
                    sources.display()
                );
            }
        }
        let mut files = BTreeMap::new();
        collect(sources, Path::new(""), &mut files)?;
        let mut hasher = DefaultHasher::new();
        files.hash(&mut hasher);
        let dir = cache.join("peer").join(format!("{:016x}", hasher.finish()));
        let done = dir.join("built");
        if !done.exists() {
            for (name, bytes) in &files {
                let path = dir.join(name);
                std::fs::create_dir_all(path.parent().unwrap_or(&dir))?;
                std::fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
            }
            eprintln!("  … building the peer (Maven fetches Flink the first time)");
            build(&dir)?;
            std::fs::write(&done, "")?;
        }
        Ok(Built { dir })
    }

    /// The generated file: the same arguments give the same bytes.
    pub fn data(&self, records: u64, seed: u64) -> Result<PathBuf> {
        let path = self.dir.join(format!("data-{records}-{seed}.tsv"));
        if !path.exists() {
            eprintln!("  … generating {records} messages");
            let fresh = path.with_extension("tmp");
            let mut command = Command::new(self.dir.join("gen/target/release/gen"));
            command.args(["--n", &records.to_string(), "--seed", &seed.to_string()]);
            command.args(["--partitions", &super::PARTITIONS.to_string()]);
            command.arg("--out").arg(&fresh);
            process::run("the peer's generator", command, &self.dir.join("gen.log"), LIMIT)?;
            std::fs::rename(&fresh, &path)?;
        }
        Ok(path)
    }

    /// Java's class path.
    pub fn classes(&self) -> String {
        let target = self.dir.join("target");
        format!("{}:{}/*", target.join("classes").display(), target.join("lib").display())
    }
}

fn build(dir: &Path) -> Result<()> {
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "package"]).current_dir(dir);
    process::run("Maven (the peer)", maven, &dir.join("maven.log"), LIMIT)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--manifest-path", "gen/Cargo.toml", "--target-dir", "gen/target"]);
    cargo.current_dir(dir);
    process::run("cargo (the peer's generator)", cargo, &dir.join("cargo.log"), LIMIT)
}

fn collect(root: &Path, below: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let dir = root.join(below);
    for entry in std::fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if MADE.iter().any(|made| entry.file_name() == *made) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(root, &name, files)?;
        } else {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(())
}
