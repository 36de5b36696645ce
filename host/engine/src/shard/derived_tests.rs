//! Derived metrics against a recomputation from the raw changes, with room for a few slots and for all.

mod stopped;

use super::fakes::{self, options};
use super::harness::Kills::Every;
use super::harness::*;
use super::oracle::{Cut, Numbers, Point, births, count};
use super::tally::{Rule, tally};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::contract::*;
use weir_types::rows::{OutputValue, RealtimeRow};
use weir_types::window::Window;
use weir_types::{DAY, HOUR, MINUTE, Micros, SECOND};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z

/// From two integers: their difference, and the second over the first where that is positive.
struct Balance(MetricInfo);

struct BalanceInstance;

impl DerivedInstance for BalanceInstance {
    fn compute(&mut self, given: &BaseRows) -> Result<Outputs, GuestError> {
        let rows = given.rows as usize;
        let of = |column: usize, row: usize| pack::i64_at(&given.columns[column].values, row);
        let net: Vec<i64> = (0..rows).map(|row| of(0, row) - of(1, row)).collect();
        let ratio = |row| if of(0, row) > 0 { of(1, row) as f64 / of(0, row) as f64 } else { 0.0 };
        let bits: Vec<i64> = (0..rows).map(|row| ratio(row).to_bits() as i64).collect();
        let validity = pack::bits(rows, |row| of(0, row) > 0);
        let net = PackedColumn { values: pack::i64s(&net), ..PackedColumn::default() };
        let ratio = PackedColumn { values: pack::i64s(&bits), validity, ..PackedColumn::default() };
        Ok(Outputs { columns: vec![net, ratio], dictionaries: vec![PackedDictionary::default(); 2] })
    }
    fn memory_bytes(&self) -> usize {
        0
    }
}

impl MetricFactory for Balance {
    fn info(&self) -> &MetricInfo {
        &self.0
    }
    fn digest(&self) -> &str {
        "balance"
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        Err(GuestError::Refused("it is derived".into()))
    }
    fn open_derived(&self) -> Result<Box<dyn DerivedInstance>, GuestError> {
        Ok(Box::new(BalanceInstance))
    }
}

fn describe(bases: &[(&str, &str)], windows: &[Window]) -> MetricInfo {
    let any = Field { name: "id".into(), value_type: ValueType::Int, nullable: false };
    let mut info = fakes::info("t.balance", any, windows.to_vec());
    let base =
        |(metric, output): &(&str, &str)| Base { metric: (*metric).into(), outputs: vec![(*output).into()] };
    info.inputs.clear();
    info.bases = bases.iter().map(base).collect();
    info.outputs[0].name = "net".into();
    let ratio = Output {
        name: "ratio".into(),
        value_type: ValueType::Float,
        nullable: true,
        ..info.outputs[0].clone()
    };
    info.outputs.push(ratio);
    info
}

fn balance(bases: &[(&str, &str)], windows: &[Window]) -> Arc<dyn MetricFactory> {
    Arc::new(Balance(describe(bases, windows)))
}

const WINDOWS: [Window; 3] = [Window::Tumbling(MINUTE), Window::Tumbling(HOUR), Window::Day];

/// The derived metric stands before its bases, and reads the sums of ids.
fn world(hot_slots: u64) -> World {
    let mut options = options();
    (options.hot_slots, options.hot_slots_total) = (hot_slots, hot_slots);
    let metrics = vec![
        balance(&[("t.born", "count"), ("t.gone", "count")], &WINDOWS),
        tally("t.born", Rule::Born, &WINDOWS),
        tally("t.gone", Rule::Gone, &WINDOWS),
    ];
    World { options, metrics, partitions: 1 }
}

