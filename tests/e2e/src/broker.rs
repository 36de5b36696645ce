//! The in-process broker (librdkafka's mock cluster) as a process of its own.

use crate::paths::Bins;
use crate::process::Process;
use anyhow::Result;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Broker {
    /// Kept so that the broker lives as long as this.
    pub process: Process,
    /// `host:port[,host:port…]` for clients.
    pub bootstrap: String,
}

impl Broker {
    pub fn start(bins: &Bins, dir: &Path, topics: &[(&str, u32)]) -> Result<Broker> {
        let address_file = dir.join("broker.address");
        let mut command = Command::new(bins.embedded());
        command.arg("broker");
        for (name, partitions) in topics {
            command.arg("--topic").arg(format!("{name}:{partitions}"));
        }
        command.arg("--address-file").arg(&address_file);
        let mut process = Process::start("the embedded broker", command, &dir.join("broker.log"))?;
        let mut bootstrap = String::new();
        process.wait_ready(START_LIMIT, || {
            bootstrap = std::fs::read_to_string(&address_file).unwrap_or_default().trim().to_owned();
            Ok(!bootstrap.is_empty())
        })?;
        Ok(Broker { process, bootstrap })
    }
}
