//! Programs from Debian's packages.

use crate::tools::{apt, which};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// The MariaDB server; its client and its installer come along.
pub fn mariadb() -> Result<PathBuf> {
    for program in ["mariadbd", "mariadb-install-db", "mariadb"] {
        if which(program).is_none() {
            apt::install("MariaDB", &["mariadb-server"])?;
            break;
        }
    }
    found("mariadbd")
}

pub fn chromium() -> Result<PathBuf> {
    ensure("chromium", "Chromium", "chromium")
}

/// Prometheus's checker of metric texts.
pub fn promtool() -> Result<PathBuf> {
    ensure("promtool", "promtool", "prometheus")
}

/// Java for Kafka and Debezium, Maven to fetch them.
pub fn java_and_maven() -> Result<()> {
    if which("java").is_none() {
        apt::install("Java", &["default-jre-headless"])?;
    }
    if which("mvn").is_none() {
        apt::install("Maven", &["maven"])?;
    }
    Ok(())
}

fn ensure(program: &str, name: &str, package: &str) -> Result<PathBuf> {
    if which(program).is_none() {
        apt::install(name, &[package])?;
    }
    found(program)
}

fn found(program: &str) -> Result<PathBuf> {
    let there = which(program);
    there.with_context(|| format!("{program} is not in PATH, although its package is installed"))
}
