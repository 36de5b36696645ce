//! The states of an agent.

use weir_metric::prelude::*;

/// In the order in which the catalogue lists them. In samples a state is its place in here.
pub const STATES: [&str; 6] = ["offline", "available", "on_contact", "wrapup", "break", "error"];

/// The place of offline, in which an agent is not there.
pub const OFFLINE: i64 = 0;

/// The states of an agent who is there.
pub const PRESENT: [&str; 5] = ["available", "on_contact", "wrapup", "break", "error"];

/// The place of a state. A text that is none is not counted as something else.
pub fn place(state: Text) -> Result<i64, Refused> {
    let place = STATES.iter().position(|name| state == *name);
    place
        .map(|place| place as i64)
        .ok_or_else(|| Refused(format!("{:?} is no state of an agent", state.as_str())))
}
