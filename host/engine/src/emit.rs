//! When a row goes to ClickHouse. Pure decisions.

use crate::metric::Boundary;
use crate::plan::KindPlan;
use weir_types::Micros;

/// What becomes of a slot that was evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A row is emitted now.
    Emit,
    /// It differs from what was emitted, but its tick has not come.
    Wait,
    /// What was emitted still holds.
    Nothing,
}

/// | state | emitted before | decision |
/// |---|---|---|
/// | final | the same outputs, final | nothing |
/// | final | anything else | emit, at once |
/// | provisional | the same outputs | nothing |
/// | provisional | other outputs, or nothing | emit on a tick, else wait |
pub fn decide(emitted: Option<(u64, bool)>, hash: u64, is_final: bool, tick: bool) -> Decision {
    match emitted {
        Some((before, was_final)) if before == hash && was_final >= is_final => Decision::Nothing,
        _ if is_final || tick => Decision::Emit,
        _ => Decision::Wait,
    }
}

/// Whether a multiple of `every` lies in (before, now]; always at the first epoch, and if `every` is 0.
pub fn ticks(every: Micros, before: Option<Micros>, now: Micros) -> bool {
    match before {
        _ if every == 0 => true,
        Some(before) => before.div_euclid(every) != now.div_euclid(every),
        None => true,
    }
}

/// Whether provisional rows of a kind are emitted at this boundary.
pub fn kind_ticks(kind: &KindPlan, boundary: &Boundary) -> bool {
    boundary.flush || kind.emit_every.is_some_and(|every| ticks(every, boundary.clock_before, boundary.clock))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::SECOND;

    #[test]
    fn a_final_row_is_emitted_once_and_again_only_when_corrected() {
        assert_eq!(decide(Some((1, false)), 1, true, false), Decision::Emit);
        assert_eq!(decide(Some((1, true)), 1, true, true), Decision::Nothing);
        assert_eq!(decide(Some((1, true)), 2, true, false), Decision::Emit);
    }

    #[test]
    fn a_provisional_row_waits_for_its_tick_and_is_not_repeated() {
        assert_eq!(decide(None, 1, false, false), Decision::Wait);
        assert_eq!(decide(None, 1, false, true), Decision::Emit);
        assert_eq!(decide(Some((1, false)), 1, false, true), Decision::Nothing);
        assert_eq!(decide(Some((1, false)), 2, false, true), Decision::Emit);
    }

    #[test]
    fn ticks_are_multiples_on_the_clock_and_none_is_missed() {
        assert!(!ticks(5 * SECOND, Some(6 * SECOND), 9 * SECOND));
        assert!(ticks(5 * SECOND, Some(6 * SECOND), 10 * SECOND));
        assert!(ticks(5 * SECOND, Some(4 * SECOND), 21 * SECOND));
        assert!(ticks(0, Some(1), 1));
        assert!(ticks(60 * SECOND, None, 1));
    }
}
