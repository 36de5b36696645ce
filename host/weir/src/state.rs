//! `weir state …`: look into a state, or move it.

use crate::Failure;
use crate::cli::{StateArgs, StateCommand};
use crate::clock::real_now;
use crate::config;
use std::fmt::Write as _;
use std::path::Path;
use weir_engine::inspect::{Inspection, Inspector};
use weir_state::portable::{Item, Totals};
use weir_state::{Claim, Export, OpenError, Snapshot, TransferError};
use weir_types::Micros;
use weir_types::ports::StateError;

pub fn run(args: &StateArgs, command: &StateCommand) -> Result<(), Failure> {
    if let StateCommand::Inspect { file: Some(file), json } = command {
        let shown = Shown { from: format!("file {}", file.display()), inspected: inspect_file(file)? };
        return shown.print(*json);
    }
    let place = Place::of(args)?;
    match command {
        StateCommand::Export { file } => {
            let host = env!("CARGO_PKG_VERSION");
            let what = Export { state: &place.state, shard: &place.shard, host, now: real_now() };
            let totals = weir_state::export(what, file).map_err(failure)?;
            let size = std::fs::metadata(file).map_or(0, |meta| meta.len());
            println!("exported shard {} to {}: {}", place.shard, file.display(), describe(&totals));
            println!("the file has {}", bytes(size));
        }
        StateCommand::Import { file, replace } => {
            let claim = Claim { take_over: false, started: real_now() };
            let (header, totals) =
                weir_state::import(file, &place.state, &place.shard, *replace, claim).map_err(failure)?;
            println!("imported shard {} into {}: {}", place.shard, place.state, describe(&totals));
            println!("it was exported {} by weir {}", time(Some(header.made)), header.host);
        }
        StateCommand::Inspect { json, .. } => {
            let shown = Shown { from: place.state.clone(), inspected: inspect_state(&place)? };
            shown.print(*json)?;
        }
    }
    Ok(())
}

/// Which state and shard.
struct Place {
    state: String,
    shard: String,
}

impl Place {
    fn of(args: &StateArgs) -> Result<Place, Failure> {
        if let Some(state) = &args.state {
            let shard = args.shard.clone().unwrap_or_else(|| "0".into());
            return Ok(Place { state: state.clone(), shard });
        }
        let config = config::load(&args.config)?;
        Ok(Place { state: config.state, shard: args.shard.clone().unwrap_or(config.shard) })
    }
}

fn failure(error: TransferError) -> Failure {
    Failure::Error(error.to_string())
}

/// What was found, and of how many objects beside the database.
struct Inspected {
    inspection: Inspection,
    objects: u64,
    object_bytes: u64,
}

fn inspect_state(place: &Place) -> Result<Inspected, Failure> {
    let open = |e: OpenError| Failure::Error(e.to_string());
    let read = |e: StateError| Failure::Error(e.to_string());
    let snapshot = Snapshot::open(&place.state, &place.shard).map_err(open)?;
    let mut inspector = Inspector::new(&place.shard);
    snapshot.for_each(|key, value| inspector.entry(key, value)).map_err(read)?;
    let objects = snapshot.objects().map_err(read)?;
    let object_bytes = objects.iter().map(|(_, size)| size).sum();
    Ok(Inspected { inspection: inspector.finish(), objects: objects.len() as u64, object_bytes })
}

fn inspect_file(file: &Path) -> Result<Inspected, Failure> {
    let (header, _) = weir_state::read_file(file, |_| Ok(())).map_err(failure)?;
    let mut inspector = Inspector::new(&header.shard);
    let mut see = |item| match item {
        Item::Entries(entries) => entries
            .iter()
            .try_for_each(|(key, value)| inspector.entry(key, value))
            .map_err(TransferError::State),
        Item::Object { .. } => Ok(()),
    };
    let (_, totals) = weir_state::read_file(file, &mut see).map_err(failure)?;
    let Totals { objects, object_bytes, .. } = totals;
    Ok(Inspected { inspection: inspector.finish(), objects, object_bytes })
}

/// An inspection and where it comes from.
struct Shown {
    from: String,
    inspected: Inspected,
}

