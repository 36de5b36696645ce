//! When what is killed.

use super::Options;
use crate::dice::Dice;
use crate::say;
use crate::world::{Upstream, World};
use anyhow::Result;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Host,
    Connect,
}

/// Kills of each victim.
const KILLS: usize = 2;
/// Kills fall into this share of the run: after the push, and with time left to come back.
const FROM: f64 = 0.2;
const TO: f64 = 0.85;

/// Moments since the start, ascending.
pub struct Schedule {
    left: Vec<(Duration, Victim)>,
}

impl Schedule {
    pub fn new(options: &Options) -> Schedule {
        let mut left = Vec::new();
        let mut dice = Dice::new(options.seed);
        let whole = options.run_for.unwrap_or_default();
        for (name, victim) in [("host", Victim::Host), ("connect", Victim::Connect)] {
            if !options.kills(name) {
                continue;
            }
            for kill in 0..KILLS {
                // One kill in each half of the time, so that they do not coincide.
                let share = (kill as f64 + dice.share()) / KILLS as f64;
                left.push((whole.mul_f64(FROM + share * (TO - FROM)), victim));
            }
        }
        left.sort_by_key(|(at, _)| *at);
        Schedule { left }
    }

    /// Those whose moment has come, once.
    pub fn due(&mut self, elapsed: Duration) -> Vec<Victim> {
        let due = self.left.iter().take_while(|(at, _)| *at <= elapsed).count();
        self.left.drain(..due).map(|(_, victim)| victim).collect()
    }
}

/// kill -9, and a new start.
pub fn carry_out(victim: Victim, world: &mut World) -> Result<()> {
    match (victim, &mut world.upstream) {
        (Victim::Host, _) => {
            say::note("kill -9 of the host, and a new start");
            world.host.kill();
            world.host.launch()
        }
        (Victim::Connect, Upstream::Services { connect, .. }) => {
            say::note("kill -9 of Debezium, and a new start");
            connect.kill();
            connect.launch()
        }
        (Victim::Connect, Upstream::Embedded { .. } | Upstream::Kafka { .. }) => Ok(()),
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
        let of = |victim| all.iter().filter(|v| **v == victim).count();
        assert_eq!((of(Victim::Host), of(Victim::Connect)), (2, 2));
        assert!(schedule.due(Duration::from_secs(100)).is_empty());
    }

    #[test]
    fn the_same_seed_gives_the_same_moments_and_another_seed_gives_others() {
        let moments = |seed: u64| schedule(&format!("--for 60s --kill host --seed {seed}")).left;
        assert_eq!(moments(3), moments(3));
        assert_ne!(moments(3), moments(4));
    }
}
