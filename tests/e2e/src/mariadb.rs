//! A MariaDB server with its binlog on, on loopback and a socket of its own.

use crate::net;
use crate::process::{self, Process};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(60);
/// User and password that Debezium and the generator log in with.
pub const USER: &str = "cdc";
pub const PASSWORD: &str = "cdc";

#[derive(Debug)]
pub struct MariaDb {
    /// Kept so that the server lives as long as this.
    process: Process,
    socket: PathBuf,
    port: u16,
}

impl MariaDb {
    /// A fresh server with the user `cdc`.
    pub fn start(dir: &Path) -> Result<MariaDb> {
        let dir = dir.join("mariadb");
        std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let port = net::free_port()?;
        let config = dir.join("my.cnf");
        std::fs::write(&config, settings(port))?;
        install(&dir)?;
        // A socket's path may have 107 bytes at most: not below `dir`.
        let socket = std::env::temp_dir().join(format!("weir-{}-{port}.sock", std::process::id()));
        let mut command = Command::new(server_program());
        command.arg(format!("--defaults-file={}", config.display()));
        command.args(as_root());
        command.arg(format!("--datadir={}", dir.join("data").display()));
        command.arg(format!("--socket={}", socket.display()));
        command.arg(format!("--pid-file={}", dir.join("pid").display()));
        let process = Process::start("MariaDB", command, &dir.join("mariadb.log"))?;
        let mut it = MariaDb { process, socket, port };
        let mut probe = it.client();
        probe.arg("-e").arg("select 1").stdout(Stdio::null()).stderr(Stdio::null());
        it.process.wait_ready(START_LIMIT, || {
            probe.status().map(|s| s.success()).map_err(|e| format!("start mariadb: {e}"))
        })?;
        it.run(&format!(
            "CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
             GRANT ALL ON *.* TO '{USER}'@'127.0.0.1';"
        ))?;
        Ok(it)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL statements as root.
    pub fn run(&self, sql: &str) -> Result<String> {
        let mut command = self.client();
        command.args(["--batch", "--skip-column-names", "-e", sql]);
        let output = command.output().context("start mariadb (the client)")?;
        if !output.status.success() {
            bail!("MariaDB refused `{}`: {}", sql.trim(), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn check_alive(&mut self) -> Result<()> {
        self.process.check_alive()
    }

    fn client(&self) -> Command {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--user=root"]);
        command.arg(format!("--socket={}", self.socket.display()));
        command
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.process.kill();
        // The socket lies outside the run's folder.
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn install(dir: &Path) -> Result<()> {
    let mut command = Command::new("mariadb-install-db");
    command.arg("--no-defaults").args(as_root());
    command.arg(format!("--datadir={}", dir.join("data").display()));
    command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
    process::run("mariadb-install-db", command, &dir.join("install.log"), START_LIMIT)
}

/// Debian puts the server where a user's PATH does not always look.
fn server_program() -> PathBuf {
    let debian = PathBuf::from("/usr/sbin/mariadbd");
    if debian.exists() { debian } else { PathBuf::from("mariadbd") }
}

/// mariadbd refuses to run as root unless told to.
fn as_root() -> Option<&'static str> {
    // SAFETY: geteuid takes nothing and cannot fail.
    (unsafe { libc::geteuid() } == 0).then_some("--user=root")
}

/// Full row images in the binlog, every commit durable, times in UTC.
fn settings(port: u16) -> String {
    format!(
        "[mariadbd]
bind-address=127.0.0.1
port={port}
server_id=1
log_bin=binlog
binlog_format=ROW
binlog_row_image=FULL
binlog_row_metadata=FULL
binlog_annotate_row_events=OFF
gtid_strict_mode=ON
sync_binlog=1
innodb_flush_log_at_trx_commit=1
innodb_buffer_pool_size=64M
innodb_log_file_size=48M
performance_schema=OFF
default_time_zone=+00:00
character_set_server=utf8mb4
skip_name_resolve
"
    )
}