/// A seeded stream: births, and deletions of some of them; each twentieth up to 100 min late.
fn changes(seed: i64, number: i64) -> Vec<Change> {
    let mut all: Vec<Change> = Vec::new();
    for n in 0..number {
        let told = BASE + n * 30 * SECOND;
        let late = if n % 20 == 19 { (n * 7 % 100) * MINUTE } else { 0 };
        let born = Change::birth(0, n + 1, (n * 5 + seed) % 7, "open", told - late, told);
        all.push(born);
        if (n * 11 + seed) % 3 == 0 && n > 40 {
            let gone = all[(n as usize * 13 + seed as usize) % all.len()];
            if gone.op == 'c' && all.iter().all(|c| c.op != 'd' || c.id != gone.id) {
                let before = Some((gone.queue, gone.status));
                let updated = told - if n % 5 == 0 { 70 * MINUTE } else { 0 };
                all.push(Change { op: 'd', before, updated, ..gone });
            }
        }
    }
    all
}

/// An epoch for each four changes, and an idle end.
fn steps(changes: &[Change]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut clock = BASE;
    for (records, of) in entries(changes).chunks(4).zip(changes.chunks(4)) {
        clock = clock.max(of.iter().map(|c| c.updated).max().unwrap_or(clock));
        steps.extend([Step::Clock(clock), Step::Read(records.to_vec()), Step::Epoch(false)]);
    }
    for hour in 1..=26 {
        steps.extend([Step::End(0), Step::Clock(clock + hour * HOUR), Step::Epoch(true)]);
    }
    steps
}

/// Deletions as points at their `updated_at`.
fn deaths(changes: &[Change]) -> Vec<Point> {
    let dead = changes.iter().filter(|c| c.op == 'd');
    let born = dead.map(|c| Change { op: 'c', created: c.updated, ..*c });
    births(&born.collect::<Vec<Change>>())
}

type Balances = BTreeMap<(String, Vec<String>, i64, i64), (i64, Option<f64>)>;

/// What the derived metric is to say, from the changes alone: for the grand total and by queue.
fn expected(changes: &[Change], cut: Cut) -> Balances {
    let (born, gone) = (count(&births(changes), cut), count(&deaths(changes), cut));
    let of = |numbers: &Numbers, key| numbers.get(key).map_or(0, |(n, _)| *n);
    let keys: BTreeSet<_> = born.keys().chain(gone.keys()).filter(|k| !k.0.contains("status")).collect();
    let value = |(born, gone): (i64, i64)| (born - gone, (born > 0).then(|| gone as f64 / born as f64));
    keys.into_iter().map(|k| (k.clone(), value((of(&born, k), of(&gone, k))))).collect()
}

fn values(outputs: &[OutputValue]) -> (i64, Option<f64>) {
    match outputs {
        [OutputValue::Int(net), OutputValue::Float(ratio)] => (*net, Some(*ratio)),
        [OutputValue::Int(net), OutputValue::Null] => (*net, None),
        other => panic!("not a balance: {other:?}"),
    }
}

fn found(left: &Left, window: &str) -> Balances {
    let rows = left.rows.iter().filter(|r| r.series.metric == "t.balance" && r.series.window == window);
    rows.map(|r| ((r.series.dimension_set.to_string(), r.dims.to_vec(), r.start, r.end), values(&r.values)))
        .collect()
}

#[test]
fn every_derived_value_equals_the_recomputation_from_the_changes() {
    for (seed, hot_slots) in [(1, u64::MAX), (2, 10)] {
        let changes = changes(seed, 400);
        let world = world(hot_slots);
        twice(&world, &steps(&changes), |left, kills| {
            assert!(left.outbox.late_events.is_empty(), "{kills:?}");
            for (window, cut) in
                [("1m", Cut::Every(MINUTE)), ("1h", Cut::Every(HOUR)), ("day", Cut::Every(DAY))]
            {
                assert_eq!(found(left, window), expected(&changes, cut), "{window} {kills:?}");
            }
            let mine = || left.rows.iter().filter(|r| r.series.metric == "t.balance");
            assert!(mine().all(|r| r.is_final && r.complete), "{kills:?}");
        });
    }
}

