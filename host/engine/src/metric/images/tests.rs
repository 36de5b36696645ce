use super::*;

const VALUE: u8 = cell::VALUE;

fn input(fields: &[(usize, ValueType)], needed: &[usize]) -> InputPlan {
    InputPlan {
        source: 0,
        fields: fields.iter().map(|f| f.0).collect(),
        types: fields.iter().map(|f| f.1).collect(),
        watches: vec![],
        dimensions: vec![],
        needed: needed.to_vec(),
    }
}

/// Three rows with the columns 4, a number, and 2, a text; the second one's text does not fit.
fn with_rows(check: impl FnOnce(&mut ImageBatch<'_>, &Texts)) {
    let mut texts = Texts::default();
    let (none, open) = (i64::from(texts.id("none")), i64::from(texts.id("open")));
    let (all, some) = ([VALUE, VALUE], [VALUE, cell::UNFIT]);
    let values = [[10, open], [20, none], [30, open]];
    let images: Vec<RowImage<'_>> = [(&values[0], &all), (&values[1], &some), (&values[2], &all)]
        .map(|(values, states)| RowImage { values, states })
        .to_vec();
    check(&mut ImageBatch::new(0, &[4, 2], &images, (&[1; 3], &[])), &texts);
}

#[test]
fn a_row_that_does_not_fit_one_metric_is_shown_to_the_others() {
    with_rows(|batch, texts| {
        let number = input(&[(4, ValueType::Int)], &[4]);
        let both = input(&[(4, ValueType::Int), (2, ValueType::Text)], &[2, 4]);
        assert_eq!(batch.shown(&number), None);
        assert_eq!(batch.shown(&both), Some(vec![0, 2]));
        let whole = batch.pack(&number, None, texts);
        let part = batch.pack(&both, Some(&[0, 2]), texts);
        assert_eq!((whole.rows, part.rows), (3, 2));
        assert_eq!(whole.columns[0].values, pack::i64s(&[10, 20, 30]));
        assert_eq!(part.columns[0].values, pack::i64s(&[10, 30]));
        assert_eq!(part.columns[1].values, pack::i64s(&[0, 0]));
        assert_eq!(part.dictionaries[1].bytes, b"open");
        let again = batch.pack(&number, None, texts);
        assert!(Arc::ptr_eq(&whole.columns[0], &again.columns[0]), "a part does not stand for the whole");
    });
}

#[test]
fn a_metric_that_needs_a_column_that_rows_do_not_have_is_shown_none() {
    with_rows(|batch, _| {
        for unknown in [0, 3, 9] {
            assert_eq!(batch.shown(&input(&[(unknown, ValueType::Int)], &[unknown])), Some(vec![]));
        }
    });
}

/// Samples of images with these values; two rows before the batch, and three after it of which the last is new.
fn cancelled(of: &[u32], slots: &[u32], values: &[i64], weights: &[i64]) -> Vec<bool> {
    let image = RowImage { values: &[], states: &[] };
    let images = [image; 5];
    let batch = ImageBatch::new(0, &[], &images, (&[-1, -1, 1, 1, 1], &[1, 0, NO_IMAGE]));
    let column = PackedColumn { values: pack::i64s(values), ..PackedColumn::default() };
    let samples = Samples { weights: pack::i64s(weights), values: vec![column], ..Samples::default() };
    batch.cancelled(of, slots, &samples)
}

#[test]
fn a_sample_that_a_row_gave_before_and_gives_again_needs_no_guest() {
    let of = [0, 1, 2, 3, 4];
    let same = cancelled(&of, &[5, 6, 6, 5, 5], &[7, 8, 8, 7, 7], &[1; 5]);
    assert_eq!(same, [true, true, true, true, false]);
    let other_value = cancelled(&of, &[5, 6, 6, 5, 5], &[7, 8, 9, 7, 7], &[1; 5]);
    assert_eq!(other_value, [true, false, false, true, false]);
    let other_slot = cancelled(&of, &[5, 6, 6, 4, 5], &[7, 8, 8, 7, 7], &[1; 5]);
    assert_eq!(other_slot, [false, true, true, false, false]);
    let other_weight = cancelled(&of, &[5, 6, 6, 5, 5], &[7, 8, 8, 7, 7], &[1, 1, 1, 2, 1]);
    assert_eq!(other_weight, [false, true, true, false, false]);
}

#[test]
fn a_row_with_several_samples_is_left_to_the_guest() {
    let several = cancelled(&[0, 0, 3, 4], &[5, 5, 5, 5], &[7, 7, 7, 7], &[1; 4]);
    assert_eq!(several, [false; 4]);
    let several_after = cancelled(&[0, 3, 3, 4], &[5, 5, 5, 5], &[7, 7, 7, 7], &[1; 4]);
    assert_eq!(several_after, [false; 4]);
}
