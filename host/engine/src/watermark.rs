//! Watermarks: how far a source's event time is known to have come.

use std::collections::VecDeque;
use weir_types::Micros;

/// Before any event time is known.
pub const BEGINNING: Micros = Micros::MIN;

/// How far ahead of the clock a time may be before it is taken for an error.
pub const FUTURE: Micros = 5 * weir_types::MINUTE;

/// One partition's part in a source's watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Greatest event time of the source's changes in it (snapshot reads and times in the future apart).
    pub greatest: Option<Micros>,
    /// The clock when it was last found at its end, if no record has come since.
    pub at_end: Option<Micros>,
    /// The clock when the source's last record came, or when the partition was first seen.
    pub last_record: Micros,
}

/// What a source's watermark is made from.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub out_of_orderness: Micros,
    pub idle_after: Micros,
}

/// A source's watermarks. They never go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Watermarks {
    /// Closes windows; follows the clock when all partitions are idle.
    pub closing: Micros,
    /// Ends the time of correction; moved by records alone.
    pub records: Micros,
}

impl Default for Watermarks {
    fn default() -> Self {
        Watermarks { closing: BEGINNING, records: BEGINNING }
    }
}

impl Partition {
    /// Nothing is known of it yet: no watermark moves before it is.
    pub const UNKNOWN: Partition = Partition { greatest: None, at_end: None, last_record: Micros::MIN };

    /// Idle: caught up, and nothing came for the time set. Never because the host is behind.
    pub fn is_idle(&self, now: Micros, bounds: Bounds) -> bool {
        self.at_end.is_some() && now.saturating_sub(self.last_record) >= bounds.idle_after
    }

    /// How far it lets the watermark of records come, before the bound: while it is read, as far as
    /// its own changes. While it is idle it says nothing of the time since it was last found at its end: as
    /// far as the source had come `idle_after` before that. So what the others bring first of a backlog
    /// does not count before it is known that this one has none, nor while it cannot be asked.
    fn records(&self, now: Micros, bounds: Bounds, reached: &Reached) -> Micros {
        let known = match self.at_end.filter(|_| self.is_idle(now, bounds)) {
            Some(at_end) => reached.by(at_end.saturating_sub(bounds.idle_after)),
            None => self.greatest,
        };
        known.unwrap_or(BEGINNING)
    }
}

/// One partition's part in the watermarks of all sources that read it. Each goes by its own changes: those of another
/// table on the same topic say nothing of its times, be they earlier or later.
#[derive(Clone, Debug)]
pub struct Times {
    /// The clock when it was last found at its end, if no record has come since.
    pub at_end: Option<Micros>,
    by_source: Vec<OfSource>,
}

/// What a partition has brought of one source.
#[derive(Clone, Copy, Debug)]
struct OfSource {
    source: usize,
    greatest: Option<Micros>,
    last_record: Micros,
}

impl Times {
    /// `greatest`: of any of them, as far as it is known; `now`: when the partition is first seen.
    pub fn new(sources: impl Iterator<Item = usize>, greatest: Option<Micros>, now: Micros) -> Times {
        let by_source = sources.map(|source| OfSource { source, greatest, last_record: now });
        Times { at_end: None, by_source: by_source.collect() }
    }

    /// Its part in the watermark of one of its sources.
    pub fn of(&self, source: usize) -> Partition {
        let of_source = self.by_source.iter().find(|of| of.source == source);
        of_source.map_or(Partition::UNKNOWN, |of| Partition {
            greatest: of.greatest,
            at_end: self.at_end,
            last_record: of.last_record,
        })
    }

    /// A record of a source came; None: one of which that cannot be told.
    pub fn came(&mut self, source: Option<usize>, now: Micros) {
        let ours = self.by_source.iter_mut().filter(|of| source.is_none_or(|source| of.source == source));
        ours.for_each(|of| of.last_record = of.last_record.max(now));
    }

    /// A source has come to this event time.
    #[inline]
    pub fn reached(&mut self, source: usize, time: Micros) {
        if let Some(of) = self.by_source.iter_mut().find(|of| of.source == source) {
            of.greatest = of.greatest.max(Some(time));
        }
    }

    /// The greatest event time of any source.
    pub fn greatest(&self) -> Option<Micros> {
        self.by_source.iter().filter_map(|of| of.greatest).max()
    }

