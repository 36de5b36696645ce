//! Who is killed when, and where: drawn from a seed.

use crate::dice::Dice;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    Host,
    Broker,
    Engine,
}

impl Victim {
    pub fn name(self) -> &'static str {
        match self {
            Victim::Host => "host",
            Victim::Broker => "broker",
            Victim::Engine => "engine",
        }
    }
}

pub const COMPACTION: &str = "in-compaction";
pub const LATE_INSERT: &str = "late-insert";

/// Where a host dies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// Wherever it is when its time has come.
    Moment,
    /// By itself, at a point of host/weir/src/kill_points.rs such as `after-write:3`.
    Point(String),
    /// When the store has begun a compaction.
    Compaction,
    /// While an insert is under way, which reaches ClickHouse long after the host's successor wrote.
    LateInsert,
}

impl Death {
    pub fn name(&self) -> &str {
        match self {
            Death::Moment => "any moment",
            Death::Point(point) => point.split(':').next().unwrap_or(point),
            Death::Compaction => COMPACTION,
            Death::LateInsert => LATE_INSERT,
        }
    }
}

/// Points, and how often the host may pass before it dies: start-up passes few times, epochs often.
const POINTS: [(&str, usize); 8] = [
    ("before-recovery", 1),
    ("in-recovery", 6),
    ("before-reading", 1),
    ("after-generation", 1),
    ("before-write", 8),
    ("after-write", 8),
    ("mid-insert", 4),
    ("after-insert", 6),
];

/// Of so many kills in a row.
const HOSTS: usize = 8;
const BROKERS: usize = 1;
const ENGINES: usize = 2;
/// Deaths without a place among the named ones, in a row of hosts.
const MOMENTS: usize = 5;
const LATE_INSERTS: usize = 2;

/// All places at which a host can die, beside any moment.
pub fn places() -> impl Iterator<Item = &'static str> {
    POINTS.iter().map(|(name, _)| *name).chain([COMPACTION, LATE_INSERT])
}

/// Endless: both decks are shuffled and dealt out again and again, so that a short run meets all there is.
pub struct Plan {
    dice: Dice,
    victims: Vec<Victim>,
    deaths: Vec<Death>,
}

impl Plan {
    pub fn new(seed: u64) -> Plan {
        Plan { dice: Dice::new(seed), victims: Vec::new(), deaths: Vec::new() }
    }

    pub fn victim(&mut self) -> Victim {
        if self.victims.is_empty() {
            let deck = [(Victim::Host, HOSTS), (Victim::Broker, BROKERS), (Victim::Engine, ENGINES)];
            self.victims = deck.into_iter().flat_map(|(who, n)| std::iter::repeat_n(who, n)).collect();
            self.dice.shuffle(&mut self.victims);
        }
        self.victims.pop().unwrap_or(Victim::Host)
    }

    /// Where the host that is started next will die.
    pub fn death(&mut self) -> Death {
        if self.deaths.is_empty() {
            let dice = &mut self.dice;
            let points = POINTS.map(|(name, most)| Death::Point(format!("{name}:{}", 1 + dice.below(most))));
            self.deaths.extend(points);
            self.deaths.push(Death::Compaction);
            self.deaths.extend(std::iter::repeat_n(Death::LateInsert, LATE_INSERTS));
            self.deaths.extend(std::iter::repeat_n(Death::Moment, MOMENTS));
            self.dice.shuffle(&mut self.deaths);
        }
        self.deaths.pop().unwrap_or(Death::Moment)
    }

    /// Real time before the next kill: often long enough for progress, sometimes so short that it hits a
    /// recovery.
    pub fn pause(&mut self) -> Duration {
        if self.dice.below(4) == 0 { self.dice.millis(0, 400) } else { self.dice.millis(400, 2_200) }
    }

    /// A moment, for what must not always follow at once.
    pub fn moment(&mut self, from: u64, to: u64) -> Duration {
        self.dice.millis(from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn dealt(seed: u64, n: usize) -> Vec<(Victim, Death, Duration)> {
        let mut plan = Plan::new(seed);
        (0..n).map(|_| (plan.victim(), plan.death(), plan.pause())).collect()
    }

    #[test]
    fn the_same_seed_plans_the_same_kills_and_another_seed_plans_others() {
        assert_eq!(dealt(5, 300), dealt(5, 300));
        assert_ne!(dealt(5, 300), dealt(6, 300));
    }

    #[test]
    fn twelve_kills_meet_every_victim_and_sixteen_hosts_every_place() {
        for seed in 0..20 {
            let kills = dealt(seed, 16);
            let victims: BTreeSet<_> = kills[..12].iter().map(|k| k.0).collect();
            assert_eq!(victims.len(), 3);
            let places: BTreeSet<_> = kills.iter().map(|k| k.1.name().to_owned()).collect();
            assert_eq!(places.len(), POINTS.len() + 3, "{places:?}");
        }
    }

    #[test]
    fn pauses_leave_time_for_progress_but_not_always() {
        let kills = dealt(1, 1_000);
        let short = kills.iter().filter(|k| k.2 < Duration::from_millis(400)).count();
        assert!((200..300).contains(&short), "{short}");
        assert!(kills.iter().all(|k| k.2 < Duration::from_millis(2_200)));
    }
}
