use super::*;

/// Stands, in its first life.
fn stands(version: i64) -> Option<Known> {
    Some(Known { version, gone: false, unsure: false })
}

/// Stands, after an end that may come again.
fn again(version: i64) -> Option<Known> {
    Some(Known { version, gone: false, unsure: true })
}

fn gone(version: i64) -> Option<Known> {
    Some(Known { version, gone: true, unsure: false })
}

fn gone_for_now(version: i64) -> Option<Known> {
    Some(Known { version, gone: true, unsure: true })
}

fn set(known: Option<Known>, version: i64) -> Option<Known> {
    after(known, Told { version: Some(version), ends: false })
}

fn end(known: Option<Known>, version: i64) -> Option<Known> {
    after(known, Told { version: Some(version), ends: true })
}

fn set_without(known: Option<Known>) -> Option<Known> {
    after(known, Told { version: None, ends: false })
}

fn end_without(known: Option<Known>) -> Option<Known> {
    after(known, Told { version: None, ends: true })
}

#[test]
fn only_a_greater_version_is_new_unless_the_row_ends() {
    assert_eq!(set(None, 5), stands(5));
    assert_eq!(set(stands(5), 6), stands(6));
    assert_eq!(set(stands(5), 5), None);
    assert_eq!(end(stands(5), 4), None);
    assert_eq!(end(stands(5), 5), gone(5), "its last image has its version");
    assert_eq!(end(gone(5), 5), None);
    assert_eq!(set(gone(5), 5), None, "a repeat does not bring it back");
    assert_eq!(set(gone(5), 6), again(6));
}

#[test]
fn an_end_without_a_version_ends_what_stands() {
    assert_eq!(end_without(stands(5)), gone(5));
    assert_eq!(end_without(gone(5)), None);
    assert_eq!(end_without(None), gone(i64::MIN));
    assert_eq!(set_without(stands(5)), stands(5), "a row without a version counts");
}

#[test]
fn what_an_end_without_a_version_ended_once_more_comes_back_with_the_version_that_it_had() {
    let born_again = set(end_without(stands(1)), 5);
    assert_eq!(born_again, again(5));
    assert_eq!(set(born_again, 1), None);
    let ended = end_without(born_again);
    assert_eq!(ended, gone_for_now(5));
    assert_eq!(set(ended, 1), None, "an older one does not");
    assert_eq!(end_without(ended), None);
    assert_eq!(set(ended, 5), again(5));
    assert_eq!(end(again(5), 5), gone(5), "an end with a version is for good");
    assert_eq!(end(gone_for_now(5), 5), None);
}

#[test]
fn the_end_of_the_first_life_of_a_key_is_no_repeat_so_its_row_does_not_come_back() {
    let ended = end_without(set(set(None, 1), 2));
    assert_eq!(ended, gone(2));
    assert_eq!([set(ended, 1), set(ended, 2), end_without(ended)], [None; 3], "sent again");
}

#[test]
fn of_a_version_that_was_overtaken_only_what_came_later_says_whether_the_row_stands() {
    assert_eq!(Some(after_overtaken(gone(5), 6, false)), gone(6));
    assert_eq!(Some(after_overtaken(stands(7), 6, true)), stands(7));
    assert_eq!(Some(after_overtaken(stands(5), 5, true)), gone(5));
    assert_eq!(Some(after_overtaken(None, 6, false)), stands(6));
}

#[test]
fn what_is_known_of_a_row_is_stored_and_read_and_an_older_state_has_the_same_bytes() {
    for known in [stands(5), again(5), gone(5), gone_for_now(5)].into_iter().flatten() {
        let stored = StoredVersion { key: Vec::new(), version: 5, state: known.state() };
        assert_eq!(Known::of(&stored), known);
    }
    assert_eq!((stands(1).map(Known::state), gone(1).map(Known::state)), (Some(0), Some(1)));
}
