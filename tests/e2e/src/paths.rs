//! Where tools and binaries are. `cargo xtask` finds or makes them and hands them to the tests through
//! the environment.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// libchdb.so, the ClickHouse engine.
pub const CHDB_LIB: &str = "WEIR_CHDB_LIB";
/// Folder with weir, weir-embedded, weir-generator and weir-oracle.
pub const BIN_DIR: &str = "WEIR_BIN_DIR";
/// The program weir-embedded.
pub const EMBEDDED_BIN: &str = "WEIR_EMBEDDED_BIN";
/// The program weir.
pub const WEIR_BIN: &str = "WEIR_BIN";
/// Folder with the components `ticket.wasm` and `call.wasm`.
pub const COMPONENTS: &str = "WEIR_COMPONENTS";
/// Folder with `<language>.wasm` for each language in which metrics exist besides Rust.
pub const LANGUAGES: &str = "WEIR_LANGUAGES";
/// Folder with Kafka's jars.
pub const KAFKA: &str = "WEIR_KAFKA";
/// Folder with Kafka Connect's jars and the Debezium connector.
pub const CONNECT: &str = "WEIR_CONNECT";
/// The program minio.
pub const MINIO: &str = "WEIR_MINIO";
/// URL of an empty place on an S3-compatible server, which the environment (`AWS_…`) makes reachable.
pub const S3: &str = "WEIR_TEST_S3";
/// The program chromium.
pub const CHROMIUM: &str = "WEIR_CHROMIUM";
/// The program promtool.
pub const PROMTOOL: &str = "WEIR_PROMTOOL";

/// How long ClickHouse is away in the test of memory, in seconds.
pub const OUTAGE: &str = "WEIR_OUTAGE_SECONDS";
/// Row changes a second meanwhile.
pub const OUTAGE_RATE: &str = "WEIR_OUTAGE_RATE";

/// The programs of this workspace.
#[derive(Clone, Debug)]
pub struct Bins {
    pub dir: PathBuf,
}

impl Bins {
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    pub fn weir(&self) -> PathBuf {
        self.program("weir")
    }
    pub fn embedded(&self) -> PathBuf {
        self.program("weir-embedded")
    }
    pub fn generator(&self) -> PathBuf {
        self.program("weir-generator")
    }
    pub fn oracle(&self) -> PathBuf {
        self.program("weir-oracle")
    }
}

/// A path that `cargo xtask test` hands over.
pub fn from_env(name: &str) -> Result<PathBuf> {
    let Some(value) = std::env::var_os(name) else {
        bail!("{name} is not set: these tests are run by `cargo xtask test`");
    };
    let path = PathBuf::from(value);
    if !path.exists() {
        bail!("{name} is {}, which does not exist", path.display());
    }
    Ok(path)
}

pub fn bins_from_env() -> Result<Bins> {
    Ok(Bins { dir: from_env(BIN_DIR)? })
}

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// A new empty folder for one run, under `parent`.
pub fn run_dir(parent: &Path, name: &str) -> Result<PathBuf> {
    let mut n = std::process::id();
    loop {
        let dir = parent.join(format!("{name}-{n}"));
        match std::fs::create_dir_all(parent).and_then(|()| std::fs::create_dir(&dir)) {
            Ok(()) => return Ok(dir),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => n = n.wrapping_add(100_000),
            Err(e) => return Err(e).with_context(|| format!("create {}", dir.display())),
        }
    }
}
