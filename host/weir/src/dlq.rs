//! `weir dlq …`: records that could not be read.

use crate::api::{Api, escape, items, print_table, text};
use crate::cli::{DlqCommand, DlqFilter, HostArgs};
use anyhow::bail;
use serde_json::Value;
use std::collections::BTreeMap;

pub fn run(host: &HostArgs, command: &DlqCommand) -> anyhow::Result<()> {
    let api = Api::new(host);
    match command {
        DlqCommand::List { filter, outcome, limit } => list(&api, filter, outcome.as_deref(), *limit),
        DlqCommand::Show { topic, partition, offset, metric } => {
            show(&api, topic, *partition, *offset, metric.as_deref())
        }
        DlqCommand::Redrive { filter, all } => redrive(&api, filter, *all),
    }
}

/// The filter as query parameters.
fn parameters(filter: &DlqFilter) -> Vec<(&'static str, String)> {
    let DlqFilter { source, topic, partition, offset, code, metric, from, to } = filter;
    let given = [
        ("source", source.clone()),
        ("topic", topic.clone()),
        ("partition", partition.map(|p| p.to_string())),
        ("offset", offset.map(|o| o.to_string())),
        ("code", code.clone()),
        ("metric", metric.clone()),
        ("from", from.clone()),
        ("to", to.clone()),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn query(parameters: &[(&'static str, String)]) -> String {
    parameters.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&")
}

fn list(api: &Api, filter: &DlqFilter, outcome: Option<&str>, limit: u32) -> anyhow::Result<()> {
    let mut parameters = parameters(filter);
    if let Some(outcome) = outcome.filter(|outcome| *outcome != "any") {
        parameters.push(("outcome", outcome.into()));
    }
    let header = ["TOPIC", "PARTITION", "OFFSET", "METRIC", "CODE", "OUTCOME", "CLOCK", "REASON"];
    let mut rows = vec![header.map(str::to_string)];
    let mut after: Option<String> = None;
    while rows.len() <= limit as usize {
        let mut page = parameters.clone();
        page.push(("limit", (limit + 1 - rows.len() as u32).min(1000).to_string()));
        page.extend(after.map(|after| ("after", after)));
        let answer = api.get(&format!("dead-letters?{}", query(&page)))?;
        for letter in items(&answer, "dead_letters") {
            let [topic, metric, code, outcome, clock, reason] =
                ["topic", "metric", "code", "outcome", "clock", "reason"]
                    .map(|key| text(letter, key).to_string());
            let [partition, offset] = ["partition", "offset"].map(|key| letter[key].to_string());
            rows.push([topic, partition, offset, metric, code, outcome, clock, reason]);
        }
        after = answer["next"].as_str().map(String::from);
        if after.is_none() {
            break;
        }
    }
    print_table(&rows);
    if after.is_some() {
        println!("there are more: narrow them, or raise --limit");
    }
    Ok(())
}

fn show(api: &Api, topic: &str, partition: i32, offset: i64, metric: Option<&str>) -> anyhow::Result<()> {
    let metric = escape(metric.unwrap_or_default());
    let letter = api.get(&format!("dead-letters/{}/{partition}/{offset}?metric={metric}", escape(topic)))?;
    for key in
        ["topic", "partition", "offset", "metric", "code", "reason", "outcome", "clock", "epoch", "whole"]
    {
        let value = match &letter[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        println!("{key:9}  {value}");
    }
    for key in ["key", "value"] {
        match letter[key].as_str() {
            Some(text) => println!("{key:9}  {text}"),
            None => println!("{key:9}  (base64) {}", text(&letter, &format!("{key}_base64"))),
        }
    }
    Ok(())
}

/// Page by page; a letter that is still dead, or was refused, is told and makes the command fail.
fn redrive(api: &Api, filter: &DlqFilter, all: bool) -> anyhow::Result<()> {
    let parameters = parameters(filter);
    if parameters.is_empty() && !all {
        bail!("say which dead letters are meant, or --all");
    }
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let mut page = parameters.clone();
        page.extend(after.map(|after| ("after", after)));
        let answer = api.post(&format!("dead-letters/redrive?{}", query(&page)), "text/plain", b"")?;
        for result in items(&answer, "results") {
            let [topic, outcome, reason] = ["topic", "outcome", "reason"].map(|key| text(result, key));
            *counts.entry(outcome.to_string()).or_default() += 1;
            if outcome != "applied" {
                println!("{topic} {} {} {outcome}: {reason}", result["partition"], result["offset"]);
            }
        }
        after = answer["next"].as_str().map(String::from);
        if after.is_none() {
            break;
        }
    }
    let count = |name: &str| counts.get(name).copied().unwrap_or(0);
    let [applied, skipped, dead, refused] = ["applied", "skipped", "dead", "refused"].map(count);
    println!("{applied} applied, {skipped} skipped, {dead} still dead, {refused} refused");
    if dead + refused > 0 {
        bail!("{} of the dead letters were not redriven", dead + refused);
    }
    Ok(())
}
