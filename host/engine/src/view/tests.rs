use super::*;
use proptest::prelude::*;
use weir_types::batch::Cells;

fn push(cells: &mut Cells, (value, state): (i64, u8)) {
    match state {
        cell::VALUE => cells.push(value),
        cell::NULL => cells.push_null(),
        _ => cells.push_unfit(),
    }
}

/// One row: what happened, and each column's cell before and after.
type Row = (Op, bool, Vec<((i64, u8), (i64, u8))>);

fn batch(columns: usize, rows: &[Row]) -> ChangeBatch {
    let mut batch = ChangeBatch::new(columns);
    for (at, (op, before, cells)) in rows.iter().enumerate() {
        batch.ops.push(*op);
        batch.before_present.push(u8::from(*before));
        batch.after_present.push(u8::from(*op != Op::Delete));
        batch.event_times.push(at as i64);
        for (column, (before, after)) in cells.iter().enumerate() {
            push(&mut batch.before[column], *before);
            push(&mut batch.after[column], *after);
        }
    }
    batch
}

fn input(watches: &[usize], fields: &[usize], needed: &[usize]) -> InputPlan {
    InputPlan {
        source: 0,
        fields: fields.to_vec(),
        types: vec![ValueType::Int; fields.len()],
        watches: watches.to_vec(),
        dimensions: vec![],
        needed: needed.to_vec(),
    }
}

const VALUE: u8 = cell::VALUE;

fn inserts_with_unfit_second_column() -> ChangeBatch {
    let row =
        |state: u8| (Op::Insert, false, vec![((0, cell::NULL), (7, VALUE)), ((0, cell::NULL), (8, state))]);
    batch(2, &[row(VALUE), row(cell::UNFIT), row(VALUE)])
}

#[test]
fn metrics_that_watch_the_same_column_leave_out_rows_each_for_its_own_needs() {
    let batch = inserts_with_unfit_second_column();
    let mut view = View::new(&batch);
    let (one, both) = (input(&[0], &[0], &[0]), input(&[0], &[0], &[0, 1]));
    let (first, second, again) = (view.select(&one), view.select(&both), view.select(&one));
    assert_eq!(first, again);
    assert_eq!((view.selected(first).0.to_vec(), view.selected(first).1), (vec![0, 1, 2], 0));
    assert_eq!((view.selected(second).0.to_vec(), view.selected(second).1), (vec![0, 2], 1));
    assert_eq!(view.gather(&one, first).rows, 3);
    assert_eq!(view.gather(&both, second).event_times, pack::i64s(&[0, 2]));
}

#[test]
fn a_column_is_packed_once_for_all_metrics_that_see_the_same_rows() {
    let batch = inserts_with_unfit_second_column();
    let mut view = View::new(&batch);
    let (one, other) = (input(&[0], &[0], &[0]), input(&[0], &[1, 0], &[0]));
    let (first, second) = (view.select(&one), view.select(&other));
    assert_eq!(first, second, "neither needs a column that does not fit");
    let (one, other) = (view.gather(&one, first), view.gather(&other, second));
    assert!(Arc::ptr_eq(&one.after[0], &other.after[1]));
    assert_eq!(one.after[0].values, pack::i64s(&[7, 7, 7]));
    assert_eq!(one.before[0].validity, [0]);
}

fn op() -> impl Strategy<Value = Op> {
    prop::sample::select(vec![Op::Insert, Op::Update, Op::Delete, Op::Read, Op::RekeyDelete, Op::RekeyInsert])
}

fn any_cell() -> impl Strategy<Value = (i64, u8)> {
    (0i64..3, prop::sample::select(vec![VALUE, VALUE, VALUE, cell::NULL, cell::UNFIT]))
}

proptest! {
    #[test]
    fn what_is_selected_and_gathered_is_what_a_look_at_every_row_gives(
        rows in prop::collection::vec(
            (op(), any::<bool>(), prop::collection::vec((any_cell(), any_cell()), 3)),
            0..150,
        ),
        metrics in prop::collection::vec(
            (prop::collection::btree_set(0usize..3, 0..3), prop::collection::btree_set(0usize..3, 0..3)),
            1..6,
        ),
    ) {
        let batch = batch(3, &rows);
        let mut view = View::new(&batch);
        for (watches, needed) in metrics {
            let (watches, needed): (Vec<_>, Vec<_>) =
                (watches.into_iter().collect(), needed.into_iter().collect());
            let differs = |row: usize, c: usize| {
                let (before, after) = (&batch.before[c], &batch.after[c]);
                before.values[row] != after.values[row] || before.states[row] != after.states[row]
            };
            let shown = |row: &usize| match batch.ops[*row] {
                Op::Update if batch.before_present[*row] != 0 => watches.iter().any(|c| differs(*row, *c)),
                op => op.is_event(),
            };
            let unfit = |cells: &Cells, row: usize| cells.states[row] == cell::UNFIT;
            let fits =
                |row: &usize| !needed.iter().any(|c| unfit(&batch.before[*c], *row) || unfit(&batch.after[*c], *row));
            let shown: Vec<usize> = (0..batch.len()).filter(shown).collect();
            let fitting: Vec<usize> = shown.iter().copied().filter(fits).collect();
            let input = input(&watches, &needed, &needed);
            let selection = view.select(&input);
            let (selected, excluded) = view.selected(selection);
            prop_assert_eq!(selected.iter().map(|r| *r as usize).collect::<Vec<_>>(), fitting.clone());
            prop_assert_eq!(excluded as usize, shown.len() - fitting.len());
            let changes = view.gather(&input, selection);
            for (at, row) in fitting.iter().enumerate() {
                prop_assert_eq!(pack::bit(&changes.before_present, at), batch.before_present[*row] != 0);
                prop_assert_eq!(pack::i64_at(&changes.event_times, at), *row as i64);
                for (column, field) in changes.after.iter().zip(&needed) {
                    prop_assert_eq!(pack::i64_at(&column.values, at), batch.after[*field].values[*row]);
                    prop_assert_eq!(pack::bit(&column.validity, at), batch.after[*field].states[*row] == VALUE);
                }
            }
        }
    }
}
