//! Names of agents and queues: hardly anything changes here.

use super::world::{FIRST_AGENT, FIRST_QUEUE};
use crate::dice::Dice;
use crate::row::Row;

const DAY: i64 = 24 * 3_600_000;
const TEAMS: i64 = 20;

const FIRST_NAMES: [&str; 16] = [
    "Ada", "Ben", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana", "Ivan", "Jin", "Kira", "Liu", "Mona",
    "Nils", "Olga", "Paul",
];
const LAST_NAMES: [&str; 16] = [
    "Adler", "Bauer", "Chang", "Diaz", "Evans", "Fischer", "Gupta", "Huang", "Ito", "Jansen", "Kim", "Lopez",
    "Meyer", "Novak", "Okafor", "Park",
];
const SUBJECTS: [&str; 10] = [
    "Billing",
    "Orders",
    "Delivery",
    "Returns",
    "Accounts",
    "Devices",
    "Contracts",
    "Complaints",
    "Sales",
    "Partners",
];

/// A row of `agent`.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    pub id: i64,
    pub name: String,
    pub team_id: i64,
    pub updated_at: i64,
}

/// A row of `queue`.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    pub id: i64,
    pub name: String,
    pub updated_at: i64,
}

/// The rows of both tables.
#[derive(Debug)]
pub struct Lookups {
    agents: Vec<Agent>,
    queues: Vec<Queue>,
}

impl Lookups {
    pub fn new(queues: usize, agents: usize, begin: i64, dice: &mut Dice) -> Lookups {
        let mut made = || begin - dice.between(DAY, 300 * DAY);
        let queues = (0..queues).map(|n| Queue {
            id: FIRST_QUEUE + n as i64,
            name: format!("{} {}", SUBJECTS[n % SUBJECTS.len()], n / SUBJECTS.len() + 1),
            updated_at: made(),
        });
        let queues = queues.collect();
        let agents = (0..agents).map(|n| Agent {
            id: FIRST_AGENT + n as i64,
            name: format!("{} {}", FIRST_NAMES[n % 16], LAST_NAMES[(n / 16 + n) % 16]),
            team_id: 1 + n as i64 % TEAMS,
            updated_at: made(),
        });
        Lookups { agents: agents.collect(), queues }
    }

    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let agents = self.agents.iter().cloned().map(Row::Agent);
        agents.chain(self.queues.iter().cloned().map(Row::Queue))
    }

    /// Someone marries or changes the team, a queue is renamed. None if that very row has just changed.
    pub fn change(&mut self, time: i64, dice: &mut Dice) -> Option<(Row, Row)> {
        if dice.percent(30.0) {
            let queue = dice.below(self.queues.len() as u64) as usize;
            let row = self.queues.get_mut(queue).filter(|row| row.updated_at < time)?;
            let before = row.clone();
            row.name = format!("{} {}", dice.pick(&SUBJECTS), dice.between(1, 100));
            row.updated_at = time;
            return Some((Row::Queue(before), Row::Queue(row.clone())));
        }
        let agent = dice.below(self.agents.len() as u64) as usize;
        let row = self.agents.get_mut(agent).filter(|row| row.updated_at < time)?;
        let before = row.clone();
        match dice.percent(50.0) {
            true => row.team_id = dice.between(1, TEAMS + 1),
            false => row.name = format!("{} {}", dice.pick(&FIRST_NAMES), dice.pick(&LAST_NAMES)),
        }
        row.updated_at = time;
        Some((Row::Agent(before), Row::Agent(row.clone())))
    }
}
