use super::column::check_dictionary;
use super::*;
use weir_types::contract::{PackedDictionary, ValueType};

const ALL: &[u8] = &[];

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
fn a_null_must_be_written_as_zero() {
    assert!(outputs(given(&[1, 2], &[0.5, 0.0], vec![0b01]), 2, &shape()).is_ok());
    let error = outputs(given(&[1, 2], &[0.5, 0.5], vec![0b01]), 2, &shape()).expect_err("0.5 under a null");
    assert!(error.contains("mean: a value that is null"), "{error}");
    // The second bit is beyond the one row that there is.
    assert!(outputs(given(&[1], &[0.5], vec![0b01]), 1, &shape()).is_ok());
}

fn changes(rows: u32) -> Asked<'static> {
    Asked::Changes { rows, before: ALL, after: ALL }
}

#[test]
fn samples_of_rows_that_do_not_exist_or_go_back_are_refused() {
    let shape = Shape { outputs: vec![], ..shape() };
    assert!(samples(sample_rows(&[0, 0, 2]), changes(3), &shape).is_ok());
    assert!(samples(sample_rows(&[3]), changes(3), &shape).is_err());
    assert!(samples(sample_rows(&[1, 0]), changes(3), &shape).is_err());
    assert!(samples(sample_rows(&[0]), changes(0), &shape).is_err());
}

#[test]
fn weights_are_never_zero_and_for_images_never_negative() {
    let weighted =
        |weight, times| wit::Samples { weights: pack::i64s(&[weight]), times, ..sample_rows(&[0]) };
    let event = |weight| samples(weighted(weight, pack::i64s(&[0])), changes(1), &shape());
    let image = |weight| samples(weighted(weight, vec![]), Asked::Images { rows: 1 }, &shape());
    assert!(event(2).is_ok() && event(-1).is_ok() && image(2).is_ok());
    assert!(event(0).expect_err("no weight").contains("weight 0"));
    assert!(image(-1).expect_err("the host gives the sign").contains("weight -1"));
}

#[test]
fn a_sample_cannot_take_its_dimensions_from_an_image_that_is_not_there() {
    let inserted = Asked::Changes { rows: 2, before: &[0b10], after: ALL };
    let from = |images| samples(wit::Samples { images, ..sample_rows(&[0, 1]) }, inserted, &shape());
    assert!(from(vec![]).is_ok() && from(vec![0b01]).is_ok());
    assert!(from(vec![0b10]).expect_err("row 0 has no before image").contains("row 0"));
}

#[test]
fn a_span_that_ends_before_it_begins_is_refused_unless_it_has_no_time() {
    let span = |times_validity| wit::Samples {
        times: pack::i64s(&[10]),
        untils: pack::i64s(&[5]),
        times_validity,
        ..sample_rows(&[0])
    };
    assert!(samples(span(vec![]), changes(1), &shape()).is_err());
    assert!(samples(span(vec![0]), changes(1), &shape()).is_ok());
}

#[test]
fn a_row_is_refused_once_and_gives_no_sample_then() {
    let refused = |rows: &[u32]| {
        let rejects = rows.iter().map(|row| wit::Reject { row: *row, reason: "ä".repeat(400) }).collect();
        samples(wit::Samples { rejects, ..sample_rows(&[1, 3]) }, changes(4), &shape())
    };
    let kept = refused(&[2, 0]).expect("both are free").rejects;
    assert_eq!((kept[0].0, kept[0].1.len()), (2, MAX_REASON_BYTES));
    for (rows, words) in [(&[4][..], "does not exist"), (&[0, 0], "twice"), (&[3], "a sample as well")] {
        assert!(refused(rows).expect_err("it is wrong").contains(words));
    }
}

#[test]
fn state_offsets_go_from_zero_to_the_end() {
    let state = |offsets: &[u32], bytes: &[u8]| {
        states(wit::StatesResult { offsets: pack::u32s(offsets), bytes: bytes.to_vec() }, 2)
    };
    assert!(state(&[0, 1, 3], b"abc").is_ok());
    for wrong in [&[0, 4, 3][..], &[0, 3], &[1, 1, 3], &[0, 1, 2], &[]] {
        assert!(state(wrong, b"abc").is_err(), "{wrong:?}");
    }
}

#[test]
fn dictionaries_are_whole_distinct_texts_of_text_columns() {
    let dictionary = |offsets: &[u32], bytes: &[u8], ty| {
        let packed = PackedDictionary { offsets: pack::u32s(offsets), bytes: bytes.to_vec() };
        check_dictionary(&packed, ty)
    };
    let text = ValueType::Text;
    assert!(dictionary(&[0, 2, 3, 3], "äb".as_bytes(), text).is_ok());
    assert!(dictionary(&[0, 1, 2], "ä".as_bytes(), text).expect_err("cut").contains("in two"));
    assert!(dictionary(&[0, 1], &[0xff], text).expect_err("no text").contains("UTF-8"));
    assert!(dictionary(&[0, 1, 2], b"aa", text).expect_err("not distinct").contains("twice"));
    assert!(dictionary(&[0, 1], b"a", ValueType::Int).expect_err("no text").contains("not empty"));
    assert!(dictionary(&[], b"a", text).is_err(), "texts without offsets");
}

#[test]
fn a_text_must_be_in_the_dictionary() {
    let text = Output { value_type: ValueType::Text, nullable: true, ..shape().outputs.remove(0) };
    let shape = Shape { outputs: vec![text], ..shape() };
    let given = |values: &[i64], validity, offsets: &[u32], bytes: &[u8]| {
        let column = wit::ColumnResult { validity, values: pack::i64s(values), offsets: vec![] };
        let dictionary = wit::DictionaryResult { offsets: pack::u32s(offsets), bytes: bytes.to_vec() };
        let given = wit::Outputs { columns: vec![column], dictionaries: vec![dictionary] };
        outputs(given, values.len(), &shape)
    };
    assert!(given(&[1, 0], vec![], &[0, 1, 2], b"ab").is_ok());
    assert!(given(&[0, 0], vec![0], &[], b"").is_ok(), "nulls need no dictionary");
    assert!(given(&[0, 0], vec![1], &[], b"").is_err());
    assert!(given(&[2, 0], vec![], &[0, 1, 2], b"ab").is_err());
    assert!(given(&[-1, 0], vec![], &[0, 1, 2], b"ab").is_err());
}

#[test]
fn lists_have_offsets_of_their_own() {
    let list = Output { is_list: true, nullable: true, ..shape().outputs.remove(0) };
    let shape = Shape { outputs: vec![list], ..shape() };
    let given = |values: &[i64], validity, offsets: &[u32]| {
        let column = wit::ColumnResult { validity, values: pack::i64s(values), offsets: pack::u32s(offsets) };
        let dictionary = wit::DictionaryResult { offsets: vec![], bytes: vec![] };
        outputs(wit::Outputs { columns: vec![column], dictionaries: vec![dictionary] }, 2, &shape)
    };
    assert!(given(&[7, 8, 9], vec![], &[0, 1, 3]).is_ok());
    assert!(given(&[], vec![0], &[0, 0, 0]).is_ok());
    assert!(given(&[7], vec![0b10], &[0, 1, 1]).is_err(), "a null list with an element");
    assert!(given(&[7, 8, 9], vec![], &[0, 1, 2]).is_err(), "an element of no row");
    assert!(given(&[7, 8, 9], vec![], &[]).is_err());
}