#[test]
fn a_late_sample_of_one_base_corrects_the_closed_window_from_all_of_them() {
    let at = |id: i64, minutes: i64, told: i64| {
        Change::birth(0, id, 1, "open", BASE + minutes * MINUTE, BASE + told * MINUTE)
    };
    let mut all = vec![at(1, 0, 0), at(2, 0, 0)];
    all.push(Change { op: 'd', before: Some((1, "open")), updated: BASE + 10 * SECOND, ..at(2, 0, 0) });
    // Enough epochs for checkpoints, after which the closed window lies in the store alone.
    all.extend((3..400).map(|n| at(n, n / 4, n / 4)));
    all.push(at(400, 0, 101));
    let mut steps = Vec::new();
    for (change, entry) in all.iter().zip(entries(&all)) {
        steps.extend([Step::Clock(change.updated), Step::Read(vec![entry]), Step::Epoch(false)]);
    }
    both(&[Every(9)], |kills| {
        let left = run(&world(u64::MAX), &steps, kills);
        assert!(left.loads > 0, "{kills:?}: nothing was read from the store");
        let first =
            |r: &&RealtimeRow| r.series.metric == "t.balance" && r.series.window == "1m" && r.start == BASE;
        let row = left.rows.iter().find(first).expect("the corrected window");
        assert_eq!(values(&row.values), (3, Some(0.25)), "{kills:?}");
        assert_eq!((row.samples, row.late, row.is_final), (5, 1, true), "{kills:?}");
    });
}

#[test]
fn a_provisional_value_waits_for_its_tick_and_finals_are_given_once() {
    let changes = changes(3, 200);
    twice(&world(u64::MAX), &steps(&changes), |left, kills| {
        let mine = |metric: &'static str| left.emitted.iter().filter(move |r| r.series.metric == metric);
        // The hour's rows come every 10 s of the clock at the most; an epoch is a minute or more here.
        let derived = mine("t.balance").filter(|r| r.series.window == "1m").count();
        let bases = mine("t.born")
            .chain(mine("t.gone"))
            .filter(|r| r.series.window == "1m" && !r.series.dimension_set.contains("status"));
        assert!(derived <= bases.count(), "{derived} rows");
        let mut finals: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in mine("t.balance").filter(|r| r.is_final) {
            let key = (row.series.window.clone(), row.dims.clone(), row.start);
            finals.entry(key).or_default().push(row.values.to_vec());
        }
        let repeats = finals.values().filter(|v| v.windows(2).any(|w| w[0] == w[1])).count();
        // A closed window is forgotten: a correction that leaves the value as it was gives it again, and a
        // start gives again what its bases keep.
        assert!(!kills.never() || repeats * 20 < finals.len(), "{repeats} of {}", finals.len());
        assert_eq!(found(left, "1m"), expected(&changes, Cut::Every(MINUTE)));
    });
}

#[test]
fn current_values_are_derived_from_current_values_and_their_history_too() {
    let now = [Window::Now];
    let mut world = world(u64::MAX);
    world.metrics = vec![
        tally("t.aging", Rule::Aging, &now),
        fakes::metrics().remove(1),
        balance(&[("t.aging", "count"), ("t.open", "count")], &now),
    ];
    let mut all = Vec::new();
    for n in 0..60 {
        let time = BASE + n * 10 * SECOND;
        all.push(Change::birth(0, n + 1, n % 3, "open", time, time));
        if n % 2 == 1 {
            let before = Some((n % 3, "open"));
            let (op, status) = if n % 4 == 1 { ('d', "open") } else { ('u', "done") };
            all.push(Change { op, before, status, ..all[all.len() - 1] });
        }
    }
    // The queue 2 is emptied at the end.
    let left: Vec<Change> = all.iter().filter(|c| c.queue == 2 && c.op == 'c').copied().collect();
    for change in left {
        let gone = all.iter().any(|c| c.id == change.id && c.op == 'd');
        let before = Some((2, "open"));
        all.extend((!gone).then_some(Change { op: 'd', before, updated: BASE + HOUR, ..change }));
    }
    twice(&world, &steps(&all), |left, kills| {
        let mine = |metric: &str, dims: &[String]| {
            let mut shown = left.shown.values();
            shown.find(|r| &*r.series.metric == metric && r.dims[..] == *dims).map(|r| r.values.clone())
        };
        let int = |outputs: Option<Arc<[OutputValue]>>| match outputs.as_deref() {
            Some([OutputValue::Int(value), ..]) => *value,
            _ => 0,
        };
        for queue in ["0", "1"] {
            let dims = [queue.to_string()];
            let (all, open) = (int(mine("t.aging", &dims)), int(mine("t.open", &dims)));
            let ratio = Some(open as f64 / all as f64);
            assert_eq!(values(&mine("t.balance", &dims).expect("shown")), (all - open, ratio), "{kills:?}");
        }
        assert_eq!(mine("t.balance", &["2".to_string()]), None, "{kills:?}: the key holds nothing");
        let latest = &left.outbox.latest;
        let gone =
            latest.iter().find(|r| r.series.metric == "t.balance" && *r.dims == ["2"]).expect("an empty row");
        assert_eq!((values(&gone.values), gone.samples), ((0, None), 0), "{kills:?}");
        // A row of each minute's first epoch, with what the bases say in that minute.
        let mut minutes: BTreeMap<(Micros, Vec<String>), BTreeMap<String, i64>> = BTreeMap::new();
        for row in left
            .rows
            .iter()
            .filter(|r| r.series.window == "now" && r.dims.len() == r.series.dimension_set.len().min(1))
        {
            let values = minutes.entry((row.start, row.dims.to_vec())).or_default();
            values.insert(row.series.metric.to_string(), int(Some(row.values.clone())));
        }
        let balanced = minutes.values().filter(|m| m.contains_key("t.balance"));
        let wrong = balanced.clone().find(|m| {
            let of = |metric: &str| m.get(metric).copied().unwrap_or(0);
            m["t.balance"] != of("t.aging") - of("t.open")
        });
        assert!(balanced.count() > 10 && wrong.is_none(), "{kills:?}: {wrong:?}");
    });
}

