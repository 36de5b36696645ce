//! What a small service desk does in a night, as Debezium writes it: always the same records.
//!
//! Much in it is rare in life and common here: replies before the ticket, replies taken back, tickets moved
//! and deleted, states that nobody knows, spans over midnight, over a day, empty and negative ones.

use crate::sources::{PARTITIONS, TOPICS};

/// 2026-11-23T16:00:00Z, a Monday, in milliseconds: business hours end, midnight comes.
pub const START_MS: i64 = 1_795_449_600_000;
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// One record, ready for a partition.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Index as in [`TOPICS`].
    pub partition: u32,
    pub offset: i64,
    pub key: String,
    pub value: String,
    /// The host's clock when it is read, in milliseconds.
    pub at: i64,
}

/// The first `count` records.
pub fn record(count: usize) -> Vec<Recorded> {
    let mut desk = Desk {
        dice: Dice(0x5eed_1e55),
        now: START_MS,
        tickets: Vec::new(),
        agents: Vec::new(),
        records: Vec::new(),
        offsets: [0; PARTITIONS * TOPICS.len()],
        next_id: 1,
    };
    while desk.records.len() < count {
        desk.now += desk.dice.below(20 * SECOND as u64) as i64;
        match desk.dice.below(3) {
            0 => desk.agent(),
            _ => desk.ticket(),
        }
    }
    desk.records.truncate(count);
    desk.records
}

/// xorshift64: the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

#[derive(Clone)]
struct Ticket {
    id: i64,
    queue: i64,
    channel: &'static str,
    priority: i64,
    assignee: Option<i64>,
    status: &'static str,
    created: i64,
    replied: Option<i64>,
    updated: i64,
}

#[derive(Clone)]
struct Agent {
    id: i64,
    queue: i64,
    state: &'static str,
    since: i64,
    updated: i64,
}

struct Desk {
    dice: Dice,
    now: i64,
    tickets: Vec<Ticket>,
    agents: Vec<Agent>,
    records: Vec<Recorded>,
    offsets: [i64; PARTITIONS * TOPICS.len()],
    next_id: i64,
}

impl Desk {
    fn ticket(&mut self) {
        if self.tickets.len() < 20 || self.dice.one_in(4) {
            return self.new_ticket();
        }
        let at = self.dice.below(self.tickets.len() as u64) as usize;
        let before = self.tickets[at].clone();
        if self.dice.one_in(12) {
            self.tickets.swap_remove(at);
            return self.tell(0, before.id, "id", Some(before.json()), None);
        }
        let after = self.changed(&before);
        self.tickets[at] = after.clone();
        self.tell(0, before.id, "id", Some(before.json()), Some(after.json()));
    }

    fn new_ticket(&mut self) {
        let replied = self.dice.one_in(10).then_some(self.now);
        let ticket = Ticket {
            id: self.next_id,
            queue: 1 + self.dice.below(4) as i64,
            channel: self.dice.pick(&["mail", "chat", "phone", "Brief ✉", ""]),
            priority: self.dice.below(3) as i64,
            assignee: None,
            status: self.dice.pick(&["new", "new", "new", "open", "New", "closed"]),
            created: self.now - self.dice.below(3 * SECOND as u64) as i64,
            replied,
            updated: self.now,
        };
        self.next_id += 1;
        self.tell(0, ticket.id, "id", None, Some(ticket.json()));
        self.tickets.push(ticket);
    }

    fn changed(&mut self, before: &Ticket) -> Ticket {
        let mut after = Ticket { updated: self.now, ..before.clone() };
        match self.dice.below(6) {
            0 => after.queue = 1 + self.dice.below(4) as i64,
            1 => after.priority = self.dice.below(3) as i64,
            2 => after.replied = None,
            3 => after.status = self.dice.pick(&["new", "open", "pending", "solved", "closed", "opened"]),
            // Corrected by hand: the wait becomes hours longer, or negative.
            4 => after.created = self.now + self.dice.pick(&[-60 * HOUR, -7 * HOUR, -1, 0, 5 * MINUTE]),
            _ => {
                after.assignee = Some(30 + self.dice.below(5) as i64);
                after.status = "open";
            }
        }
        if after.replied.is_none() && self.dice.one_in(2) {
            after.replied = Some(self.now - self.dice.pick(&[0, 1, 999, MINUTE]));
        }
        after
    }

