//! What the C parts of the build need: librdkafka, OpenSSL and zstd are compiled from source.

use crate::tools::{apt, which};
use anyhow::Result;
use std::path::Path;

/// (program, Debian package).
const PROGRAMS: [(&str, &str); 5] =
    [("gcc", "gcc"), ("g++", "g++"), ("make", "make"), ("perl", "perl"), ("pkg-config", "pkg-config")];
const ZLIB_HEADER: &str = "/usr/include/zlib.h";

pub fn ensure() -> Result<()> {
    let missing = PROGRAMS.iter().filter(|(program, _)| which(program).is_none());
    let mut packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if !Path::new(ZLIB_HEADER).exists() {
        packages.push("zlib1g-dev");
    }
    if packages.is_empty() {
        return Ok(());
    }
    packages.push("libc6-dev");
    apt::install("a C compiler with make, perl and zlib's headers", &packages)
}
