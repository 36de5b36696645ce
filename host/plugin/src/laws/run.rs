//! The checks themselves. Each answers with a sentence when its law is broken.

use super::input::{self, Entry, ROWS};
use std::sync::Arc;
use weir_types::contract::{
    GuestError, MetricFactory, MetricInfo, MetricInstance, Output, Outputs, PackedDictionary, Samples,
    ValueType, pack,
};
use weir_types::schema::SourceDecl;
use weir_types::{MINUTE, Micros};

const START: Micros = 1_795_424_400_000_000;

pub fn check_all(factory: &dyn MetricFactory, sources: &[Arc<SourceDecl>]) -> Result<(), String> {
    let info = factory.info();
    for (at, input) in info.inputs.iter().enumerate() {
        let Some(source) = sources.iter().find(|s| s.name == input.source) else { continue };
        match info.is_now() {
            true => images_are_pure(factory, at as u32, &input::images(&input::changes(input, source, 5)))?,
            false => {
                observe_is_pure(factory, at as u32, &input::changes(input, source, 5))?;
                if let Some(changes) = input::unwatched(input, source) {
                    watch_is_kept(factory, at as u32, &changes)?;
                }
            }
        }
    }
    accumulators(factory)
}

fn failed(law: &str) -> impl Fn(GuestError) -> String + '_ {
    move |error| format!("{law}: {error}")
}

/// One sample, spelled out: texts instead of codes.
#[derive(Debug, PartialEq)]
struct Plain {
    row: u32,
    weight: i64,
    after: bool,
    time: Option<Micros>,
    until: Option<Micros>,
    values: Vec<Option<String>>,
}

fn plain(info: &MetricInfo, samples: &Samples, first_row: u32) -> Vec<Plain> {
    let types: Vec<ValueType> =
        info.values.iter().chain(&info.computed_dimensions).map(|f| f.value_type).collect();
    let columns: Vec<_> = samples.values.iter().chain(&samples.computed).collect();
    let one = |i: usize| Plain {
        row: pack::u32_at(&samples.rows, i) + first_row,
        weight: if samples.weights.is_empty() { 1 } else { pack::i64_at(&samples.weights, i) },
        after: pack::bit(&samples.images, i),
        time: (!samples.times.is_empty() && pack::bit(&samples.times_validity, i))
            .then(|| pack::i64_at(&samples.times, i)),
        until: (!samples.untils.is_empty()).then(|| pack::i64_at(&samples.untils, i)),
        values: columns
            .iter()
            .zip(&types)
            .zip(&samples.dictionaries)
            .map(|((c, ty), d)| pack::bit(&c.validity, i).then(|| spell(*ty, pack::i64_at(&c.values, i), d)))
            .collect(),
    };
    (0..samples.rows.len() / 4).map(one).collect()
}

fn spell(ty: ValueType, value: i64, dictionary: &PackedDictionary) -> String {
    match ty {
        ValueType::Text => {
            let at = value as usize;
            let range = pack::u32_at(&dictionary.offsets, at) as usize
                ..pack::u32_at(&dictionary.offsets, at + 1) as usize;
            String::from_utf8_lossy(&dictionary.bytes[range]).into_owned()
        }
        _ => value.to_string(),
    }
}

fn observe_is_pure(
    factory: &dyn MetricFactory,
    at: u32,
    changes: &weir_types::contract::Changes,
) -> Result<(), String> {
    let law = "observe is a pure function of its rows";
    let (mut one, mut two) = (factory.open().map_err(failed(law))?, factory.open().map_err(failed(law))?);
    let whole = plain(factory.info(), &one.observe(at, changes).map_err(failed(law))?, 0);
    for cut in [1, ROWS / 2, ROWS - 1] {
        let mut split = Vec::new();
        for (from, to) in [(0, cut), (cut, ROWS)] {
            let samples = two.observe(at, &input::slice(changes, from, to)).map_err(failed(law))?;
            split.extend(plain(factory.info(), &samples, from as u32));
        }
        if split != whole {
            return Err(format!("{law}: split at row {cut}, they give other samples"));
        }
    }
    let again = plain(factory.info(), &one.observe(at, changes).map_err(failed(law))?, 0);
    if again == whole { Ok(()) } else { Err(format!("{law}: a second call gives other samples")) }
}