#[test]
fn what_its_bases_lack_is_said_in_a_sentence() {
    let bases = || vec![tally("t.born", Rule::Born, &WINDOWS), fakes::metrics().remove(1)];
    let refused = |info: MetricInfo| {
        let world = World { metrics: bases(), ..world(u64::MAX) };
        let store = Arc::new(fakes::MemoryStore::default());
        let mut shard = open(&world, &store, 0);
        let factory: Arc<dyn MetricFactory> = Arc::new(Balance(info));
        let outcome = crate::recover::admit(&mut shard, "x.wasm", vec![factory], &*store, 1, 0);
        assert_eq!(shard.derived.len(), 0);
        outcome.expect_err("refused")
    };
    let good = || describe(&[("t.born", "count"), ("t.born", "sum")], &[Window::Day]);
    let is = |info, text: &str| assert_eq!(refused(info), format!("metric t.balance: {text}"));
    is(
        describe(&[("t.born", "count"), ("t.lost", "count")], &[Window::Day]),
        "its base t.lost is not loaded: push that first",
    );
    is(
        describe(&[("t.born", "total")], &[Window::Day]),
        "its base t.born has no output total (it has: count, sum)",
    );
    is(
        describe(&[("t.born", "sum")], &[Window::Tumbling(5 * MINUTE)]),
        "its base t.born is not kept in window 5m (it has: 1m, 1h, day)",
    );
    is(
        describe(&[("t.open", "count")], &[Window::Day]),
        "its base t.open is not kept in window day (it has: now)",
    );
    let mut other_set = good();
    other_set.dimension_sets.push(vec!["agent_id".into()]);
    is(other_set, "its base t.born is not kept for the dimension set [agent_id]");
    is(
        describe(&[("t.born", "sum")], &[Window::Session { gap: MINUTE }]),
        "a derived metric has no session windows: each base has its own",
    );
}

#[test]
fn a_base_that_is_used_is_kept_until_the_derived_metric_is_retired() {
    let world = world(u64::MAX);
    let store = Arc::new(fakes::MemoryStore::default());
    let mut shard = open(&world, &store, 0);
    assert_eq!(shard.users_of("t.born"), ["t.balance"]);
    let lacks = MetricInfo { outputs: vec![], ..world.metrics[1].info().clone() };
    let reason = shard.check_serves(&lacks).expect_err("refused");
    assert!(reason.contains("t.balance") && reason.contains("no output count"), "{reason}");
    assert!(shard.retire("t.balance", &*store).expect("the store answers"));
    assert!(shard.users_of("t.born").is_empty() && shard.check_serves(&lacks).is_ok());
}
