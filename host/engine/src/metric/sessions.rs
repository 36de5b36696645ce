//! Sessions: windows that their samples make. Each key of each dimension set has its own, so they are
//! joined from the cells, in every set.
//!
//! A session is a run of samples in which the next begins no more than a gap after the one before has
//! ended (a point ends where it begins; exactly the gap still joins). Its window is [first, last + gap).

use super::windows::Place;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::ops::Range;
use weir_types::Micros;

/// Length of the stretch of time whose sessions are stored together, at least: a session lies in the
/// chunks of the stretch in which it began when it was first seen.
pub const STRETCH: Micros = weir_types::HOUR;

/// First and last time of a run of samples, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    pub first: Micros,
    pub last: Micros,
}

/// What became of a key's sessions when runs joined them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub run: Run,
    /// Indexes of the sessions that are now this one.
    pub sessions: Range<usize>,
    /// Indexes of the runs that it got, at least one.
    pub runs: Range<usize>,
}

/// Joins runs with the sessions of their key. Both ascend by `first`; sessions lie more than a gap
/// apart. Gives the sessions that got something, ascending.
pub fn join(sessions: &[Run], runs: &[Run], gap: Micros) -> Vec<Joined> {
    let mut joined: Vec<Joined> = Vec::new();
    let (mut session, mut run) = (0, 0);
    let mut open: Option<Joined> = None;
    while session < sessions.len() || run < runs.len() {
        let takes_run = run < runs.len() && sessions.get(session).is_none_or(|s| runs[run].first < s.first);
        let next = if takes_run { runs[run] } else { sessions[session] };
        if open.as_ref().is_some_and(|o| next.first.saturating_sub(o.run.last) > gap) {
            joined.extend(open.take());
        }
        let held = open.get_or_insert(Joined { run: next, sessions: session..session, runs: run..run });
        held.run.last = held.run.last.max(next.last);
        match takes_run {
            true => run += 1,
            false => session += 1,
        }
        held.sessions.end = session;
        held.runs.end = run;
    }
    joined.extend(open);
    joined.retain(|j| !j.runs.is_empty());
    joined
}

/// A session, and where its state is.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    pub run: Run,
    /// The group with which it is stored.
    pub group: u32,
    pub place: Place,
}

/// Window kind, dimension set, key in the set's space.
pub type SessionKey = (u16, u16, u32);

/// A session whose start is no longer one, because it grew at its beginning or became part of another;
/// a row of it may stand in ClickHouse.
#[derive(Clone, Copy, Debug)]
pub struct Vanished {
    pub key: SessionKey,
    pub start: Micros,
    pub end: Micros,
    pub epoch_first: u64,
    /// Whether a row of it may stand in ClickHouse, too.
    pub stands: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Sessions {
    /// Ascending, more than a gap apart.
    by_key: FxHashMap<SessionKey, Vec<Session>>,
    /// Sessions that are not closed, by end.
    open: BTreeSet<(Micros, u32)>,
    /// All sessions that are not cold, by the time until which they are kept.
    kept: BTreeSet<(Micros, u32)>,
    pub vanished: Vec<Vanished>,
}

impl Sessions {
    /// A key's sessions, taken out to be joined; they come back by [`Sessions::put_back`].
    pub fn take(&mut self, key: SessionKey) -> Vec<Session> {
        self.by_key.remove(&key).unwrap_or_default()
    }

    pub fn put_back(&mut self, key: SessionKey, sessions: Vec<Session>) {
        if !sessions.is_empty() {
            self.by_key.insert(key, sessions);
        }
    }

    /// A session that was stored.
    pub fn restore(&mut self, key: SessionKey, run: Run, group: u32, place: Place) {
        let sessions = self.by_key.entry(key).or_default();
        let at = sessions.partition_point(|s| s.run.first < run.first);
        sessions.insert(at, Session { run, group, place });
    }

    /// It ends at `end` and is kept until `gone`.
    pub fn watch(&mut self, slot: u32, end: Micros, gone: Micros) {
        self.open.insert((end, slot));
        self.kept.insert((gone, slot));
    }

    pub fn unwatch(&mut self, slot: u32, end: Micros, gone: Micros) {
        self.open.remove(&(end, slot));
        self.kept.remove(&(gone, slot));
    }

