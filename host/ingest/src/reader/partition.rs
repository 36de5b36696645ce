//! How one partition is read: where it stands, and what becomes of each record of it.

use std::time::Duration;
use weir_types::ports::Seek;
use weir_types::record::TopicPartition;

/// One partition.
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    /// Records before this offset were consumed before.
    pub(super) next: i64,
    /// Behind the last message that was polled; None before the first.
    pub(super) position: Option<i64>,
    /// The offset at which it ended, while no record has come since.
    pub(super) end: Option<i64>,
    /// Whether the consumer knows of it: one that stopped before it began is not assigned.
    pub(super) assigned: bool,
    /// Nothing of it is given until the engine says where to go on.
    pub(super) held: bool,
    /// Where to go on, until that is done.
    pub(super) seek: Option<Seek>,
    /// Offset and fingerprint of the last record given to the engine or consumed before.
    pub(super) last: Option<(i64, u64)>,
    /// The same, until the record is read again and compared.
    pub(super) verify: Option<(i64, u64)>,
    /// Its topic was away: it may be another one now.
    pub(super) suspect: bool,
    /// It was moved: what is left of it in the messages being sorted was fetched before.
    pub(super) outdated: bool,
    /// Since when the broker has more than the end that was reached, and gives nothing of it.
    pub(super) unread_since: Option<Duration>,
    /// Place of the newest record in the messages being sorted.
    pub(super) newest: Option<usize>,
}

impl Partition {
    pub(super) fn new(name: TopicPartition, next: i64, verify: Option<(i64, u64)>) -> Partition {
        Partition {
            name,
            next,
            position: None,
            end: None,
            assigned: false,
            held: false,
            seek: None,
            last: verify,
            verify,
            suspect: false,
            outdated: false,
            unread_since: None,
            newest: None,
        }
    }

    /// Whether nothing that comes of it now counts: what comes once it is moved does.
    pub(super) fn passes_over(&self) -> bool {
        self.held || self.outdated || self.seek.is_some()
    }

    /// Decides about the record at an offset; compares the last consumed one.
    #[inline]
    pub(super) fn judge(&mut self, offset: i64, fingerprint: impl FnOnce() -> u64) -> Fate {
        if self.passes_over() {
            return Fate::PassedOver;
        }
        self.position = Some(offset + 1);
        match self.verify {
            Some((last, _)) if offset < last => return Fate::Known,
            Some((last, expected)) if offset == last => {
                self.verify = None;
                return if fingerprint() == expected { Fate::Known } else { Fate::MadeAnew };
            }
            Some((last, _)) => {
                self.verify = None;
                warn_not_compared(&self.name, last);
            }
            None => {}
        }
        if self.suspect {
            return Fate::CompareAgain;
        }
        if offset < self.next {
            return Fate::Known;
        }
        self.next = offset + 1;
        (self.end, self.unread_since) = (None, None);
        Fate::New
    }

    /// Its end was reached; false if that does not count. An end at or before the record to compare says
    /// nothing of that record, which may still come.
    pub(super) fn ends_at(&mut self, end: i64) -> bool {
        if self.passes_over() {
            return false;
        }
        (self.position, self.end, self.unread_since) = (Some(end), Some(end), None);
        if let Some((last, _)) = self.verify.take_if(|(last, _)| *last < end) {
            warn_not_compared(&self.name, last);
        }
        true
    }

    /// Reading goes on at `begin`, with the record that was consumed last, and nothing that was fetched
    /// before counts.
    pub(super) fn goes_back_to(&mut self, begin: i64) {
        (self.verify, self.position) = (self.last, Some(begin));
        (self.suspect, self.outdated, self.end) = (false, true, None);
    }

    /// The broker says that the partition ends at `end`: for how long it has had more than was given.
    pub(super) fn unread_for(&mut self, end: i64, now: Duration) -> Duration {
        let has_more = !self.passes_over() && self.end.is_some_and(|reached| reached < end);
        self.unread_since = has_more.then(|| self.unread_since.unwrap_or(now));
        self.unread_since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes to the engine.
    New,
    /// It was consumed before.
    Known,
    /// It says nothing: the partition is held, or the record was fetched before a move.
    PassedOver,
    /// It is not the record that was consumed before.
    MadeAnew,
    /// The topic was away: the last record must be read again before anything after it.
    CompareAgain,
}

pub(super) fn warn_not_compared(name: &TopicPartition, offset: i64) {
    tracing::warn!(
        topic = name.topic,
        partition = name.partition,
        offset,
        "the last consumed record is gone (compacted?) and cannot be compared"
    );
}
