//! Upstream repeats: a connector that was killed sends its last changes again, in order, with the same
//! coordinates. Each binlog change counts once in its Kafka partition.

use crate::debezium::Origin;

/// The greatest position that was seen in one partition.
#[derive(Clone, Debug, Default)]
pub struct Mark(Option<Origin>);

impl Mark {
    /// Whether this change was seen before; else it moves the mark. A position that goes back while
    /// the source's time has grown is another log, not a repeat. Snapshot reads have no position and never
    /// repeat.
    pub fn is_repeat(&mut self, origin: Option<Origin>) -> bool {
        let Some(origin) = origin else { return false };
        if let Some(mark) = self.0
            && mark.server == origin.server
            && origin.position <= mark.position
            && origin.source_ms <= mark.source_ms
        {
            return true;
        }
        // A statement that ran long carries an old time: the greatest one is what a repeat cannot exceed.
        let newest = match self.0 {
            Some(mark) if mark.server == origin.server => mark.source_ms.max(origin.source_ms),
            _ => origin.source_ms,
        };
        self.0 = Some(Origin { source_ms: newest, ..origin });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(server: u64, pos: u64, row: u64, rank: u8, source_ms: i64) -> Option<Origin> {
        Some(Origin { server, position: (1, pos, row, rank), source_ms })
    }

    #[test]
    fn what_comes_again_counts_once_and_the_halves_of_a_changed_key_are_two() {
        let mut mark = Mark::default();
        assert!(!mark.is_repeat(at(1, 100, 0, 0, 1_000)));
        assert!(!mark.is_repeat(at(1, 100, 0, 1, 1_000)));
        assert!(!mark.is_repeat(at(1, 100, 1, 1, 1_000)));
        assert!(mark.is_repeat(at(1, 100, 0, 0, 1_000)));
        assert!(mark.is_repeat(at(1, 100, 1, 1, 1_000)));
        assert!(!mark.is_repeat(at(1, 200, 0, 1, 1_000)));
        assert!(!mark.is_repeat(None), "a snapshot read");
    }

    #[test]
    fn a_repeat_is_known_although_the_newest_change_has_an_older_time() {
        let mut mark = Mark::default();
        assert!(!mark.is_repeat(at(1, 100, 0, 1, 9_000)));
        assert!(!mark.is_repeat(at(1, 200, 0, 1, 4_000)));
        assert!(mark.is_repeat(at(1, 100, 0, 1, 9_000)));
    }

    #[test]
    fn another_log_begins_anew() {
        let mut mark = Mark::default();
        assert!(!mark.is_repeat(at(1, 100, 0, 1, 1_000)));
        assert!(!mark.is_repeat(at(1, 4, 0, 1, 2_000)));
        assert!(mark.is_repeat(at(1, 4, 0, 1, 2_000)));
        assert!(!mark.is_repeat(at(2, 4, 0, 1, 2_000)));
    }
}