fn watch_is_kept(
    factory: &dyn MetricFactory,
    at: u32,
    changes: &weir_types::contract::Changes,
) -> Result<(), String> {
    let law = "an update in which no watched field changed gives no sample";
    let samples = factory.open().and_then(|mut i| i.observe(at, changes)).map_err(failed(law))?;
    match plain(factory.info(), &samples, 0).first() {
        Some(sample) => Err(format!("{law}, but one did: watch the field it depends on ({sample:?})")),
        None => Ok(()),
    }
}

fn images_are_pure(
    factory: &dyn MetricFactory,
    at: u32,
    images: &weir_types::contract::Images,
) -> Result<(), String> {
    let law = "observe-image is a pure function of each image";
    let (mut one, mut two) = (factory.open().map_err(failed(law))?, factory.open().map_err(failed(law))?);
    let first = plain(factory.info(), &one.observe_image(at, images).map_err(failed(law))?, 0);
    let again = plain(factory.info(), &one.observe_image(at, images).map_err(failed(law))?, 0);
    let other = plain(factory.info(), &two.observe_image(at, images).map_err(failed(law))?, 0);
    if first == again && first == other { Ok(()) } else { Err(format!("{law}: calls give other samples")) }
}

/// One instance and how to ask it.
struct Bench<'a> {
    info: &'a MetricInfo,
    instance: Box<dyn MetricInstance>,
}

/// One slot's outputs, spelled out.
type Row = Vec<Option<Vec<String>>>;

impl Bench<'_> {
    fn add(&mut self, entries: &[(u32, Entry)]) -> Result<(), GuestError> {
        self.instance.accumulate(&input::parts(&self.info.values, entries, self.info.is_now()))
    }
    fn fill(&mut self, slot: u32, entries: &[Entry]) -> Result<(), GuestError> {
        let entries: Vec<(u32, Entry)> = entries.iter().map(|e| (slot, e.clone())).collect();
        self.add(&entries)
    }
    fn row(&mut self, slot: u32, now: Micros) -> Result<Row, GuestError> {
        let (starts, ends) = match self.info.is_now() {
            true => (vec![], vec![]),
            false => (vec![START], vec![START + MINUTE]),
        };
        let outputs = self.instance.evaluate(&[slot], &starts, &ends, now)?;
        Ok(outputs_row(&outputs, &self.info.outputs))
    }
}

fn outputs_row(outputs: &Outputs, infos: &[Output]) -> Row {
    let columns = outputs.columns.iter().zip(&outputs.dictionaries).zip(infos);
    let one = |((column, dictionary), info): ((&_, &_), &Output)| {
        let column: &weir_types::contract::PackedColumn = column;
        pack::bit(&column.validity, 0).then(|| {
            (0..column.values.len() / 8)
                .map(|i| spell(info.value_type, pack::i64_at(&column.values, i), dictionary))
                .collect()
        })
    };
    columns.map(one).collect()
}

fn same(law: &str, left: &Row, right: &Row) -> Result<(), String> {
    if left == right { Ok(()) } else { Err(format!("{law}: {left:?} is not {right:?}")) }
}

fn accumulators(factory: &dyn MetricFactory) -> Result<(), String> {
    let info = factory.info();
    let open = || factory.open().map(|instance| Bench { info, instance });
    let mut bench = open().map_err(failed("open"))?;
    let nothing = bench.row(0, 0).map_err(failed("slot 0 can be evaluated"))?;
    let [a, b, c] = [11, 12, 13].map(|seed| input::entries(&info.values, 24, seed));
    if let Err(GuestError::Refused(reason)) = open().and_then(|mut bench| bench.fill(1, &a)) {
        // Its values have a narrower meaning than their types: made-up ones prove nothing.
        tracing::debug!(metric = %info.name, %reason, "accumulator laws were not checked: it refuses made-up values");
        return Ok(());
    }
    merging(&mut bench, [&a, &b, &c])?;
    splitting(&mut bench, &a, &b)?;
    saving(&mut bench, &mut open().map_err(failed("open"))?, &a)?;
    emptying(&mut bench, &nothing)?;
    if info.is_now() {
        cancelling(&mut bench, &a, &nothing)?;
    }
    if !info.time_varying {
        let law = "outputs do not depend on the clock unless it is described as time-varying";
        let (early, late) =
            (bench.row(4, 0).map_err(failed(law))?, bench.row(4, START).map_err(failed(law))?);
        same(law, &early, &late)?;
    }
    Ok(())
}