    fn agent(&mut self) {
        if self.agents.len() < 8 {
            let state = self.dice.pick(&["offline", "available", "break"]);
            let since = self.now - self.dice.pick(&[0, HOUR, 30 * HOUR]);
            let id = 30 + self.agents.len() as i64;
            let agent = Agent { id, queue: 1 + id % 3, state, since, updated: self.now };
            self.tell(1, id, "agent_id", None, Some(agent.json()));
            return self.agents.push(agent);
        }
        let at = self.dice.below(self.agents.len() as u64) as usize;
        let before = self.agents[at].clone();
        if self.dice.one_in(25) {
            self.agents.swap_remove(at);
            return self.tell(1, before.id, "agent_id", Some(before.json()), None);
        }
        let mut after = Agent { updated: self.now, ..before.clone() };
        let states =
            ["offline", "available", "available", "on_contact", "wrapup", "break", "error", "Break", "tea"];
        match self.dice.below(10) {
            0 => after.queue = 1 + self.dice.below(3) as i64,
            1 => after.state = self.dice.pick(&states),
            // Set back: the span is negative, and the next one may be longer than a day.
            2 => after.since -= self.dice.pick(&[1, MINUTE, 12 * HOUR, 25 * HOUR]),
            _ => (after.state, after.since) = (self.dice.pick(&states), self.now),
        }
        self.agents[at] = after.clone();
        self.tell(1, before.id, "agent_id", Some(before.json()), Some(after.json()));
    }

    fn tell(&mut self, topic: usize, id: i64, key: &str, before: Option<String>, after: Option<String>) {
        let partition = topic * PARTITIONS + id as usize % PARTITIONS;
        let op = match (&before, &after) {
            (None, _) => 'c',
            (_, None) => 'd',
            _ => 'u',
        };
        let table = TOPICS[topic].rsplit('.').next().unwrap_or_default();
        let image = |image: Option<String>| image.unwrap_or_else(|| "null".into());
        let value = format!(
            r#"{{"before":{},"after":{},"source":{{"version":"3.5.0.Final","connector":"mariadb","name":"svc","ts_ms":{now},"snapshot":"false","db":"service","table":"{table}","server_id":1,"gtid":null,"file":"binlog.000001","pos":{},"row":0}},"op":"{op}","ts_ms":{now}}}"#,
            image(before),
            image(after),
            100 + self.records.len(),
            now = self.now,
        );
        let offset = self.offsets[partition];
        self.offsets[partition] += 1;
        let key = format!(r#"{{"{key}":{id}}}"#);
        self.records.push(Recorded { partition: partition as u32, offset, key, value, at: self.now });
    }
}

fn null(value: Option<i64>) -> String {
    value.map_or("null".into(), |value| value.to_string())
}

impl Ticket {
    fn json(&self) -> String {
        format!(
            r#"{{"id":{},"queue_id":{},"channel":"{}","priority":{},"assignee_id":{},"status":"{}","created_at":{},"first_reply_at":{},"updated_at":{}}}"#,
            self.id,
            self.queue,
            self.channel,
            self.priority,
            null(self.assignee),
            self.status,
            self.created,
            null(self.replied),
            self.updated
        )
    }
}

impl Agent {
    fn json(&self) -> String {
        format!(
            r#"{{"agent_id":{},"queue_id":{},"state":"{}","since":{},"slots":3,"slots_used":1,"updated_at":{}}}"#,
            self.id, self.queue, self.state, self.since, self.updated
        )
    }
}
