//! What a run cost.

use serde_json::{Value, json};

/// Wall and CPU seconds of a part of the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub per_second: f64,
    /// CPU seconds for a million messages.
    pub cpu_per_million: f64,
}

#[derive(Clone, Debug)]
pub struct Figures {
    pub variant: &'static str,
    pub records: u64,
    /// From the first message read to the last.
    pub all: Part,
    /// From half of the messages to the last.
    pub second_half: Part,
    /// Of the process from its start to its end, seconds.
    pub process_wall: f64,
    pub process_cpu: f64,
    /// The most that was resident.
    pub peak_mib: u64,
    pub rows: u64,
    /// What else is worth telling.
    pub beside: String,
}

impl Figures {
    pub fn json(&self) -> Value {
        let part = |part: Part| json!({ "messages_per_s": part.per_second, "cpu_s_per_million": part.cpu_per_million });
        json!({
            "variant": self.variant, "records": self.records, "all": part(self.all), "second_half": part(self.second_half),
            "process": { "wall_s": self.process_wall, "cpu_s": self.process_cpu },
            "peak_rss_mib": self.peak_mib, "rows": self.rows, "beside": self.beside,
        })
    }
}

pub fn print(runs: &[&Figures]) {
    println!(
        "\n| variant | records | msg/s, second half (all) | cpu-s/M, second half | cpu-s/M, all | process wall s / cpu s | peak RSS MiB | rows |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for run in runs {
        println!(
            "| {} | {} | {:.0} ({:.0}) | {:.2} | {:.2} | {:.1} / {:.1} | {} | {} |",
            run.variant,
            run.records,
            run.second_half.per_second,
            run.all.per_second,
            run.second_half.cpu_per_million,
            run.all.cpu_per_million,
            run.process_wall,
            run.process_cpu,
            run.peak_mib,
            run.rows
        );
    }
    for run in runs {
        println!("{}: {}", run.variant, run.beside);
    }
}

/// The peer's cost over ours, by medians.
pub struct Ratios {
    second_half: f64,
    all: f64,
    memory: f64,
}

pub fn ratios(theirs: &[Figures], ours: &[Figures]) -> Ratios {
    let ratio = |of: fn(&Figures) -> f64| median(theirs.iter().map(of)) / median(ours.iter().map(of));
    Ratios {
        second_half: ratio(|f| f.second_half.cpu_per_million),
        all: ratio(|f| f.all.cpu_per_million),
        memory: ratio(|f| f.peak_mib as f64),
    }
}

impl Ratios {
    pub fn print(&self, target: f64) {
        let verdict = if self.second_half >= target { "reached" } else { "missed" };
        println!(
            "CPU seconds of Flink ÷ those of Weir: {:.1} in the second half (target {target}: {verdict}), {:.1} over all; peak memory {:.1}",
            self.second_half, self.all, self.memory
        );
    }

    pub fn json(&self) -> Value {
        json!({ "cpu_second_half": self.second_half, "cpu_all": self.all, "peak_rss": self.memory })
    }
}

/// The middle one, or the mean of the two in the middle; NaN of nothing.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n => (values[(n - 1) / 2] + values[n / 2]) / 2.0,
    }
}

/// How far a process was at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Seconds since any fixed moment.
    pub wall: f64,
    pub cpu: f64,
    pub records: f64,
}

/// Where the line through the points reaches so many records; None if it never does.
pub fn at(points: &[Point], records: f64) -> Option<Point> {
    points.windows(2).find_map(|pair| {
        let (a, b) = (pair[0], pair[1]);
        (b.records >= records && b.records > a.records).then(|| {
            let share = (records - a.records).max(0.0) / (b.records - a.records);
            let between = |a: f64, b: f64| a + share * (b - a);
            Point { wall: between(a.wall, b.wall), cpu: between(a.cpu, b.cpu), records }
        })
    })
}

pub fn part(from: Point, to: Point) -> Part {
    let records = to.records - from.records;
    Part {
        per_second: records / (to.wall - from.wall),
        cpu_per_million: (to.cpu - from.cpu) / (records / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: [Point; 3] = [
        Point { wall: 1.0, cpu: 1.0, records: 0.0 },
        Point { wall: 2.0, cpu: 3.0, records: 100.0 },
        Point { wall: 4.0, cpu: 4.0, records: 200.0 },
    ];

    #[test]
    fn half_way_lies_on_the_line_between_two_points() {
        let half = at(&POINTS, 150.0).map(|half| (half.wall, half.cpu));
        assert_eq!(half, Some((3.0, 3.5)));
        assert!(at(&POINTS, 201.0).is_none());
    }

    #[test]
    fn a_part_costs_what_was_used_between_its_ends() {
        let made = part(POINTS[1], POINTS[2]);
        assert_eq!(made, Part { per_second: 50.0, cpu_per_million: 10_000.0 });
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([3.0, 1.0].into_iter()), 2.0);
    }
}
