//! The embedded ClickHouse engine as a process of its own.

use crate::net;
use crate::paths::Bins;
use crate::process::Process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(60);
const QUERY_LIMIT: Duration = Duration::from_secs(60);

/// A ClickHouse server that is reached by HTTP, ours or someone else's.
#[derive(Clone, Debug)]
pub struct Server {
    pub url: String,
    pub user: String,
    pub password: String,
}

impl Server {
    pub fn embedded(port: u16) -> Server {
        let url = format!("http://127.0.0.1:{port}");
        Server { url, user: "default".into(), password: String::new() }
    }

    /// The answer of one statement.
    pub fn query(&self, sql: &str) -> Result<String> {
        let headers =
            [("X-ClickHouse-User", self.user.as_str()), ("X-ClickHouse-Key", self.password.as_str())];
        let (status, body) = net::post(&self.url, sql.as_bytes(), &headers, QUERY_LIMIT)?;
        if status != 200 {
            bail!("ClickHouse answered {status} to `{sql}`: {}", body.trim());
        }
        Ok(body)
    }

    /// One number.
    pub fn number(&self, sql: &str) -> Result<i64> {
        let body = self.query(sql)?;
        let parsed = body.trim().parse();
        parsed.map_err(|_| anyhow::anyhow!("`{sql}` gave {body:?}, not a number"))
    }

    /// Rows of text columns.
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        let body = self.query(&format!("{sql} FORMAT TSV"))?;
        Ok(body.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }
}

/// The engine and how to start it again on the same port and data.
#[derive(Debug)]
pub struct ClickHouse {
    bins: Bins,
    lib: PathBuf,
    dir: PathBuf,
    port: u16,
    /// Who alone is let in; None = anybody.
    login: Option<(String, String)>,
    process: Option<Process>,
}

/// Variable through which the engine is told its password.
const PASSWORD_VARIABLE: &str = "WEIR_E2E_CLICKHOUSE_PASSWORD";

impl ClickHouse {
    /// Nothing is started yet.
    pub fn new(bins: &Bins, lib: &Path, dir: &Path) -> Result<ClickHouse> {
        let port = net::free_port()?;
        let (lib, dir) = (lib.to_owned(), dir.to_owned());
        Ok(ClickHouse { bins: bins.clone(), lib, dir, port, login: None, process: None })
    }

    /// Lets only this user in, from the next start on.
    pub fn protect(&mut self, user: &str, password: &str) {
        self.login = Some((user.to_owned(), password.to_owned()));
    }

    pub fn started(bins: &Bins, lib: &Path, dir: &Path) -> Result<ClickHouse> {
        let mut it = ClickHouse::new(bins, lib, dir)?;
        it.start()?;
        Ok(it)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn server(&self) -> Server {
        let mut server = Server::embedded(self.port);
        if let Some((user, password)) = &self.login {
            server.user.clone_from(user);
            server.password.clone_from(password);
        }
        server
    }

    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.wait_ready()
    }

    /// Starts the process without waiting for it (after a kill).
    pub fn launch(&mut self) -> Result<()> {
        let mut command = Command::new(self.bins.embedded());
        command.arg("clickhouse").arg("--lib").arg(&self.lib);
        command.arg("--data").arg(self.dir.join("clickhouse"));
        command.arg("--listen").arg(format!("127.0.0.1:{}", self.port));
        if let Some((user, password)) = &self.login {
            command.args(["--user", user, "--password-env", PASSWORD_VARIABLE]);
            command.env(PASSWORD_VARIABLE, password);
        }
        let log = self.dir.join("clickhouse.log");
        self.process = Some(Process::start("the ClickHouse engine", command, &log)?);
        Ok(())
    }

    /// Waits until it answers.
    pub fn wait_ready(&mut self) -> Result<()> {
        let server = self.server();
        let process = self.process.as_mut().context("the ClickHouse engine is not started")?;
        process.wait_ready(START_LIMIT, || {
            server.query("SELECT 1").map(|_| true).map_err(|error| format!("{error:#}"))
        })
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.stop(Duration::from_secs(20))?;
        }
        Ok(())
    }

    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the ClickHouse engine is not started")
    }

    pub fn check_alive(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check_alive)
    }
}
