//! `weir source …`: how the sources of a running host stand, and what an operator may ask of them.

use crate::api::{Api, escape, items, print_table, text};
use crate::cli::{From, HostArgs, SourceCommand};
use serde_json::Value;

pub fn run(host: &HostArgs, command: &SourceCommand) -> anyhow::Result<()> {
    let api = Api::new(host);
    match command {
        SourceCommand::List => list(&api),
        SourceCommand::Resume { source, accept_dead } => resume(&api, source, *accept_dead),
        SourceCommand::Resnapshot { source, finish, cancel } => resnapshot(&api, source, *finish, *cancel),
        SourceCommand::Restart { source, from: From::Earliest } => restart(&api, source),
    }
}

fn list(api: &Api) -> anyhow::Result<()> {
    let status = api.get("status")?;
    let mut rows = vec![["SOURCE", "WATERMARK", "READ", "DEAD", "TROUBLE"].map(str::to_string)];
    for source in items(&status, "sources") {
        let count = |name: &str| {
            let of = |p: &Value| p["counts"][name].as_u64().unwrap_or(0);
            items(source, "partitions").iter().map(of).sum::<u64>().to_string()
        };
        let [name, watermark, trouble] =
            ["name", "watermark", "trouble"].map(|key| text(source, key).to_string());
        rows.push([name, watermark, count("read"), count("dead"), trouble]);
    }
    print_table(&rows);
    Ok(())
}

fn resume(api: &Api, source: &str, accept_dead: bool) -> anyhow::Result<()> {
    api.post(&format!("sources/{}/resume?accept_dead={accept_dead}", escape(source)), "text/plain", b"")?;
    match accept_dead {
        true => println!("{source} goes on; what cannot be read becomes dead letters"),
        false => println!("{source} tries the batch again; `weir source list` shows whether it still holds"),
    }
    Ok(())
}

fn restart(api: &Api, source: &str) -> anyhow::Result<()> {
    api.post(&format!("sources/{}/restart?from=earliest", escape(source)), "text/plain", b"")?;
    println!("{source} goes on with what the broker holds; `audit` and `epochs` tell the gap");
    Ok(())
}

fn resnapshot(api: &Api, source: &str, finish: bool, cancel: bool) -> anyhow::Result<()> {
    let (step, said) = match (finish, cancel) {
        (true, _) => {
            ("finish", "what was sent before now is read, then rows that the snapshot did not bring go")
        }
        (_, true) => ("cancel", "the rebuild is given up"),
        _ => ("begin", "the rebuild has begun: make the upstream send a snapshot of the table now"),
    };
    api.post(&format!("sources/{}/resnapshot?step={step}", escape(source)), "text/plain", b"")?;
    println!("{source}: {said}");
    Ok(())
}
