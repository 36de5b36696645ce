//! Serves the dashboard with moving, made-up numbers, for work on the front end:
//!
//! ```text
//! cargo run --release -p weir-serve --example fake_feed [-- 127.0.0.1:8090]
//! cd host/serve/dashboard && npm run dev     # proxies /api to it
//! ```
//!
//! A fourth metric joins after 15 seconds, and a source has trouble for a while each minute.
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use weir_serve::{ControlCell, Live, LiveOptions, Options, Server};
use weir_types::live::{CatalogueEntry, Condition, LiveRow, Publisher};
use weir_types::rows::OutputValue;
use weir_types::{HOUR, MINUTE, Micros, SECOND};

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

struct Feed {
    dice: Dice,
    /// Count by metric, window, set and key; with the window's start.
    counts: BTreeMap<(String, String, String, Vec<String>), (Micros, i64)>,
}

impl Feed {
    fn add(
        &mut self,
        rows: &mut Vec<LiveRow>,
        entry: &CatalogueEntry,
        dims: &[(&str, String)],
        clock: Micros,
    ) {
        let info = &entry.info;
        for window in &info.windows {
            let window = window.name();
            let length = match window.as_str() {
                "1m" => MINUTE,
                "15m" => 15 * MINUTE,
                "1h" => HOUR,
                "day" => 24 * HOUR,
                _ => 0,
            };
            let start = if length == 0 { clock } else { clock - clock.rem_euclid(length) };
            for set in &info.dimension_sets {
                let of = |name: &String| dims.iter().find(|(n, _)| n == name).unwrap().1.clone();
                let key: Vec<String> = set.iter().map(of).collect();
                let id = (info.name.clone(), window.clone(), set.join(","), key.clone());
                let first = if length == 0 { 0 } else { start };
                let count = self.counts.entry(id).or_insert((first, 0));
                if count.0 != first {
                    *count = (first, 0);
                }
                let down = length == 0 && self.dice.below(9) < 4;
                count.1 = (count.1 + if down { -1 } else { 1 }).max(1);
                let n = count.1;
                let keys: Vec<&str> = key.iter().map(String::as_str).collect();
                let outputs = self.outputs(&info.name, n);
                rows.push(row(&info.name, &window, &set.join(","), &keys, start, outputs));
            }
        }
    }

    fn outputs(&mut self, metric: &str, n: i64) -> Vec<OutputValue> {
        if metric != "ticket.first_reply_time" {
            return vec![OutputValue::Int(n)];
        }
        let mean = 180.0 + self.dice.below(1200) as f64 / 10.0;
        let seconds = |x: f64| OutputValue::Float(mean * x);
        vec![seconds(1.0), seconds(0.8), seconds(1.9), seconds(4.2), OutputValue::Int(n), seconds(0.7)]
    }

    fn epoch(&mut self, entries: &[CatalogueEntry], clock: Micros) -> Vec<LiveRow> {
        let mut rows = Vec::new();
        for _ in 0..8 {
            let entry = &entries[self.dice.below(entries.len() as u64) as usize];
            let assignee = match self.dice.below(8) {
                0 => "\\N".to_string(),
                n => (100 + n).to_string(),
            };
            let dims = [
                ("queue_id", (1 + self.dice.below(12)).to_string()),
                ("channel", ["web", "app", "email", "phone"][self.dice.below(4) as usize].to_string()),
                ("priority", (1 + self.dice.below(4)).to_string()),
                ("assignee_id", assignee),
            ];
            self.add(&mut rows, entry, &dims, clock);
        }
        // Only the newest value of a key, as the engine gives it.
        let mut newest = BTreeMap::new();
        for row in rows {
            newest.insert(
                (
                    row.series.metric.clone(),
                    row.series.window.clone(),
                    row.series.dimension_set.clone(),
                    row.dims.clone(),
                ),
                row,
            );
        }
        newest.into_values().collect()
    }
}

fn main() {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".into());
    let live = Arc::new(Live::new(LiveOptions::default()));
    let control = ControlCell::new();
    control.set(Arc::new(FakeControl::default()));
    let mut options = Options::new(listen.parse().expect("an address like 127.0.0.1:8090"));
    options.dev = true;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let history = Arc::new(FakeHistory::default());
    let server =
        runtime.block_on(Server::bind(options, live.clone(), control, history)).unwrap_or_else(|e| {
            eprintln!("{e}");
            std::process::exit(1)
        });
    println!("http://{}/", server.local_addr());
    runtime.spawn(server.run(std::future::pending()));
    feed(&live);
}

fn feed(live: &Live) -> ! {
    let mut entries = vec![ticket_created(), ticket_backlog(), first_reply_time()];
    let mut feed = Feed { dice: Dice(7), counts: BTreeMap::new() };
    // A day with some hours behind it.
    let begin = EIGHT + 22 * SECOND;
    for past in 0..400 {
        feed.epoch(&entries, begin - (400 - past) * SECOND / 4);
    }
    for epoch in 1.. {
        let clock = begin + epoch * SECOND;
        if epoch == 15 {
            entries.push(call_offered());
        }
        let rows = feed.epoch(&entries, clock);
        let mut next = update(epoch as u64, rows);
        next.clock = clock;
        if epoch == 1 || epoch == 15 {
            next.catalogue = Some(Arc::new(entries.clone()));
        }
        for source in &mut next.sources {
            source.watermark = Some(clock - 5 * SECOND);
        }
        let trouble = (40..50).contains(&(epoch % 60));
        if trouble {
            next.sources[0].trouble = Some("the broker 127.0.0.1:9092 does not answer; trying again".into());
            next.rows.retain(|row| row.series.metric.starts_with("call"));
        }
        live.publish(next);
        let away = Condition {
            part: "clickhouse",
            blocking: false,
            reason: "ClickHouse at 127.0.0.1:8123 does not answer; rows wait".into(),
        };
        live.condition("clickhouse", trouble.then_some(away));
        std::thread::sleep(Duration::from_secs(1));
    }
    unreachable!("an endless range ended")
}
