//! What stands still while tickets and calls come and go: queues of different size, agents, and how
//! busy the hours are.

use crate::dice::{Dice, mix};

pub const FIRST_QUEUE: i64 = 101;
pub const FIRST_AGENT: i64 = 1001;

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600 * SECOND_MS;
/// One burst in each slot of this length.
const BURST_SLOT_MS: i64 = 600 * SECOND_MS;
/// How many times as many arrivals while a burst lasts.
const BURST_FACTOR: f64 = 3.0;

/// Arrivals by hour of the day, in UTC, relative to the mean. Nights are quieter, never silent.
const HOURS: [f64; 24] = [
    0.70, 0.65, 0.60, 0.60, 0.65, 0.70, 0.80, 0.90, 1.00, 1.20, 1.30, 1.25, 1.05, 1.10, 1.25, 1.20, 1.10,
    1.00, 0.95, 0.90, 0.85, 0.80, 0.75, 0.70,
];
/// No moment is busier than this, relative to the mean.
pub const PEAK: f64 = 1.30 * BURST_FACTOR;

#[derive(Clone, Debug)]
pub struct World {
    seed: u64,
    /// Running sums of the queues' weights.
    weights: Vec<u64>,
    /// Agents by queue.
    agents: Vec<Vec<i64>>,
}

impl World {
    /// Queue n weighs 1 ÷ (n + 1)^0.8, so the greatest has some 23 times the arrivals of the least.
    pub fn new(seed: u64, queues: usize, agents: usize) -> World {
        let weight = |n: usize| (1e6 / ((n + 1) as f64).powf(0.8)) as u64;
        let total: u64 = (0..queues).map(weight).sum();
        let mut weights = Vec::with_capacity(queues);
        let mut agents_of = vec![Vec::new(); queues];
        let mut sum = 0;
        let mut next = FIRST_AGENT;
        for (n, of_queue) in agents_of.iter_mut().enumerate() {
            sum += weight(n);
            weights.push(sum);
            // At least one agent each; those before the running share go to this queue.
            let until = FIRST_AGENT + ((agents as u64 * sum) / total) as i64;
            of_queue.push(next.min(FIRST_AGENT + agents as i64 - 1));
            next += 1;
            while next < until {
                of_queue.push(next);
                next += 1;
            }
        }
        World { seed, weights, agents: agents_of }
    }

    pub fn queue(&self, dice: &mut Dice) -> i64 {
        let total = self.weights.last().copied().unwrap_or(1);
        let drawn = dice.below(total);
        FIRST_QUEUE + self.weights.partition_point(|&sum| sum <= drawn) as i64
    }

    /// Queue of an arrival at `time_ms`: most of a burst's arrivals are for its one queue.
    pub fn queue_at(&self, dice: &mut Dice, time_ms: i64) -> i64 {
        match self.burst(time_ms) {
            Some(queue) if dice.percent(100.0 * (1.0 - 1.0 / BURST_FACTOR)) => queue,
            _ => self.queue(dice),
        }
    }

    pub fn agent(&self, dice: &mut Dice, queue: i64) -> i64 {
        match self.agents.get((queue - FIRST_QUEUE) as usize) {
            Some(agents) => dice.pick(agents),
            None => FIRST_AGENT,
        }
    }

    /// Arrivals at `time_ms`, relative to the mean: the hour's share, three times as many in a burst.
    pub fn activity(&self, time_ms: i64) -> f64 {
        let of_day = time_ms.rem_euclid(24 * HOUR_MS);
        let hour = (of_day / HOUR_MS) as usize;
        let into = (of_day % HOUR_MS) as f64 / HOUR_MS as f64;
        let curve = HOURS[hour] * (1.0 - into) + HOURS[(hour + 1) % 24] * into;
        if self.burst(time_ms).is_some() { curve * BURST_FACTOR } else { curve }
    }

    /// The queue that has a burst, if any: in every ten minutes there is one of 30 to 90 seconds.
    fn burst(&self, time_ms: i64) -> Option<i64> {
        let slot = time_ms.div_euclid(BURST_SLOT_MS);
        let into = time_ms.rem_euclid(BURST_SLOT_MS);
        let chance = mix(self.seed ^ mix(slot as u64));
        let length = 30 * SECOND_MS + (chance % 60_000) as i64;
        let start = ((chance >> 20) % (BURST_SLOT_MS - length) as u64) as i64;
        let queue = FIRST_QUEUE + ((chance >> 44) % self.weights.len() as u64) as i64;
        (start <= into && into < start + length).then_some(queue)
    }
}
