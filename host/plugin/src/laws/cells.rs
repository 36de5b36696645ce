//! Laws of `accumulate`, `merge`, `evaluate`, `save`, `load` and `release`: what makes a cell a cell.

use super::input;
use super::plain::{Entry, Line, same, window};
use super::{Broken, failed};
use weir_types::contract::{MetricFactory, MetricInfo, MetricInstance, States};
use weir_types::{DAY, Micros};

const COMMUTATIVE: &str = "merge is commutative";
const ASSOCIATIVE: &str = "merge is associative";
const DISJOINT: &str = "merging two slots gives what accumulating all their samples gives";
const FROM_STAYS: &str = "merge leaves `from` as it was";
const NEUTRAL: &str = "an empty slot changes nothing when it is merged";
const SPLIT: &str = "any split and any order of a batch gives the same outputs";
const TOGETHER: &str = "slots give the same outputs evaluated together, alone or again";
const SAVE_STAYS: &str = "save leaves the outputs as they were";
const LOADED: &str = "a state that was saved and loaded gives the same outputs";
const GOES_ON: &str = "a loaded state goes on as the saved one would have";
const EMPTY: &str = "a slot that is new, released or loaded from no bytes gives the outputs of slot 0";
const NOTHING: &str = "the outputs of slot 0 never change";
const CANCELS: &str = "samples taken back leave the outputs of nothing";
const CLOCK: &str = "outputs do not depend on the clock unless it is described as time-varying";
const REPEATABLE: &str = "two instances give the same bytes";

/// A clock at which everything is evaluated unless something else is said.
const NOW: Micros = input::END;

/// Checks every law over these samples.
pub fn check(factory: &dyn MetricFactory, entries: &[Entry]) -> Result<(), Broken> {
    let third = |which: usize| -> Vec<&Entry> { entries.iter().skip(which).step_by(3).collect() };
    let (a, b, c) = (third(0), third(1), third(2));
    evaluating(&mut Bench::open(factory)?, &a, &b)?;
    merging(&mut Bench::open(factory)?, &a, &b, &c)?;
    splitting(&mut Bench::open(factory)?, &a, &b)?;
    saving(factory, &a, &b)?;
    emptying(&mut Bench::open(factory)?, &a, &b)?;
    repeating(factory, &a, &b)?;
    if factory.info().is_now() {
        cancelling(factory, &a, &b)?;
    }
    if !factory.info().time_varying {
        clock(&mut Bench::open(factory)?, &a)?;
    }
    Ok(())
}

/// Whether the metric takes these samples at all. Made-up ones need not mean anything to it: what it
/// may rely on is what its own observe gives.
pub fn takes(factory: &dyn MetricFactory, entries: &[Entry]) -> Result<bool, Broken> {
    let mut bench = Bench::open(factory)?;
    let all: Vec<&Entry> = entries.iter().collect();
    Ok(bench.fill(1, &all).and_then(|()| bench.line(1)).is_ok())
}

/// One instance and how to ask it.
struct Bench<'a> {
    info: &'a MetricInfo,
    instance: Box<dyn MetricInstance>,
    nothing: Line,
}

impl<'a> Bench<'a> {
    fn open(factory: &'a dyn MetricFactory) -> Result<Self, Broken> {
        let instance = factory.open().map_err(failed("open"))?;
        let mut bench = Bench { info: factory.info(), instance, nothing: Line::default() };
        bench.nothing = bench.line(0)?;
        Ok(bench)
    }

    fn add(&mut self, entries: &[(u32, &Entry)]) -> Result<(), Broken> {
        let spans = entries.iter().any(|(_, e)| e.until.is_some());
        let parts = input::pack_parts(self.info.values.len(), entries, self.info.is_now(), spans);
        self.instance.accumulate(&parts).map_err(failed("accumulate"))
    }

    fn fill(&mut self, slot: u32, entries: &[&Entry]) -> Result<(), Broken> {
        let entries: Vec<(u32, &Entry)> = entries.iter().map(|e| (slot, *e)).collect();
        self.add(&entries)
    }

    fn merge(&mut self, into: &[u32], from: &[u32]) -> Result<(), Broken> {
        self.instance.merge(into, from).map_err(failed("merge"))
    }

    fn lines(&mut self, slots: &[u32], now: Micros) -> Result<Vec<Line>, Broken> {
        let (starts, ends) = window(self.info.is_now(), slots.len());
        let outputs = self.instance.evaluate(slots, &starts, &ends, now).map_err(failed("evaluate"))?;
        Ok((0..slots.len()).map(|row| Line::read(&outputs, &self.info.outputs, row)).collect())
    }

    fn line(&mut self, slot: u32) -> Result<Line, Broken> {
        Ok(self.lines(&[slot], NOW)?.remove(0))
    }

