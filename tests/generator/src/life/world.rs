//! What stands still while contacts come and go: queues of different size, their agents, how busy the
//! hours are, and which queue has a burst.

use super::agent::{Staff, Step};
use crate::dice::{Dice, mix};

pub const FIRST_QUEUE: i64 = 101;
pub const FIRST_AGENT: i64 = 1001;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One burst in each slot of this length.
const BURST_SLOT_MS: i64 = 15 * MINUTE_MS;
/// How long a burst is at least, and less than how much longer.
const BURST_MS: (i64, i64) = (2 * MINUTE_MS, 3 * MINUTE_MS);
/// How many times as many arrivals its queue has while a burst lasts.
const BURST_FACTOR: f64 = 20.0;
/// In percent: contacts that a partner takes, who is no agent.
const PARTNERS: f64 = 1.5;

/// Arrivals by hour of the day, in UTC, relative to the mean. Nights are quieter, never silent.
const HOURS: [f64; 24] = [
    0.70, 0.65, 0.60, 0.60, 0.65, 0.70, 0.80, 0.90, 1.00, 1.20, 1.30, 1.25, 1.05, 1.10, 1.25, 1.20, 1.10,
    1.00, 0.95, 0.90, 0.85, 0.80, 0.75, 0.70,
];
const BUSIEST: f64 = 1.30;

#[derive(Clone, Debug)]
pub struct World {
    seed: u64,
    /// Running sums of the queues' weights.
    weights: Vec<u64>,
    pub staff: Staff,
    /// No moment is busier than this, relative to the mean without bursts.
    pub peak: f64,
}

impl World {
    /// Queue n weighs 1 ÷ (n + 1)^0.8, so the greatest has some 23 times the arrivals of the least. Agents
    /// are as they are at the first of `times`, and do next what comes with them; the second is the start.
    pub fn new(
        seed: u64,
        queues: usize,
        agents: usize,
        times: (i64, i64),
        dice: &mut Dice,
    ) -> (World, Vec<(usize, Step, i64)>) {
        let weight = |n: usize| (1e6 / ((n + 1) as f64).powf(0.8)) as u64;
        let total: u64 = (0..queues).map(weight).sum();
        let mut weights = Vec::with_capacity(queues);
        let mut agents_of = vec![Vec::new(); queues];
        let (mut sum, mut next) = (0, 0);
        for (n, of_queue) in agents_of.iter_mut().enumerate() {
            sum += weight(n);
            weights.push(sum);
            // At least one agent each; those before the running share go to this queue.
            let until = ((agents as u64 * sum) / total) as usize;
            of_queue.push(next.min(agents - 1));
            next += 1;
            while next < until {
                of_queue.push(next);
                next += 1;
            }
        }
        let (staff, plan) = Staff::new(agents_of, (FIRST_AGENT, FIRST_QUEUE), times, dice);
        let greatest = weight(0) as f64 / total as f64;
        let peak = BUSIEST * (1.0 + (BURST_FACTOR - 1.0) * greatest);
        (World { seed, weights, staff, peak }, plan)
    }

    pub fn queue(&self, dice: &mut Dice) -> i64 {
        let drawn = dice.below(self.total());
        FIRST_QUEUE + self.weights.partition_point(|&sum| sum <= drawn) as i64
    }

    /// Queue of an arrival at `time_ms`: what a burst brings beyond the usual is for its one queue.
    pub fn queue_at(&self, dice: &mut Dice, time_ms: i64) -> i64 {
        match self.burst(time_ms) {
            Some((queue, more)) if dice.share() * (1.0 + more) < more => queue,
            _ => self.queue(dice),
        }
    }

    /// An agent of a queue, a free one if one is soon found.
    pub fn agent(&self, dice: &mut Dice, queue: i64) -> i64 {
        self.staff.pick(dice, queue)
    }

    /// The same; None if a partner takes the contact.
    pub fn agent_or_partner(&self, dice: &mut Dice, queue: i64) -> Option<i64> {
        (!dice.percent(PARTNERS)).then(|| self.agent(dice, queue))
    }

    /// A customer: a few come all the time, most hardly ever.
    pub fn customer(&self, dice: &mut Dice) -> i64 {
        if dice.percent(3.0) { dice.between(10_000, 10_040) } else { dice.between(10_040, 60_000) }
    }

    /// Arrivals at `time_ms`, relative to the mean without bursts.
    pub fn activity(&self, time_ms: i64) -> f64 {
        let of_day = time_ms.rem_euclid(24 * HOUR_MS);
        let hour = (of_day / HOUR_MS) as usize;
        let into = (of_day % HOUR_MS) as f64 / HOUR_MS as f64;
        let curve = HOURS[hour] * (1.0 - into) + HOURS[(hour + 1) % 24] * into;
        curve * (1.0 + self.burst(time_ms).map_or(0.0, |(_, more)| more))
    }

    fn total(&self) -> u64 {
        self.weights.last().copied().unwrap_or(1)
    }

    /// The queue that has a burst, if any, and what that brings, relative to all usual arrivals.
    fn burst(&self, time_ms: i64) -> Option<(i64, f64)> {
        let slot = time_ms.div_euclid(BURST_SLOT_MS);
        let into = time_ms.rem_euclid(BURST_SLOT_MS);
        let chance = mix(self.seed ^ mix(slot as u64));
        let length = BURST_MS.0 + (chance % BURST_MS.1 as u64) as i64;
        let start = ((chance >> 20) % (BURST_SLOT_MS - length) as u64) as i64;
        let n = ((chance >> 44) % self.weights.len() as u64) as usize;
        let before = n.checked_sub(1).map_or(0, |n| self.weights[n]);
        let share = (self.weights[n] - before) as f64 / self.total() as f64;
        let more = (BURST_FACTOR - 1.0) * share;
        (start <= into && into < start + length).then_some((FIRST_QUEUE + n as i64, more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World::new(3, 50, 500, (0, 0), &mut Dice::new(3)).0
    }

    #[test]
    fn a_burst_brings_its_queue_twenty_times_the_arrivals() {
        let world = world();
        let in_burst = (0..).map(|n| n * SECOND_MS).find(|at| world.burst(*at).is_some());
        let at = in_burst.unwrap_or_default();
        let queue = world.burst(at).map_or(0, |burst| burst.0);
        let mut dice = Dice::new(1);
        let mut share = |at: i64| {
            let met = (0..200_000).filter(|_| world.queue_at(&mut dice, at) == queue).count();
            met as f64 / 200_000.0 * world.activity(at) / world.activity_without_burst(at)
        };
        let quiet = (0..).map(|n| at + n * SECOND_MS).find(|at| world.burst(*at).is_none());
        let times = share(at) / share(quiet.unwrap_or_default());
        assert!((17.0..23.0).contains(&times), "{times}");
    }

    #[test]
    fn no_moment_of_a_day_is_busier_than_the_peak_and_bursts_last_some_minutes() {
        let world = world();
        let mut lasted = 0;
        for at in (0..24 * HOUR_MS).step_by(1_000) {
            assert!(world.activity(at) <= world.peak);
            lasted += i64::from(world.burst(at).is_some());
        }
        let mean = lasted / (24 * HOUR_MS / BURST_SLOT_MS);
        assert!((120..300).contains(&mean), "{mean} s");
    }

    impl World {
        fn activity_without_burst(&self, time_ms: i64) -> f64 {
            self.activity(time_ms) / (1.0 + self.burst(time_ms).map_or(0.0, |burst| burst.1))
        }
    }
}
