//! Changes that come when their time is long past, or far ahead: an old row is mended by hand, a
//! connector hung, a clock was wrong. Each is right in itself.

use crate::dice::Dice;
use crate::life::RowChange;
use crate::records::{Record, Records};
use crate::stranger;

/// Ids from here on are of such rows, so that they meet no row of the life and no bad record.
const FIRST_ID: i64 = 3_000_000_000;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;

/// How far back the samples lie, in milliseconds. With the corrections of examples/service: within the
/// disorder that the sources allow; corrected in every window; too late for 1m; for 15m; for 1h; for day.
const AGES: [i64; 6] = [3 * SECOND, HOUR, 4 * HOUR, 20 * HOUR, 72 * HOUR, 300 * HOUR];

/// One in so many lies in the year 2099 instead.
const AHEAD_EVERY: u64 = 21;
const AHEAD: i64 = 4_086_000_000_000;

/// The `number`-th such change, on the topics of [`stranger::TABLES`] in turn; committed at `at`.
pub fn record(records: &mut Records, dice: &mut Dice, number: u64, at: i64) -> Record {
    let tables = stranger::TABLES.len() as u64;
    let table = stranger::TABLES[(number % tables) as usize];
    let age = AGES[(number / tables % AGES.len() as u64) as usize];
    let time = match number % AHEAD_EVERY {
        n if n + 1 == AHEAD_EVERY => AHEAD + number as i64 * SECOND,
        _ => at - age - dice.between(0, SECOND),
    };
    let id = FIRST_ID + number as i64;
    let (mut before, mut after) = stranger::rows(records.world(), dice, id, time, table);
    let form = number / (tables * AGES.len() as u64);
    // Half of the old rows were changed just now; the other half say that they are old.
    if form & 1 == 1 && time < at {
        before.set_updated_at(at);
        after.set_updated_at(at);
    }
    let before = (form & 2 == 2).then_some(before);
    records.render_alone(&RowChange { at, before, after: Some(after), correction: false })
}