    fn save(&mut self, slots: &[u32]) -> Result<States, Broken> {
        self.instance.save(slots).map_err(failed("save"))
    }

    fn load(&mut self, slots: &[u32], states: &States) -> Result<(), Broken> {
        let version = self.info.state_version;
        self.instance.load(slots, states, version).map_err(failed("load"))
    }

    /// Whether two slots give the same outputs.
    fn same(&mut self, law: &'static str, left: u32, right: u32) -> Result<(), Broken> {
        let (left, right) = (self.line(left)?, self.line(right)?);
        same(law, &self.info.outputs, &left, &right)
    }

    /// Whether a slot gives what was seen before.
    fn gives(&mut self, law: &'static str, slot: u32, expected: &Line) -> Result<(), Broken> {
        let line = self.line(slot)?;
        same(law, &self.info.outputs, expected, &line)
    }

    fn is_empty(&mut self, law: &'static str, slot: u32) -> Result<(), Broken> {
        let nothing = self.nothing.clone();
        self.gives(law, slot, &nothing)
    }
}

fn both<'a>(a: &[&'a Entry], b: &[&'a Entry]) -> Vec<&'a Entry> {
    a.iter().chain(b).copied().collect()
}

fn evaluating(bench: &mut Bench<'_>, a: &[&Entry], b: &[&Entry]) -> Result<(), Broken> {
    bench.fill(1, a)?;
    bench.fill(2, b)?;
    let alone = [bench.line(2)?, bench.line(0)?, bench.line(1)?];
    for _ in 0..2 {
        for (together, alone) in bench.lines(&[2, 0, 1], NOW)?.iter().zip(&alone) {
            same(TOGETHER, &bench.info.outputs, alone, together)?;
        }
    }
    Ok(())
}

fn merging(bench: &mut Bench<'_>, a: &[&Entry], b: &[&Entry], c: &[&Entry]) -> Result<(), Broken> {
    for (slot, entries) in [(1, a), (2, b), (3, c)] {
        bench.fill(slot, entries)?;
    }
    let alone = bench.lines(&[1, 2, 3], NOW)?;
    // 4 = A + B, 5 = B + A.
    bench.merge(&[4, 4], &[1, 2])?;
    bench.merge(&[5, 5], &[2, 1])?;
    bench.same(COMMUTATIVE, 4, 5)?;
    for (slot, line) in [1, 2, 3].into_iter().zip(&alone) {
        bench.gives(FROM_STAYS, slot, line)?;
    }
    // 6 = B + C, 7 = A + (B + C), 8 = (A + B) + C, in one call each with others between.
    bench.merge(&[6, 6], &[2, 3])?;
    bench.merge(&[7, 8, 7, 8], &[1, 4, 6, 3])?;
    bench.same(ASSOCIATIVE, 7, 8)?;
    bench.fill(9, &both(a, b))?;
    bench.same(DISJOINT, 4, 9)?;
    // Into a slot that was accumulated, not merged, before.
    bench.fill(10, a)?;
    bench.merge(&[10], &[2])?;
    bench.same(DISJOINT, 10, 9)?;
    // And samples that come after a merge.
    bench.merge(&[11], &[1])?;
    bench.gives(NEUTRAL, 11, &alone[0])?;
    bench.fill(11, b)?;
    bench.same(DISJOINT, 11, 9)?;
    bench.merge(&[2], &[99])?;
    bench.gives(NEUTRAL, 2, &alone[1])?;
    bench.is_empty(EMPTY, 99)?;
    bench.is_empty(NOTHING, 0)
}

fn splitting(bench: &mut Bench<'_>, a: &[&Entry], b: &[&Entry]) -> Result<(), Broken> {
    let all = both(a, b);
    bench.fill(1, &all)?;
    for entry in all.iter().rev() {
        bench.fill(2, &[*entry])?;
    }
    for part in [&all[all.len() / 3..], &all[..all.len() / 3]] {
        bench.fill(3, part)?;
    }
    // As in a real batch: entries of several slots in turn.
    let mixed: Vec<(u32, &Entry)> = all.iter().flat_map(|e| [(4, *e), (900, *e)]).collect();
    bench.add(&mixed)?;
    for slot in [2, 3, 4, 900] {
        bench.same(SPLIT, 1, slot)?;
    }
    Ok(())
}

fn saving(factory: &dyn MetricFactory, a: &[&Entry], b: &[&Entry]) -> Result<(), Broken> {
    let (mut old, mut new) = (Bench::open(factory)?, Bench::open(factory)?);
    old.fill(1, a)?;
    old.fill(2, b)?;
    old.merge(&[3, 3], &[1, 2])?;
    let before = old.lines(&[1, 2, 3, 0], NOW)?;
    let states = old.save(&[1, 2, 3, 50])?;
    for (slot, line) in [1, 2, 3, 0].into_iter().zip(&before) {
        old.gives(SAVE_STAYS, slot, line)?;
    }
    // Loading replaces: slot 8 holds something else before.
    new.fill(8, b)?;
    new.load(&[8, 7, 6, 5], &states)?;
    for (slot, line) in [8, 7, 6, 5].into_iter().zip(&before) {
        new.gives(LOADED, slot, line)?;
    }
    // 3 and 6 hold A + B; both go on with A, by samples and by merging.
    old.fill(3, a)?;
    new.fill(6, a)?;
    old.merge(&[3], &[1])?;
    new.merge(&[6], &[8])?;
    let line = old.line(3)?;
    new.gives(GOES_ON, 6, &line)?;
    // Saved once more, after all that.
    let again = new.save(&[6])?;
    old.load(&[40], &again)?;
    old.gives(LOADED, 40, &line)
}

fn emptying(bench: &mut Bench<'_>, a: &[&Entry], b: &[&Entry]) -> Result<(), Broken> {
    bench.is_empty(EMPTY, 12)?;
    bench.fill(1, a)?;
    bench.fill(2, b)?;
    let (of_a, of_b) = (bench.line(1)?, bench.line(2)?);
    bench.instance.release(&[1]).map_err(failed("release"))?;
    bench.is_empty(EMPTY, 1)?;
    bench.gives("releasing a slot leaves the others alone", 2, &of_b)?;
    bench.fill(1, a)?;
    bench.gives("a released slot can be used again", 1, &of_a)?;
    let no_bytes = States { offsets: vec![0; 8], bytes: vec![] };
    bench.load(&[2], &no_bytes)?;
    bench.is_empty(EMPTY, 2)?;
    bench.is_empty(NOTHING, 0)
}

/// The same calls on two instances: outputs and states must agree byte by byte.
fn repeating(factory: &dyn MetricFactory, a: &[&Entry], b: &[&Entry]) -> Result<(), Broken> {
    let run = || {
        let mut bench = Bench::open(factory)?;
        bench.fill(1, a)?;
        bench.fill(2, b)?;
        bench.merge(&[2], &[1])?;
        let (starts, ends) = window(bench.info.is_now(), 2);
        let outputs = bench.instance.evaluate(&[1, 2], &starts, &ends, NOW).map_err(failed("evaluate"))?;
        Ok((outputs, bench.save(&[1, 2])?))
    };
    let (one, two) = (run()?, run()?);
    match (one.0 == two.0, one.1 == two.1) {
        (true, true) => Ok(()),
        (false, _) => Err(Broken::law(REPEATABLE, "the same calls gave other outputs".into())),
        (true, false) => Err(Broken::law(REPEATABLE, "the same calls gave other states".into())),
    }
}

/// Cells of current values are signed: whatever is taken back, in whatever order, is gone.
fn cancelling(factory: &dyn MetricFactory, a: &[&Entry], b: &[&Entry]) -> Result<(), Broken> {
    let mut bench = Bench::open(factory)?;
    let negated: Vec<Entry> = a.iter().rev().map(|e| Entry { weight: -e.weight, ..(*e).clone() }).collect();
    let back: Vec<&Entry> = negated.iter().collect();
    bench.fill(1, a)?;
    bench.fill(1, &back)?;
    bench.is_empty(CANCELS, 1)?;
    bench.fill(2, &back)?;
    // A cell below nothing must be bearable, whatever it shows.
    bench.line(2)?;
    bench.fill(2, a)?;
    bench.is_empty(CANCELS, 2)?;
    bench.fill(3, a)?;
    bench.fill(4, &back)?;
    bench.merge(&[5, 5], &[4, 3])?;
    bench.is_empty(CANCELS, 5)?;
    bench.fill(6, b)?;
    bench.fill(7, &both(&both(&back, b), a))?;
    bench.same("samples taken back leave what the others give", 6, 7)?;
    let states = bench.save(&[4])?;
    let mut other = Bench::open(factory)?;
    other.load(&[9], &states)?;
    other.fill(9, a)?;
    other.is_empty(CANCELS, 9)
}

fn clock(bench: &mut Bench<'_>, a: &[&Entry]) -> Result<(), Broken> {
    bench.fill(1, a)?;
    let early = bench.lines(&[1, 0], input::START)?;
    for now in [NOW, NOW + DAY, NOW + 40 * DAY, NOW + 1_000 * DAY] {
        for (early, late) in early.iter().zip(&bench.lines(&[1, 0], now)?) {
            same(CLOCK, &bench.info.outputs, early, late)?;
        }
    }
    Ok(())
}
