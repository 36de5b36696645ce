//! When what is done to the running chain: kills, and what a database's operator does.

use super::{Options, day};
use crate::dice::Dice;
use crate::say;
use crate::world::{Upstream, World};
use anyhow::Result;
use std::time::Duration;
use weir_e2e::wait;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// kill -9 of the host, and a new start so long afterwards.
    KillHost(Duration),
    /// The same of Debezium.
    KillConnect(Duration),
    /// A new snapshot of all tables, by which the host rebuilds its row tables.
    Resnapshot,
    /// Columns that are added and widened.
    Alter,
}

/// Kills of each victim, unless the run is a day.
const KILLS: usize = 2;
/// Kills fall into this share of the run: after the push, and with time left to come back.
const FROM: f64 = 0.2;
const TO: f64 = 0.85;
/// When things happen on a day, as shares of the run, each up to two hours of the clock later. The host dies in the
/// midst of the snapshot: what it was told must be durable by then, and not all be read.
const CONNECT_DIES: f64 = 0.25;
const SNAPSHOT: f64 = 0.48;
const ALTERED: f64 = 0.70;
const DAY_LATER: f64 = 2.0 / 24.0;
const HOST_DIES_AFTER: f64 = 0.5 / 24.0;
/// How long they are away: longer than minutes are corrected, and longer than a partition takes to be idle.
const CONNECT_AWAY: f64 = 3.0 / 24.0;
const HOST_AWAY: f64 = 1.0 / 24.0;

/// Moments since the start, ascending.
pub struct Schedule {
    left: Vec<(Duration, Deed)>,
}

impl Schedule {
    pub fn new(options: &Options) -> Schedule {
        let mut dice = Dice::new(options.seed);
        let whole = options.run_for.unwrap_or_default();
        let shares = if options.day { of_day(whole, &mut dice) } else { of_kills(options, &mut dice) };
        let mut left: Vec<(Duration, Deed)> =
            shares.into_iter().map(|(share, deed)| (whole.mul_f64(share), deed)).collect();
        left.sort_by_key(|(at, _)| *at);
        Schedule { left }
    }

    /// Those whose moment has come, once.
    pub fn due(&mut self, elapsed: Duration) -> Vec<Deed> {
        let due = self.left.iter().take_while(|(at, _)| *at <= elapsed).count();
        self.left.drain(..due).map(|(_, deed)| deed).collect()
    }
}

fn of_kills(options: &Options, dice: &mut Dice) -> Vec<(f64, Deed)> {
    let mut shares = Vec::new();
    let at_once = Duration::ZERO;
    for (name, deed) in [("host", Deed::KillHost(at_once)), ("connect", Deed::KillConnect(at_once))] {
        for kill in 0..if options.kills(name) { KILLS } else { 0 } {
            // One kill in each half of the time, so that they do not coincide.
            let share = (kill as f64 + dice.share()) / KILLS as f64;
            shares.push((FROM + share * (TO - FROM), deed));
        }
    }
    shares
}

fn of_day(whole: Duration, dice: &mut Dice) -> Vec<(f64, Deed)> {
    let mut later = |share: f64| share + dice.share() * DAY_LATER;
    let snapshot = later(SNAPSHOT);
    vec![
        (later(CONNECT_DIES), Deed::KillConnect(whole.mul_f64(CONNECT_AWAY))),
        (snapshot, Deed::Resnapshot),
        (snapshot + HOST_DIES_AFTER, Deed::KillHost(whole.mul_f64(HOST_AWAY))),
        (later(ALTERED), Deed::Alter),
    ]
}

pub fn carry_out(deed: Deed, world: &mut World) -> Result<()> {
    match (deed, &mut world.upstream) {
        (Deed::KillHost(away), _) => {
            say::note(format!("kill -9 of the host, and a new start {} s later", away.as_secs()));
            world.host.kill();
            wait::sleep(away)?;
            world.host.launch()
        }
        (Deed::KillConnect(away), Upstream::Services { connect, .. }) => {
            say::note(format!("kill -9 of Debezium, and a new start {} s later", away.as_secs()));
            connect.kill();
            wait::sleep(away)?;
            connect.launch()
        }
        (Deed::Resnapshot, Upstream::Services { mariadb, .. }) => day::resnapshot(&world.host, mariadb),
        (Deed::Alter, Upstream::Services { mariadb, .. }) => day::alter(mariadb),
        (_, Upstream::Embedded { .. } | Upstream::Kafka { .. }) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn schedule(args: &str) -> Schedule {
        let words = std::iter::once("demo").chain(args.split_whitespace());
        Schedule::new(&Line::try_parse_from(words).expect("arguments").options)
    }

    #[test]
    fn each_victim_is_killed_twice_within_the_run() {
        let mut schedule = schedule("--for 100s --kill host,connect --real --seed 7");
        assert!(schedule.left.iter().all(|(at, _)| (20..=85).contains(&at.as_secs())));
        assert!(schedule.due(Duration::from_secs(19)).is_empty());
        let all = schedule.due(Duration::from_secs(100));
        let of = |wanted| all.iter().filter(|deed| **deed == wanted).count();
        assert_eq!((of(Deed::KillHost(Duration::ZERO)), of(Deed::KillConnect(Duration::ZERO))), (2, 2));
        assert!(schedule.due(Duration::from_secs(100)).is_empty());
    }

    #[test]
    fn the_same_seed_gives_the_same_moments_and_another_seed_gives_others() {
        let moments = |seed: u64| schedule(&format!("--for 60s --kill host --seed {seed}")).left;
        assert_eq!(moments(3), moments(3));
        assert_ne!(moments(3), moments(4));
    }

    #[test]
    fn on_a_day_all_four_things_happen_once_and_the_host_dies_soon_after_the_snapshot_was_asked_for() {
        let left = schedule("--for 120s --real --check --day --seed 5").left;
        let of = |wanted| {
            let mut all = left.iter().filter(|(_, deed)| *deed == wanted);
            let (at, _) = all.next().expect("it happens");
            assert!(all.next().is_none());
            at.as_secs_f64()
        };
        let connect = Deed::KillConnect(Duration::from_secs(15));
        assert!(of(connect) + 15.0 < of(Deed::Resnapshot) && of(Deed::Alter) < 100.0);
        let host = Deed::KillHost(Duration::from_secs(5));
        assert!((0.0..10.0).contains(&(of(host) - of(Deed::Resnapshot))));
    }
}
