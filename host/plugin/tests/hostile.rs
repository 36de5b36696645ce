//! Guests that must not get through, and what becomes of those that fail later.

#![allow(clippy::unwrap_used)]

mod common;

use common::{HostileGuest, good, sandbox, sources, sum, tight};
use weir_types::contract::{GuestError, MetricInstance, PackedColumn, PackedDictionary, Parts, pack};
use weir_types::ports::Loader;
use weir_types::window::Window;

#[test]
fn the_base_of_all_hostile_guests_is_itself_let_in() {
    let sandbox = sandbox(tight());
    let loaded = sandbox.load("good.wasm", &good(&[sum()]), &sources()).unwrap();
    let mut expected = sum();
    expected.dimension_sets = vec![vec![], vec!["w".into()]];
    assert_eq!(loaded[0].info(), &expected);

    let mut current = sum();
    current.windows = vec![Window::Now];
    sandbox.load("now.wasm", &good(&[current]), &sources()).unwrap();
}

#[test]
fn every_hostile_guest_is_refused_with_the_words_in_its_head() {
    let (sandbox, sources) = (sandbox(tight()), sources());
    let all = HostileGuest::all();
    assert!(all.len() > 25, "the folder of hostile guests is there");
    for guest in all {
        let file = format!("{}.wasm", guest.name);
        let outcome = sandbox.load(&file, &guest.component(), &sources);
        match (&guest.refused, outcome) {
            (None, outcome) => drop(outcome.unwrap_or_else(|e| panic!("{file} must pass: {e}"))),
            (Some(words), Ok(_)) => panic!("{file} must be refused: {words}"),
            (Some(words), Err(error)) => {
                assert!(
                    error.contains(words.as_str()),
                    "{file} is refused, but not with `{words}`:\n  {error}"
                );
                assert!(error.starts_with(&format!("{file}: ")), "the file is not named: {error}");
                // What happens before the description is known cannot name the metric.
                let early = error.contains("describe failed") || error.contains("cannot be started");
                assert!(early || error.contains("metric t.sum"), "the metric is not named: {error}");
            }
        }
    }
}

/// An instance that did not have to pass the laws.
fn instance(name: &str) -> Box<dyn MetricInstance> {
    let sandbox = sandbox(tight());
    let component = HostileGuest::read(name).component();
    let factories = sandbox.reload(name, &component).unwrap();
    // The sandbox is dropped here: what it made must go on under its limits.
    factories[0].open().unwrap()
}

fn one_sample() -> Parts {
    Parts {
        slots: pack::u32s(&[1]),
        weights: pack::i64s(&[1]),
        times: pack::i64s(&[0]),
        untils: vec![],
        values: vec![PackedColumn { values: pack::i64s(&[5]), ..PackedColumn::default() }],
        dictionaries: vec![PackedDictionary::default()],
    }
}

#[test]
fn a_time_out_a_trap_and_a_bad_answer_are_told_apart() {
    assert_eq!(instance("loops-in-merge").merge(&[1], &[2]), Err(GuestError::Timeout { limit_ms: 300 }));
    let trap = instance("divides-by-zero").evaluate(&[1], &[0], &[1], 0).unwrap_err();
    assert_eq!(trap, GuestError::Trap("wasm trap: integer divide by zero".into()));
    let bad = instance("gives-no-columns").evaluate(&[1], &[0], &[1], 0).unwrap_err();
    assert!(matches!(bad, GuestError::BadOutput(_)), "{bad}");
}

#[test]
fn an_instance_that_failed_refuses_every_further_call() {
    for (name, fail) in [("loops-in-merge", true), ("gives-no-columns", false)] {
        let mut instance = instance(name);
        let first = match fail {
            true => instance.merge(&[1], &[2]).unwrap_err(),
            false => instance.evaluate(&[1], &[0], &[1], 0).unwrap_err(),
        };
        assert_eq!(instance.accumulate(&one_sample()), Err(first.clone()));
        assert_eq!(instance.release(&[1]), Err(first));
    }
}

#[test]
fn instances_of_one_metric_share_nothing() {
    let sandbox = sandbox(tight());
    let factory = &sandbox.reload("good.wasm", &good(&[sum()])).unwrap()[0];
    let (mut one, mut two) = (factory.open().unwrap(), factory.open().unwrap());
    one.accumulate(&one_sample()).unwrap();
    let value = |instance: &mut Box<dyn MetricInstance>| {
        let outputs = instance.evaluate(&[1], &[0], &[1], 0).unwrap();
        pack::i64_at(&outputs.columns[0].values, 0)
    };
    assert_eq!((value(&mut one), value(&mut two)), (5, 0));
    assert_eq!(one.memory_bytes(), 64 * 65_536);
}

#[test]
fn a_metric_may_have_limits_of_its_own() {
    let options = weir_plugin::SandboxOptions {
        limits: tight(),
        limits_metric: [("t.sum".to_string(), weir_plugin::Limits { memory_bytes: 65_536, ..tight() })]
            .into(),
        ..weir_plugin::SandboxOptions::default()
    };
    let sandbox = weir_plugin::Sandbox::new(options).unwrap();
    let error = sandbox.load("good.wasm", &good(&[sum()]), &sources()).err().unwrap();
    assert!(error.contains("`open` failed") && error.contains("65536 bytes of memory"), "{error}");
}
