use super::*;

fn shape() -> Shape {
    let count = Output {
        name: "count".into(),
        value_type: ValueType::Int,
        is_list: false,
        nullable: false,
        unit: "1".into(),
        description: String::new(),
    };
    let mean = Output { name: "mean".into(), value_type: ValueType::Float, nullable: true, ..count.clone() };
    Shape { values: vec![], computed: vec![], outputs: vec![count, mean], limits: Limits::default() }
}

fn given(counts: &[i64], means: &[f64], validity: Vec<u8>) -> wit::Outputs {
    let bits: Vec<i64> = means.iter().map(|m| m.to_bits() as i64).collect();
    let column = |values: &[i64], validity| wit::ColumnResult {
        validity,
        values: pack::i64s(values),
        offsets: vec![],
    };
    let none = || wit::DictionaryResult { offsets: vec![], bytes: vec![] };
    wit::Outputs {
        columns: vec![column(counts, vec![]), column(&bits, validity)],
        dictionaries: vec![none(), none()],
    }
}

fn sample_rows(rows: &[u32]) -> wit::Samples {
    wit::Samples {
        rows: pack::u32s(rows),
        weights: vec![],
        images: vec![],
        times: pack::i64s(&vec![0; rows.len()]),
        times_validity: vec![],
        untils: vec![],
        values: vec![],
        computed: vec![],
        dictionaries: vec![],
        rejects: vec![],
    }
}

#[test]
fn outputs_that_keep_the_contract_pass_unchanged() {
    let passed = outputs(given(&[1, 2], &[0.5, 0.0], vec![0b01]), 2, &shape()).expect("they are right");
    assert_eq!(passed.columns[0].values, pack::i64s(&[1, 2]));
}

#[test]
fn a_nan_a_missing_row_and_a_null_that_may_not_be_are_told_apart() {
    let error = |o| outputs(o, 2, &shape()).expect_err("it breaks the contract");
    assert!(error(given(&[1, 2], &[f64::NAN, 0.0], vec![])).contains("mean"));
    assert!(error(given(&[1], &[0.5, 0.0], vec![])).contains("count: 8 bytes instead of 16"));
    let mut null = given(&[1, 2], &[0.5, 0.0], vec![]);
    null.columns[0].validity = vec![0b01];
    assert!(error(null).contains("not described as nullable"));
}

#[test]
fn a_nan_under_a_null_is_not_looked_at() {
    assert!(outputs(given(&[1, 2], &[f64::NAN, 0.0], vec![0b10]), 2, &shape()).is_ok());
}

#[test]
fn samples_of_rows_that_do_not_exist_or_go_back_are_refused() {
    let shape = Shape { outputs: vec![], ..shape() };
    assert!(samples(sample_rows(&[0, 0, 2]), 3, false, &shape).is_ok());
    assert!(samples(sample_rows(&[3]), 3, false, &shape).is_err());
    assert!(samples(sample_rows(&[1, 0]), 3, false, &shape).is_err());
    let zero = wit::Samples { weights: pack::i64s(&[0]), ..sample_rows(&[0]) };
    assert!(samples(zero, 3, false, &shape).expect_err("weight 0").contains("weight 0"));
}

#[test]
fn offsets_beyond_the_bytes_and_texts_cut_in_two_are_refused() {
    let state = |offsets: &[u32], bytes: &[u8]| wit::StatesResult {
        offsets: pack::u32s(offsets),
        bytes: bytes.to_vec(),
    };
    assert!(states(state(&[0, 1, 3], b"abc"), 2, &shape()).is_ok());
    assert!(states(state(&[0, 4, 3], b"abc"), 2, &shape()).is_err());
    assert!(states(state(&[0, 3], b"abc"), 2, &shape()).is_err());
    let cut = PackedDictionary { offsets: pack::u32s(&[0, 1, 2]), bytes: "ä".into() };
    assert!(check_dictionary(&cut).expect_err("cut").contains("in two"));
}
