//! A metric's description as one line.

use super::pack::window_name;
use crate::raw::{MetricInfo, Output, ValueType, Window};

/// What the host would learn about a metric, as one line that a test can compare with a catalogue:
///
/// ```text
/// ticket.solved: 1m 15m 1h day, table; ticket by queue_id assignee_id; watch status; count int
/// ticket.oldest_open: now; ticket by queue_id; oldest_at time? us
/// ```
///
/// Windows, or `now`, `varying` if outputs change as time passes, and the form that a board shows; the source
/// and the dimensions; what is watched; the outputs with type, `?` if they may be null, and
/// their unit unless it is 1.
pub fn summary(info: &MetricInfo) -> String {
    let mut kept = info.windows.iter().map(|window| window_name(*window)).collect::<Vec<_>>().join(" ");
    if info.time_varying {
        kept.push_str(" varying");
    }
    if let Some((_, form)) = info.extra.iter().find(|(key, _)| key == "form") {
        kept = format!("{kept}, {form}");
    }
    let mut parts = vec![kept];
    for input in &info.inputs {
        let by = if info.dimensions.is_empty() { String::new() } else { listed(" by", &info.dimensions) };
        parts.push(format!("{}{by}", input.source));
        if info.windows != [Window::Now] {
            parts.push(listed("watch", &input.watches));
        }
    }
    parts.push(info.outputs.iter().map(output).collect::<Vec<_>>().join(", "));
    format!("{}: {}", info.name, parts.join("; "))
}

fn listed(word: &str, names: &[String]) -> String {
    format!("{word} {}", names.join(" "))
}

fn output(output: &Output) -> String {
    let ty = match output.value_type {
        ValueType::Int => "int",
        ValueType::Float => "float",
        ValueType::Text => "text",
        ValueType::Bool => "bool",
        ValueType::Time => "time",
    };
    let list = if output.is_list { "s" } else { "" };
    let null = if output.nullable { "?" } else { "" };
    let unit = if output.unit == "1" { String::new() } else { format!(" {}", output.unit) };
    format!("{} {ty}{list}{null}{unit}", output.name)
}
