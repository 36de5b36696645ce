//! Files that are no plugin, and plugins that do not fit: each is refused in a sentence that names the
//! file, and metric and field where there are any.

#![allow(clippy::unwrap_used)]

mod common;

use common::{good, sandbox, sources, sum, tight, wrap};
use weir_plugin::Limits;
use weir_types::contract::{Field, MetricInfo, ValueType};
use weir_types::ports::Loader;
use weir_types::window::Window;

fn refusal(bytes: &[u8]) -> String {
    let error = sandbox(tight()).load("x.wasm", bytes, &sources()).err().expect("it must be refused");
    assert!(error.starts_with("x.wasm: "), "the file is not named: {error}");
    error
}

fn refusal_of(change: impl FnOnce(&mut MetricInfo)) -> String {
    let mut info = sum();
    change(&mut info);
    let error = refusal(&good(&[info]));
    assert!(error.contains("metric "), "the metric is not named: {error}");
    error
}

#[test]
fn a_file_that_is_no_component_is_refused_and_the_sentence_says_what_to_do() {
    assert!(refusal(b"").contains("is not WebAssembly"));
    assert!(refusal(b"(module)").contains("is not WebAssembly"));
    let module = refusal(&wat::parse_str("(module)").unwrap());
    assert!(module.contains("is a core module, not a component: run `wasm-tools component new`"), "{module}");
    let empty = refusal(&wat::parse_str("(component)").unwrap());
    assert!(empty.contains("does not export `weir:metric/metric-api@0.1.0`"), "{empty}");
}

#[test]
fn a_truncated_component_is_called_truncated_wherever_it_was_cut() {
    let whole = good(&[sum()]);
    for part in 1..16 {
        let error = refusal(&whole[..whole.len() * part / 16]);
        assert!(error.contains("is truncated or damaged") && error.contains("at byte"), "{error}");
    }
}

#[test]
fn a_component_that_imports_anything_but_the_log_is_refused_by_the_import_s_name() {
    let clock = r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance)))"#;
    let error = refusal(&wat::parse_str(clock).unwrap());
    assert!(error.contains("imports `wasi:clocks/monotonic-clock@0.2.0`"), "{error}");
    let function = r#"(component (import "anything" (func)))"#;
    assert!(refusal(&wat::parse_str(function).unwrap()).contains("imports `anything`"));
}

#[test]
fn a_log_that_offers_more_than_a_line_is_refused() {
    let more = r#"(component
        (import "weir:metric/host-log@0.1.0" (instance (export "read-file" (func))))
        (instance $none)
        (export "weir:metric/metric-api@0.1.0" (instance $none)))"#;
    let error = refusal(&wat::parse_str(more).unwrap());
    assert!(error.contains("does not keep the contract") && error.contains("read-file"), "{error}");
}

#[test]
fn an_interface_of_the_right_name_without_its_functions_is_refused() {
    let hollow = r#"(component (instance $none) (export "weir:metric/metric-api@0.1.0" (instance $none)))"#;
    let error = refusal(&wat::parse_str(hollow).unwrap());
    assert!(error.contains("does not keep the contract"), "{error}");
}

#[test]
fn a_derived_component_is_asked_what_it_has_and_refused_when_it_cannot_say() {
    let module = r#"(module
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "weir:metric/derived-api@0.1.0#describe") (result i32) unreachable)
        (func (export "weir:metric/derived-api@0.1.0#open") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "weir:metric/derived-api@0.1.0#compute")
            (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable))"#;
    let error = refusal(&wrap(module, "derived"));
    assert!(error.contains("describe failed"), "{error}");
}

#[test]
fn a_component_of_both_worlds_is_refused() {
    let both = r#"(component (instance $none)
        (export "weir:metric/metric-api@0.1.0" (instance $none))
        (export "weir:metric/derived-api@0.1.0" (instance $none)))"#;
    let error = refusal(&wat::parse_str(both).unwrap());
    assert!(error.contains("components of their own"), "{error}");
}

#[test]
fn a_component_over_the_size_limit_is_refused_before_it_is_read() {
    let small = sandbox(Limits { component_bytes: 100, ..tight() });
    let error = small.load("x.wasm", &good(&[sum()]), &sources()).err().unwrap();
    assert!(error.contains("more than the limit of 100"), "{error}");
}

#[test]
fn what_a_metric_asks_for_must_be_declared() {
    let unknown = refusal_of(|info| info.inputs[0].source = "tickets".into());
    assert!(unknown.contains("reads source tickets, which is not declared (declared are: t)"), "{unknown}");
    let missing = refusal_of(|info| info.inputs[0].fields[1].name = "queue".into());
    assert!(missing.contains("t.queue, which the source does not have"), "{missing}");
    let typed = refusal_of(|info| info.inputs[0].fields[1].value_type = ValueType::Time);
    assert!(typed.contains("field t.w as Time, but it is declared as Int"), "{typed}");
    let null = refusal_of(|info| info.inputs[0].fields[1].name = "maybe".into());
    assert!(null.contains("t.maybe as never null, but it is declared nullable"), "{null}");
    let dimension = refusal_of(|info| info.dimensions[0] = "team".into());
    assert!(dimension.contains("dimension team"), "{dimension}");
}

#[test]
fn a_description_must_make_sense() {
    let cases: [(fn(&mut MetricInfo), &str); 17] = [
        (|i| i.name = "sum".into(), "board.name"),
        (|i| i.name = "T.sum".into(), "board.name"),
        (|i| i.title = "x".repeat(61), "title"),
        (|i| i.version = "1".into(), "version `1`"),
        (|i| i.inputs.clear(), "reads no source"),
        (|i| i.inputs[0].watches = vec!["z".into()], "watches t.z"),
        (|i| i.outputs.clear(), "no outputs"),
        (|i| i.outputs.push(i.outputs[0].clone()), "output `sum` stands twice"),
        (|i| i.dimensions = (0..9).map(|n| format!("d{n}")).collect(), "9 dimensions"),
        (|i| i.dimensions.push("w".into()), "dimension w stands twice"),
        (|i| i.dimension_sets = vec![vec!["v".into()]], "dimension set [v]"),
        (|i| i.windows.push(Window::Now), "`now` must stand alone"),
        (|i| i.windows[0] = Window::Tumbling(-5), "not possible"),
        (|i| i.windows.clear(), "no windows"),
        (|i| i.state_versions_read = vec![2], "writes state version 3, but does not read it"),
        (|i| i.extra.push(("correct_for".into(), "26".into())), "correct_for `26` is no duration"),
        (|i| i.extra.push(("board".into(), "the team".into())), "board `the team` is no name"),
    ];
    for (change, words) in cases {
        let error = refusal_of(change);
        assert!(error.contains(words), "expected `{words}`: {error}");
    }
    let computed = Field { name: "v".into(), value_type: ValueType::Int, nullable: false };
    let both = refusal_of(|i| i.computed_dimensions.push(computed));
    assert!(both.contains("both a field of t and a computed dimension"), "{both}");
    assert!(refusal(&good(&[sum(), sum()])).contains("t.sum is described twice"));
    assert!(refusal(&good(&[])).contains("describes no metric"));
}
