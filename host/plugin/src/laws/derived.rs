//! The law of derived metrics: `compute` is a pure function of each row.
//!
//! What its bases give is not known here, so the columns are made up: small whole numbers, then doubles.

use super::plain::{Line, same};
use super::{Broken, failed};
use weir_types::MINUTE;
use weir_types::contract::{BaseRows, GuestError, MetricFactory, PackedColumn, PackedDictionary, pack};

const PURE: &str = "compute is a pure function of each row";

/// Rows of the sample.
const ROWS: usize = 40;

pub fn check(factory: &dyn MetricFactory) -> Result<(), Broken> {
    let mut checked = false;
    for doubles in [false, true] {
        match check_over(factory, doubles) {
            Ok(()) => checked = true,
            // It may read texts or lists of its bases, and must refuse what is none.
            Err(Broken::Failed { error: GuestError::Refused(_), .. }) => {}
            Err(broken) => return Err(broken),
        }
    }
    if !checked {
        tracing::warn!(
            metric = %factory.info().name,
            "made-up outputs of its bases are refused: whether it is a pure function is not checked"
        );
    }
    Ok(())
}

/// All rows at once against each row alone, and against all in reverse, by another instance.
fn check_over(factory: &dyn MetricFactory, doubles: bool) -> Result<(), Broken> {
    let infos = &factory.info().outputs;
    let all: Vec<usize> = (0..ROWS).collect();
    let lines = |rows: &[usize]| -> Result<Vec<Line>, Broken> {
        let mut instance = factory.open_derived().map_err(failed("open"))?;
        let outputs = instance.compute(&sample(factory, rows, doubles)).map_err(failed("compute"))?;
        Ok((0..rows.len()).map(|row| Line::read(&outputs, infos, row)).collect())
    };
    let together = lines(&all)?;
    let mut instance = factory.open_derived().map_err(failed("open"))?;
    for (row, line) in together.iter().enumerate() {
        let alone = instance.compute(&sample(factory, &[row], doubles)).map_err(failed("compute"))?;
        same(PURE, infos, line, &Line::read(&alone, infos, 0))?;
    }
    let reversed = lines(&all.iter().rev().copied().collect::<Vec<_>>())?;
    together.iter().zip(reversed.iter().rev()).try_for_each(|(a, b)| same(PURE, infos, a, b))?;
    lines(&[]).map(drop)
}

/// Rows of made-up outputs, by number: the same number gives the same row.
fn sample(factory: &dyn MetricFactory, rows: &[usize], doubles: bool) -> BaseRows {
    let info = factory.info();
    let count: usize = info.bases.iter().map(|base| base.outputs.len()).sum();
    let word = |column: usize, row: usize| -> i64 {
        let small = (row * (column + 2) * 7 + column * 3) % 8;
        if doubles { (small as f64 * 1.5).to_bits() as i64 } else { small as i64 }
    };
    let column = |column: usize| {
        let words: Vec<i64> = rows.iter().map(|row| word(column, *row)).collect();
        PackedColumn { values: pack::i64s(&words), ..PackedColumn::default() }
    };
    let texts =
        PackedDictionary { offsets: pack::u32s(&(0..=8).collect::<Vec<_>>()), bytes: b"abcdefgh".to_vec() };
    let (starts, ends) = rows.iter().map(|row| (*row as i64 * MINUTE, (*row as i64 + 1) * MINUTE)).unzip();
    let (starts, ends): (Vec<i64>, Vec<i64>) = if info.is_now() { (vec![], vec![]) } else { (starts, ends) };
    BaseRows {
        rows: rows.len() as u32,
        columns: (0..count).map(column).collect(),
        dictionaries: vec![texts; count],
        window_starts: pack::i64s(&starts),
        window_ends: pack::i64s(&ends),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::contract::{
        Base, DerivedInstance, MetricInfo, MetricInstance, Output, Outputs, RowMemory, ValueType,
    };
    use weir_types::window::Window;

    /// Gives its base's output, plus what the fault adds.
    struct Echo {
        info: MetricInfo,
        fault: Fault,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        RowsAreNumbered,
        CallsAreCounted,
        Refuses,
    }

    struct EchoInstance {
        fault: Fault,
        calls: i64,
    }

    impl DerivedInstance for EchoInstance {
        fn compute(&mut self, given: &BaseRows) -> Result<Outputs, GuestError> {
            self.calls += 1;
            let add = |row: usize| match self.fault {
                Fault::RowsAreNumbered => row as i64,
                Fault::CallsAreCounted => self.calls,
                Fault::None | Fault::Refuses => 0,
            };
            if self.fault == Fault::Refuses {
                return Err(GuestError::Refused("a text is due".into()));
            }
            let word = |row: usize| pack::i64_at(&given.columns[0].values, row).wrapping_add(add(row));
            let words: Vec<i64> = (0..given.rows as usize).map(word).collect();
            let column = PackedColumn { values: pack::i64s(&words), ..PackedColumn::default() };
            Ok(Outputs { columns: vec![column], dictionaries: vec![PackedDictionary::default()] })
        }
        fn memory_bytes(&self) -> usize {
            0
        }
    }

    impl MetricFactory for Echo {
        fn info(&self) -> &MetricInfo {
            &self.info
        }
        fn digest(&self) -> &str {
            ""
        }
        fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
            Err(GuestError::Refused("it is derived".into()))
        }
        fn open_derived(&self) -> Result<Box<dyn DerivedInstance>, GuestError> {
            Ok(Box::new(EchoInstance { fault: self.fault, calls: 0 }))
        }
    }

    fn echo(fault: Fault) -> Echo {
        let output = Output {
            name: "count".into(),
            value_type: ValueType::Int,
            is_list: false,
            nullable: false,
            unit: "1".into(),
            description: String::new(),
        };
        let info = MetricInfo {
            name: "t.echo".into(),
            title: "Echo".into(),
            unit: "1".into(),
            description: String::new(),
            owner: String::new(),
            version: "1.0.0".into(),
            deprecated: None,
            replaced_by: None,
            inputs: vec![],
            bases: vec![Base { metric: "t.made".into(), outputs: vec!["count".into()] }],
            dimensions: vec![],
            dimension_sets: vec![vec![]],
            windows: vec![Window::Day],
            values: vec![],
            computed_dimensions: vec![],
            outputs: vec![output],
            time_varying: false,
            rows: RowMemory::Live,
            state_version: 0,
            state_versions_read: vec![],
            meaning_version: 1,
            extra: vec![],
        };
        Echo { info, fault }
    }

    #[test]
    fn a_metric_whose_rows_depend_on_each_other_breaks_the_law() {
        assert_eq!(check(&echo(Fault::None)), Ok(()));
        for fault in [Fault::RowsAreNumbered, Fault::CallsAreCounted] {
            let broken = check(&echo(fault));
            assert!(matches!(&broken, Err(Broken::Law { law: PURE, .. })), "{broken:?}");
        }
    }

    #[test]
    fn one_that_refuses_what_its_bases_would_not_give_is_let_in_unchecked() {
        assert_eq!(check(&echo(Fault::Refuses)), Ok(()));
    }
}