/// Slots 1, 2, 3 hold A, B, C afterwards; 4 holds A and B.
fn merging(bench: &mut Bench<'_>, [a, b, c]: [&Vec<Entry>; 3]) -> Result<(), String> {
    let law = "merge is commutative";
    for (slot, entries) in [(1, a), (2, b), (3, c)] {
        bench.fill(slot, entries).map_err(failed(law))?;
    }
    bench.instance.merge(&[4, 4], &[1, 2]).map_err(failed(law))?;
    bench.instance.merge(&[5, 5], &[2, 1]).map_err(failed(law))?;
    let ab = bench.row(4, 0).map_err(failed(law))?;
    same(law, &ab, &bench.row(5, 0).map_err(failed(law))?)?;
    let law = "merge is associative";
    bench.instance.merge(&[6, 6], &[2, 3]).map_err(failed(law))?;
    bench.instance.merge(&[7, 7], &[1, 6]).map_err(failed(law))?;
    bench.instance.merge(&[8, 8], &[4, 3]).map_err(failed(law))?;
    let (left, right) = (bench.row(7, 0).map_err(failed(law))?, bench.row(8, 0).map_err(failed(law))?);
    same(law, &left, &right)?;
    let law = "merging two slots gives what accumulating all their samples gives";
    bench.fill(9, a).and_then(|()| bench.fill(9, b)).map_err(failed(law))?;
    same(law, &ab, &bench.row(9, 0).map_err(failed(law))?)
}

fn splitting(bench: &mut Bench<'_>, a: &[Entry], b: &[Entry]) -> Result<(), String> {
    let law = "any split and any order of a batch gives the same outputs";
    let all: Vec<Entry> = a.iter().chain(b).cloned().collect();
    bench.fill(10, &all).map_err(failed(law))?;
    for entry in all.iter().rev() {
        bench.fill(11, std::slice::from_ref(entry)).map_err(failed(law))?;
    }
    let mixed: Vec<(u32, Entry)> = all.iter().flat_map(|e| [(12, e.clone()), (13, e.clone())]).collect();
    bench.add(&mixed).map_err(failed(law))?;
    let whole = bench.row(10, 0).map_err(failed(law))?;
    for slot in [11, 12, 13] {
        same(law, &whole, &bench.row(slot, 0).map_err(failed(law))?)?;
    }
    Ok(())
}

fn saving(bench: &mut Bench<'_>, fresh: &mut Bench<'_>, a: &[Entry]) -> Result<(), String> {
    let law = "a state that was saved and loaded gives the same outputs";
    let before = bench.row(4, 0).map_err(failed(law))?;
    let states = bench.instance.save(&[1, 4, 0]).map_err(failed(law))?;
    same("save leaves the outputs as they were", &before, &bench.row(4, 0).map_err(failed(law))?)?;
    fresh.fill(20, a).map_err(failed(law))?;
    fresh.instance.load(&[21, 20, 22], &states, bench.info.state_version).map_err(failed(law))?;
    for (slot, loaded) in [(1, 21), (4, 20), (0, 22)] {
        let (row, back) =
            (bench.row(slot, 0).map_err(failed(law))?, fresh.row(loaded, 0).map_err(failed(law))?);
        same(law, &row, &back)?;
    }
    let law = "a loaded state goes on as the saved one would have";
    bench.fill(4, a).map_err(failed(law))?;
    fresh.fill(20, a).map_err(failed(law))?;
    let (row, back) = (bench.row(4, 0).map_err(failed(law))?, fresh.row(20, 0).map_err(failed(law))?);
    same(law, &row, &back)
}

fn emptying(bench: &mut Bench<'_>, nothing: &Row) -> Result<(), String> {
    let law = "a released slot and slot 0 give the outputs of nothing";
    bench.instance.release(&[9]).map_err(failed(law))?;
    for slot in [9, 0] {
        same(law, nothing, &bench.row(slot, 0).map_err(failed(law))?)?;
    }
    Ok(())
}

fn cancelling(bench: &mut Bench<'_>, a: &[Entry], nothing: &Row) -> Result<(), String> {
    let law = "samples taken back leave the outputs of nothing";
    let back: Vec<Entry> = a.iter().map(|e| Entry { weight: -e.weight, ..e.clone() }).collect();
    bench.fill(14, &back).and_then(|()| bench.fill(14, a)).map_err(failed(law))?;
    same(law, nothing, &bench.row(14, 0).map_err(failed(law))?)
}