    /// How far all of them have come: what each may begin with after a restart. Watermarks, which are stored by source,
    /// do not go back for it.
    pub fn least(&self) -> Option<Micros> {
        // None is less than any.
        self.by_source.iter().map(|of| of.greatest).min().flatten()
    }
}

/// Clocks that are remembered of a source at the most.
const REMEMBERED: usize = 1024;

/// How far the event times of a source had come, by clock.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// Clock and greatest event time of any partition, both ascending.
    steps: VecDeque<(Micros, Micros)>,
}

impl Reached {
    /// At this clock the greatest event time was so much.
    pub fn note(&mut self, clock: Micros, greatest: Micros) {
        if self.steps.back().is_some_and(|(_, last)| *last >= greatest) {
            return;
        }
        self.steps.push_back((clock, greatest));
        if self.steps.len() > REMEMBERED {
            // Every other one is forgotten; what is asked of it gets the one before, which is earlier.
            let mut nth = 0;
            self.steps.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
    }

    /// Forgets what no partition can ask for any more: all but the newest by this clock.
    pub fn forget(&mut self, clock: Micros) {
        while self.steps.get(1).is_some_and(|(at, _)| *at <= clock) {
            self.steps.pop_front();
        }
    }

    /// The greatest event time that was known by a clock.
    pub fn by(&self, clock: Micros) -> Option<Micros> {
        let newer = self.steps.partition_point(|(at, _)| *at <= clock);
        newer.checked_sub(1).map(|at| self.steps[at].1)
    }
}

impl Watermarks {
    /// The watermarks after an epoch; both less the bound, and never back.
    ///
    /// | partitions | closing | records |
    /// |---|---|---|
    /// | none | as before | as before |
    /// | some not idle | least of theirs | least of all, idle ones as in [`Partition::records`] |
    /// | all idle | the clock | the same |
    pub fn advance(
        self,
        partitions: &[Partition],
        now: Micros,
        bounds: Bounds,
        reached: &Reached,
    ) -> Watermarks {
        let Some(records) = partitions.iter().map(|p| p.records(now, bounds, reached)).min() else {
            return self;
        };
        let busy = partitions.iter().filter(|p| !p.is_idle(now, bounds));
        let closing = busy.map(|p| p.greatest.unwrap_or(BEGINNING)).min().unwrap_or(now);
        let mark = |time: Micros| time.saturating_sub(bounds.out_of_orderness);
        let closing = self.closing.max(mark(closing));
        // A window is closed before it is forgotten, also where event times are ahead of the clock.
        Watermarks { closing, records: self.records.max(mark(records).min(closing)) }
    }

    /// The later of both.
    pub fn greatest(self, other: Watermarks) -> Watermarks {
        Watermarks { closing: self.closing.max(other.closing), records: self.records.max(other.records) }
    }