impl Shown {
    fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            println!(
                "{}",
                self.json().map_err(|e| Failure::Error(format!("the answer cannot be written: {e}")))?
            );
        } else {
            print!("{}", self.text());
        }
        Ok(())
    }

    fn json(&self) -> serde_json::Result<String> {
        let Inspected { inspection, objects, object_bytes } = &self.inspected;
        let mut value = serde_json::to_value(inspection)?;
        value["state"] = self.from.as_str().into();
        value["objects"] = serde_json::json!({ "count": objects, "bytes": object_bytes });
        serde_json::to_string_pretty(&value)
    }

    fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Inspected { inspection: found, objects, object_bytes } = &self.inspected;
        writeln!(out, "state        {}", self.from)?;
        writeln!(out, "shard        {}", found.shard)?;
        if !found.started {
            writeln!(out, "no host has finished an epoch on it yet")?;
        }
        let number = |n: Option<u64>| n.map_or("none".to_string(), |n| n.to_string());
        writeln!(out, "epoch        {}, at {}", found.epoch, time(found.clock))?;
        writeln!(out, "delivered    up to epoch {}; {} wait", found.delivered, found.waiting_epochs)?;
        let (delivered, claimed) = (number(found.generation), number(found.claimed));
        writeln!(out, "generation   {delivered}; greatest claimed {claimed}")?;
        if found.imported {
            writeln!(out, "imported, and no host has run on it since")?;
        }
        writeln!(out)?;
        let partitions = found.partitions.iter().map(|p| {
            [format!("{}/{}", p.topic, p.partition), p.next.to_string(), time(p.greatest_event_time)]
        });
        table(out, ["PARTITION", "NEXT OFFSET", "GREATEST EVENT TIME"], partitions)?;
        let marks = found.watermarks.iter().map(|w| [w.source.clone(), time(w.closing), time(w.records)]);
        table(out, ["SOURCE", "WATERMARK", "OF RECORDS"], marks)?;
        let metrics = found.metrics.iter().map(|m| {
            let status = m.reason.as_ref().map_or(m.status.to_string(), |r| format!("{}: {r}", m.status));
            let digest = m.digest.chars().take(12).collect();
            [m.name.clone(), digest, m.incarnation.to_string(), m.checkpoint.to_string(), status]
        });
        table(out, ["METRIC", "DIGEST", "INCARNATION", "CHECKPOINT", "STATUS"], metrics)?;
        let objects = [("objects".to_string(), *objects, *object_bytes)];
        let kinds =
            found.sizes.iter().map(|(kind, size)| (kind.clone(), size.keys, size.bytes)).chain(objects);
        table(
            out,
            ["KIND", "COUNT", "SIZE"],
            kinds.map(|(kind, count, size)| [kind, count.to_string(), bytes(size)]),
        )
    }
}

/// Columns as wide as their widest cell, and an empty line.
fn table<const N: usize>(
    out: &mut String,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> std::fmt::Result {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_string)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    writeln!(out)
}

fn time(micros: Option<Micros>) -> String {
    let stamp = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    stamp.map_or("none".into(), |stamp| stamp.to_string())
}

fn describe(totals: &Totals) -> String {
    format!(
        "{} values with {}, {} objects with {}",
        totals.entries,
        bytes(totals.entry_bytes),
        totals.objects,
        bytes(totals.object_bytes)
    )
}

fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{} kB", count / 1_000),
        10_000_000..10_000_000_000 => format!("{} MB", count / 1_000_000),
        _ => format!("{} GB", count / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_state_is_shown_without_a_panic() {
        let inspection = Inspection { shard: "0".into(), ..Inspection::default() };
        let shown =
            Shown { from: "here".into(), inspected: Inspected { inspection, objects: 0, object_bytes: 0 } };
        assert!(shown.text().contains("no host has finished an epoch"), "{}", shown.text());
        let json: serde_json::Value = serde_json::from_str(&shown.json().expect("JSON")).expect("JSON");
        assert_eq!(json["shard"], "0");
    }

    #[test]
    fn times_and_sizes_are_for_people() {
        assert_eq!(time(Some(1_795_420_800_000_000)), "2026-11-23T08:00:00Z");
        assert_eq!(time(None), "none");
        assert_eq!((bytes(9_999), bytes(64_000)), ("9999 B".to_string(), "64 kB".to_string()));
    }
}
