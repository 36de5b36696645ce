//! MinIO, an S3-compatible server, as a process with one bucket.

use crate::net;
use crate::process::Process;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(60);
const BUCKET: &str = "weir";
const USER: &str = "weir";
const PASSWORD: &str = "weirweir";

/// The server and how to start it again on the same port and data.
#[derive(Debug)]
pub struct Minio {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Minio {
    pub fn started(program: &Path, dir: &Path) -> Result<Minio> {
        // A folder of the data is a bucket.
        let bucket = dir.join("minio").join(BUCKET);
        std::fs::create_dir_all(&bucket).with_context(|| format!("create {}", bucket.display()))?;
        let (program, dir) = (program.to_owned(), dir.to_owned());
        let mut minio = Minio { program, dir, port: net::free_port()?, process: None };
        minio.start()?;
        Ok(minio)
    }

    pub fn start(&mut self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("server").arg(self.dir.join("minio")).arg("--quiet");
        command.arg("--address").arg(format!("127.0.0.1:{}", self.port));
        // The console gets a port of its own even when it is off.
        command.arg("--console-address").arg(format!("127.0.0.1:{}", net::free_port()?));
        command.env("MINIO_ROOT_USER", USER).env("MINIO_ROOT_PASSWORD", PASSWORD).env("MINIO_BROWSER", "off");
        let mut process = Process::start("MinIO", command, &self.dir.join("minio.log"))?;
        let ready = format!("{}/minio/health/ready", self.endpoint());
        process.wait_ready(START_LIMIT, || {
            let (status, body) = net::get(&ready, Duration::from_secs(5)).map_err(|e| format!("{e:#}"))?;
            if status == 200 { Ok(true) } else { Err(format!("{status}: {}", body.trim())) }
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A state's URL under this name.
    pub fn url(&self, name: &str) -> String {
        format!("s3://{BUCKET}/{name}")
    }

    /// The environment in which that URL is understood.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", USER.into()),
            ("AWS_SECRET_ACCESS_KEY", PASSWORD.into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ENDPOINT", self.endpoint()),
            ("AWS_ALLOW_HTTP", "true".into()),
        ]
    }
}