    /// The watermarks of a metric over several sources: the least of theirs.
    pub fn least(all: impl Iterator<Item = Watermarks>) -> Watermarks {
        all.reduce(|a, b| Watermarks { closing: a.closing.min(b.closing), records: a.records.min(b.records) })
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::{HOUR, MINUTE, SECOND};

    const BOUNDS: Bounds = Bounds { out_of_orderness: 5 * SECOND, idle_after: 30 * SECOND };

    fn partition(greatest: Micros, at_end: Option<Micros>, last_record: Micros) -> Partition {
        Partition { greatest: Some(greatest), at_end, last_record }
    }

    fn reached(steps: &[(Micros, Micros)]) -> Reached {
        let mut reached = Reached::default();
        steps.iter().for_each(|(clock, greatest)| reached.note(*clock, *greatest));
        reached
    }

    fn advance(before: Watermarks, partitions: &[Partition], now: Micros) -> Watermarks {
        before.advance(partitions, now, BOUNDS, &Reached::default())
    }

    #[test]
    fn a_source_is_as_far_as_its_slowest_partition() {
        let now = 10 * SECOND;
        let partitions = [partition(100 * SECOND, Some(now), 0), partition(60 * SECOND, Some(now), 0)];
        let marks = advance(Watermarks::default(), &partitions, now);
        assert_eq!(marks, Watermarks { closing: 55 * SECOND, records: 55 * SECOND });
    }

    #[test]
    fn a_partition_that_is_behind_holds_the_watermark_however_quiet_it_is() {
        let partitions = [partition(100 * SECOND, Some(HOUR), 0), partition(60 * SECOND, None, 0)];
        assert_eq!(advance(Watermarks::default(), &partitions, HOUR).closing, 55 * SECOND);
    }

    #[test]
    fn an_idle_partition_holds_back_records_until_it_is_found_at_its_end_again() {
        let busy = partition(HOUR, Some(HOUR), HOUR);
        // At 59:00 the source had come to 100 s; the rest was read in the last minute.
        let reached = reached(&[(50 * MINUTE, 90 * SECOND), (59 * MINUTE, 100 * SECOND), (HOUR, HOUR)]);
        let records = |at_end: Micros| {
            let idle = partition(60 * SECOND, Some(at_end), 0);
            let marks = Watermarks::default().advance(&[busy, idle], HOUR, BOUNDS, &reached);
            assert_eq!(marks.closing, HOUR - 5 * SECOND);
            marks.records
        };
        assert_eq!(records(40 * MINUTE), BEGINNING);
        assert_eq!(records(58 * MINUTE), 85 * SECOND);
        assert_eq!(records(59 * MINUTE + 29 * SECOND), 85 * SECOND);
        assert_eq!(records(59 * MINUTE + 30 * SECOND), 95 * SECOND);
        assert_eq!(records(HOUR), 95 * SECOND);
    }

    #[test]
    fn a_partition_that_stays_empty_lets_records_follow_while_it_is_asked() {
        let (mut marks, mut reached) = (Watermarks::default(), Reached::default());
        let empty = |clock| Partition { greatest: None, at_end: Some(clock), last_record: 0 };
        for minute in 1..=10 {
            let clock = minute * MINUTE;
            let partitions = [partition(clock, Some(clock), clock), empty(clock)];
            marks = marks.advance(&partitions, clock, BOUNDS, &reached);
            reached.note(clock, clock);
        }
        assert_eq!(marks, Watermarks { closing: 595 * SECOND, records: 535 * SECOND });
    }

    #[test]
    fn with_all_idle_windows_close_by_the_clock_but_corrections_end_by_records() {
        let partitions = [partition(100 * SECOND, Some(HOUR), 0)];
        let before = Watermarks { closing: 90 * SECOND, records: 90 * SECOND };
        let marks = before.advance(&partitions, HOUR, BOUNDS, &reached(&[(0, 100 * SECOND)]));
        assert_eq!(marks, Watermarks { closing: HOUR - 5 * SECOND, records: 95 * SECOND });
    }

    #[test]
    fn windows_are_forgotten_by_no_watermark_that_has_not_closed_them() {
        // Its event times are ahead of the clock, which the other's follow.
        let partitions = [partition(HOUR + 4 * MINUTE, Some(HOUR), 0), partition(59 * MINUTE, Some(HOUR), 0)];
        let marks =
            Watermarks::default().advance(&partitions, HOUR, BOUNDS, &reached(&[(0, HOUR + 4 * MINUTE)]));
        assert_eq!(marks, Watermarks { closing: HOUR - 5 * SECOND, records: HOUR - 5 * SECOND });
    }

    #[test]
    fn they_never_go_back_and_an_unread_partition_keeps_all_windows_open() {
        let before = Watermarks { closing: HOUR, records: HOUR };
        assert_eq!(advance(before, &[partition(SECOND, Some(0), 0)], 0), before);
        let unread = Partition { greatest: None, at_end: None, last_record: 0 };
        let marks = advance(Watermarks::default(), &[unread, partition(HOUR, Some(0), 0)], 0);
        assert_eq!(marks, Watermarks::default());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_errs_to_earlier_times() {
        let mut reached = Reached::default();
        (0..5_000).for_each(|n| reached.note(n, 10 * n));
        assert!(reached.steps.len() <= REMEMBERED);
        for clock in [0, 17, 2_500, 4_999] {
            assert!(reached.by(clock).is_none_or(|greatest| greatest <= 10 * clock));
        }
        assert_eq!(reached.by(4_999), Some(49_990));
        reached.forget(4_999);
        assert_eq!((reached.steps.len(), reached.by(6_000)), (1, Some(49_990)));
    }
}
