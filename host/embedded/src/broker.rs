//! A Kafka broker in memory: librdkafka's mock cluster, for ordinary clients on loopback.

use anyhow::{Context as _, anyhow, bail};
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};
use weir_ingest::MockBroker;

#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A topic and its number of partitions; give it once for each topic
    #[arg(long = "topic", value_name = "NAME:PARTITIONS", value_parser = parse_topic, required = true)]
    topics: Vec<(String, i32)>,
    /// Where `host:port` of the broker is written once it answers
    #[arg(long, value_name = "FILE")]
    address_file: PathBuf,
}

fn parse_topic(text: &str) -> Result<(String, i32), String> {
    let (name, partitions) = text.rsplit_once(':').ok_or("expected NAME:PARTITIONS")?;
    match partitions.parse() {
        Ok(partitions) if partitions > 0 && !name.is_empty() => Ok((name.to_string(), partitions)),
        _ => Err("expected NAME:PARTITIONS with a number above 0".into()),
    }
}

/// Serves until SIGTERM or SIGINT.
pub fn run(args: Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _guard = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let broker = MockBroker::start(&args.topics)?;
    let address = broker.bootstrap_servers();
    write_whole(&args.address_file, &address)?;
    tracing::info!(address, "broker is up");
    runtime.block_on(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    Ok(())
}

/// So that whoever waits for the file never reads half of it.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let Some(name) = path.file_name() else { bail!("{} is no file name", path.display()) };
    let mut draft = name.to_os_string();
    draft.push(".part");
    let draft = path.with_file_name(draft);
    std::fs::write(&draft, text).with_context(|| format!("cannot write {}", draft.display()))?;
    std::fs::rename(&draft, path).map_err(|e| anyhow!("cannot write {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_a_name_and_a_number_above_0() {
        assert_eq!(parse_topic("svc.service.ticket:4"), Ok(("svc.service.ticket".into(), 4)));
        for wrong in ["t", "t:", "t:0", ":4", "t:x"] {
            assert!(parse_topic(wrong).is_err(), "{wrong}");
        }
    }
}
