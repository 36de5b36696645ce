//! The engine process as seen by who starts it: demo, end-to-end tests.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Loading the engine takes 0.1–2 s; a first start reads 500 MB from a cold disk.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// More than the process gives its own requests.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);
const POLL: Duration = Duration::from_millis(20);
const PASSWORD_VARIABLE: &str = "WEIR_EMBEDDED_PASSWORD";

/// Why the engine process is not there.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start {0}: {1}")]
    Spawn(PathBuf, std::io::Error),
    #[error("cannot use the data directory {0}: {1}")]
    Data(PathBuf, std::io::Error),
    /// It ended at once; its last words.
    #[error("the ClickHouse engine did not start: {0}")]
    Ended(String),
    #[error("the ClickHouse engine did not answer within two minutes; see {0}")]
    Silent(PathBuf),
}

/// A running engine process. It ends when this is dropped, or when this process dies.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it serves, `http://127.0.0.1:PORT`.
    pub url: String,
    /// What it writes to standard error.
    pub log: PathBuf,
}

impl Process {
    /// Starts `binary` (weir-embedded) over the library and data directory; returns once it answers
    /// `/ping`. Port 0 takes a free one. Anybody may log in.
    pub fn start(binary: &Path, lib: &Path, data: &Path, listen: SocketAddr) -> Result<Process, StartError> {
        Process::launch(binary, lib, data, listen, None)
    }

    /// As `start`, but only this user and password are let in.
    pub fn start_with_user(
        binary: &Path,
        lib: &Path,
        data: &Path,
        listen: SocketAddr,
        user: &str,
        password: &str,
    ) -> Result<Process, StartError> {
        Process::launch(binary, lib, data, listen, Some((user, password)))
    }

    fn launch(
        binary: &Path,
        lib: &Path,
        data: &Path,
        listen: SocketAddr,
        user: Option<(&str, &str)>,
    ) -> Result<Process, StartError> {
        let bad_data = |e| StartError::Data(data.into(), e);
        std::fs::create_dir_all(data).map_err(bad_data)?;
        let log = data.join("log");
        let log_file = File::options().create(true).append(true).open(&log).map_err(bad_data)?;
        let mut command = Command::new(binary);
        command.arg("clickhouse").arg("--until-stdin-closes");
        command.arg("--lib").arg(lib).arg("--data").arg(data).arg("--listen").arg(listen.to_string());
        if let Some((user, password)) = user {
            command
                .args(["--user", user, "--password-env", PASSWORD_VARIABLE])
                .env(PASSWORD_VARIABLE, password);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().map_err(|e| StartError::Spawn(binary.into(), e))?;
        let url = first_line(&mut child);
        let mut process = Process { child, url: String::new(), log };
        match url {
            None => Err(StartError::Silent(process.log.clone())),
            Some(line) if line.is_empty() => Err(StartError::Ended(process.last_words())),
            Some(line) => {
                process.url = line;
                if ping(&process.url) { Ok(process) } else { Err(StartError::Silent(process.log.clone())) }
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Lets running requests end, then stops. Kills the process if that takes too long.
    pub fn stop(&mut self) {
        // The end of its standard input is its signal to stop.
        drop(self.child.stdin.take());
        for _ in 0..STOP_TIMEOUT.as_millis() / POLL.as_millis() {
            if !self.is_running() {
                return;
            }
            std::thread::sleep(POLL);
        }
        self.kill();
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn last_words(&mut self) -> String {
        let status = self.child.wait().map_or_else(|e| e.to_string(), |s| s.to_string());
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or(&status);
        last.strip_prefix("error: ").unwrap_or(last).to_string()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The URL that the process prints when it is ready; empty if it ended before; None if neither.
fn first_line(child: &mut Child) -> Option<String> {
    let stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        let _ = reader.read_line(&mut line);
        let _ = sender.send(line.trim().to_string());
        // Read on, so that the pipe never fills up.
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    receiver.recv_timeout(START_TIMEOUT).ok()
}

fn ping(url: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let address = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(START_TIMEOUT))?;
        write!(stream, "GET /ping HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.ends_with("Ok.\n"))
}
