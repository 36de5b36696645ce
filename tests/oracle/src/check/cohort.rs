//! Ratios whose two sides are counted at the same time lie in 0..1.

use super::Check;
use crate::metrics::{Form, Metric};
use crate::number::Number;
use crate::recompute::Expected;
use crate::results::{Key, Row};
use std::collections::HashSet;

impl Check {
    /// Keys are left out in which something happened to a row that was mended, spoilt, late or alive before
    /// the journal begins: of such a row one side may be counted without the other.
    pub(super) fn cohort(
        &mut self,
        metric: &Metric,
        expected: &Expected,
        found: &[(Key, Row)],
        irregular: &HashSet<Key>,
    ) {
        if !is_cohort(metric) {
            return;
        }
        let recomputed = expected.iter().flat_map(|(key, wanted)| {
            let ratio = wanted.outputs.iter().find(|output| output.name == "ratio");
            ratio.map(|output| (key, &output.value))
        });
        // Of a window that began before the metric was loaded, one side may be there without the other.
        let found = found.iter().filter(|(_, row)| row.complete);
        let found = found.filter_map(|(key, row)| row.get("ratio").map(|value| (key, value)));
        let (mut checked, mut beyond) = (0, Vec::new());
        for (key, value) in recomputed.chain(found).filter(|(key, _)| !irregular.contains(key)) {
            let Number::Float(ratio) = value else { continue };
            checked += 1;
            if !(0.0..=1.0).contains(ratio) {
                beyond.push(format!("{}: {key:?} is {ratio}, which is no share", metric.name));
            }
        }
        beyond.sort();
        beyond.dedup();
        self.report.others.extend(beyond);
        *self.report.shares.entry(metric.name).or_default() += checked;
    }
}

fn is_cohort(metric: &Metric) -> bool {
    match metric.form {
        Form::Derived { cohort, .. } => cohort,
        Form::Period { .. } | Form::Now { .. } => metric.name == "survey.response_rate",
    }
}
