#![allow(clippy::unwrap_used)]
use super::*;
use std::collections::BTreeSet;

#[test]
fn each_mistake_can_be_made_where_the_table_says() {
    if plugins::missing().is_some() {
        return;
    }
    let mut metrics = BTreeSet::new();
    for mutation in MUTATIONS {
        let path = dirs::workspace().join("plugins").join(mutation.file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(mutation.from).count(), 1, "{}: `{}`", mutation.metric, mutation.from);
        assert_ne!(mutation.from, mutation.to, "{}", mutation.metric);
        let board = mutation.file.split('/').next().unwrap();
        // The board team shows metrics of other names.
        let fits = board == "team" || mutation.metric.starts_with(board);
        assert!(fits, "{} in {}", mutation.metric, mutation.file);
        assert!(metrics.insert(mutation.metric), "{} twice", mutation.metric);
    }
}

#[test]
fn only_a_metric_whose_row_counts_differences_differs() {
    let table = "metric window compared differ\ncall.offered 1m 10 2\nticket.solved day 9 0\n";
    assert!(differs("call.offered", table));
    assert!(!differs("ticket.solved", table) && !differs("call", table));
}
