//! Bytes that were a component once: whatever became of them, loading answers and never panics.

#![allow(clippy::unwrap_used)]

mod common;

use common::{good, sandbox, sources, sum, tight};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::time::Duration;
use weir_plugin::Limits;
use weir_types::ports::Loader;

/// One change of a component's bytes.
#[derive(Clone, Debug)]
enum Damage {
    Flip {
        at: usize,
        bits: u8,
    },
    Cut {
        at: usize,
    },
    Remove {
        at: usize,
        len: usize,
    },
    Repeat {
        at: usize,
        len: usize,
    },
    /// Into the description: what stands there is still a component, and says something else.
    Describe {
        at: usize,
        byte: u8,
    },
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>, description: usize) {
        let len = bytes.len();
        if len == 0 {
            return;
        }
        match *self {
            Damage::Flip { at, bits } => bytes[at % len] ^= bits,
            Damage::Cut { at } => bytes.truncate(at % len),
            Damage::Remove { at, len: count } => {
                let at = at % len;
                bytes.drain(at..(at + count).min(len));
            }
            Damage::Repeat { at, len: count } => {
                let at = at % len;
                let part = bytes[at..(at + count).min(len)].to_vec();
                bytes.splice(at..at, part);
            }
            Damage::Describe { at, byte } => {
                if let Some(place) = bytes.get_mut(description + at % 900) {
                    *place = byte;
                }
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<usize>(), 1u8..).prop_map(|(at, bits)| Damage::Flip { at, bits }),
        1 => any::<usize>().prop_map(|at| Damage::Cut { at }),
        1 => (any::<usize>(), 1usize..64).prop_map(|(at, len)| Damage::Remove { at, len }),
        1 => (any::<usize>(), 1usize..64).prop_map(|(at, len)| Damage::Repeat { at, len }),
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Describe { at, byte }),
    ]
}

#[test]
fn a_damaged_component_is_loaded_or_refused_but_never_panics() {
    let whole = good(&[sum()]);
    // The description's texts lie together: its name stands early in them.
    let description = whole.windows(5).position(|w| w == b"t.sum").unwrap() - 156;
    let (sources, sandbox) = (sources(), sandbox(Limits { call: Duration::from_millis(50), ..tight() }));
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&proptest::collection::vec(damage(), 1..4), |damages| {
        let mut bytes = whole.clone();
        damages.iter().for_each(|d| d.apply(&mut bytes, description));
        if let Err(error) = sandbox.load("x.wasm", &bytes, &sources) {
            prop_assert!(error.starts_with("x.wasm: "), "{}", error);
        }
        Ok(())
    });
    outcome.unwrap();
}