    /// Takes a session out that holds nothing any more.
    pub fn remove(&mut self, key: SessionKey, slot: u32, end: Micros, gone: Micros) {
        self.unwatch(slot, end, gone);
        if let Some(sessions) = self.by_key.get_mut(&key) {
            sessions.retain(|s| s.place != Place::Hot(slot));
            if sessions.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    /// Whether it is the newest of its key.
    pub fn is_newest(&self, key: SessionKey, slot: u32) -> bool {
        self.by_key
            .get(&key)
            .and_then(|sessions| sessions.last())
            .is_some_and(|s| s.place == Place::Hot(slot))
    }

    /// The sessions of a key.
    pub fn of(&self, key: SessionKey) -> &[Session] {
        self.by_key.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The session of a key that begins at `first` is now there.
    pub fn move_to(&mut self, key: SessionKey, first: Micros, place: Place) {
        let sessions = self.by_key.get_mut(&key).into_iter().flatten();
        if let Some(session) = sessions.into_iter().find(|s| s.run.first == first) {
            session.place = place;
        }
    }

    /// A closed session came back from the store.
    pub fn keep(&mut self, slot: u32, gone: Micros) {
        self.kept.insert((gone, slot));
    }

    /// Forgets the cold sessions of a group that is no longer kept.
    pub fn forget_cold(&mut self, group: u32) {
        self.by_key.retain(|_, sessions| {
            sessions.retain(|s| s.group != group || matches!(s.place, Place::Hot(_)));
            !sessions.is_empty()
        });
    }

    /// Gives slots other numbers.
    pub fn renumber(&mut self, moves: &FxHashMap<u32, u32>) {
        let new = |slot: u32| moves.get(&slot).copied().unwrap_or(slot);
        for session in self.by_key.values_mut().flatten() {
            if let Place::Hot(slot) = session.place {
                session.place = Place::Hot(new(slot));
            }
        }
        for times in [&mut self.open, &mut self.kept] {
            *times = times.iter().map(|(time, slot)| (*time, new(*slot))).collect();
        }
    }

    /// Whether one ends by `closing`.
    pub fn closes_by(&self, closing: Micros) -> bool {
        self.open.first().is_some_and(|(end, _)| *end <= closing)
    }

    /// The next session that ends by `closing`; it counts as closed from now on.
    pub fn next_closed(&mut self, closing: Micros) -> Option<u32> {
        self.closes_by(closing).then(|| self.open.pop_first().map(|(_, slot)| slot)).flatten()
    }

    /// A session that is no longer kept.
    pub fn next_gone(&self, records: Micros) -> Option<u32> {
        self.kept.first().filter(|(gone, _)| *gone <= records).map(|(_, slot)| *slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GAP: Micros = 60;

    fn run(first: Micros, last: Micros) -> Run {
        Run { first, last }
    }

    #[test]
    fn a_distance_of_exactly_the_gap_joins_and_one_more_does_not() {
        let sessions = [run(0, 100)];
        assert_eq!(join(&sessions, &[run(160, 170)], GAP)[0].run, run(0, 170));
        let apart = join(&sessions, &[run(161, 170)], GAP);
        assert_eq!(apart, [Joined { run: run(161, 170), sessions: 1..1, runs: 0..1 }]);
        assert_eq!(join(&[run(160, 170)], &[run(0, 100)], GAP)[0].run, run(0, 170));
    }

    #[test]
    fn a_run_between_two_sessions_makes_them_one() {
        let sessions = [run(-500, -400), run(0, 100), run(200, 300), run(900, 900)];
        let joined = join(&sessions, &[run(150, 151)], GAP);
        assert_eq!(joined, [Joined { run: run(0, 300), sessions: 1..3, runs: 0..1 }]);
    }

    /// Groups of times that no gap separates, by looking at every pair of neighbours.
    fn by_definition(mut times: Vec<Micros>) -> Vec<Run> {
        times.sort_unstable();
        times.chunk_by(|a, b| b - a <= GAP).map(|c| run(c[0], c[c.len() - 1])).collect()
    }

    proptest! {
        #[test]
        fn joining_in_any_portions_gives_the_sessions_of_all_times_at_once(
            times in proptest::collection::vec(-2_000i64..2_000, 1..60),
            portion in 1usize..9,
        ) {
            let mut sessions: Vec<Run> = Vec::new();
            for portion in times.chunks(portion) {
                let mut runs: Vec<Run> = portion.iter().map(|t| run(*t, *t)).collect();
                runs.sort_unstable();
                let joined = join(&sessions, &runs, GAP);
                prop_assert_eq!(joined.iter().map(|j| j.runs.len()).sum::<usize>(), runs.len());
                let gone: Vec<usize> = joined.iter().flat_map(|j| j.sessions.clone()).collect();
                let mut at = 0;
                sessions.retain(|_| {
                    at += 1;
                    !gone.contains(&(at - 1))
                });
                sessions.extend(joined.iter().map(|j| j.run));
                sessions.sort_unstable();
            }
            prop_assert_eq!(sessions, by_definition(times));
        }
    }
}
