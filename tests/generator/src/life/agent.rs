//! Agents: their shifts, breaks and errors, and the state that follows the calls and sessions they handle.
//!
//! [`Staff`] knows the truth at once, so that nobody gets more contacts than slots; the row in
//! `agent_state` follows a moment later ([`Step::Sync`]), as in a real centre.

use crate::dice::Dice;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

const SHIFT: i64 = 9 * HOUR;
const BREAK_EVERY: i64 = 2 * HOUR;
/// Hours, in UTC, at which shifts begin: more by day.
const SHIFTS: [i64; 14] = [0, 3, 6, 7, 8, 8, 9, 9, 10, 11, 13, 15, 17, 20];
/// How many colleagues of a queue are looked at before a contact goes to one who is busy.
const LOOKED_AT: usize = 5;
/// So many agents went home on a break before the life begins.
const FORGETFUL: usize = 3;

pub const STATES: [State; 6] =
    [State::Offline, State::Available, State::OnContact, State::Wrapup, State::Break, State::Error];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Offline,
    Available,
    OnContact,
    Wrapup,
    Break,
    Error,
}

impl State {
    pub fn text(self) -> &'static str {
        match self {
            State::Offline => "offline",
            State::Available => "available",
            State::OnContact => "on_contact",
            State::Wrapup => "wrapup",
            State::Break => "break",
            State::Error => "error",
        }
    }
}

/// A row of `agent_state`. Times in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentState {
    pub agent_id: i64,
    pub queue_id: i64,
    pub state: State,
    pub since: i64,
    pub slots: i64,
    pub slots_used: i64,
    pub updated_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The row follows the truth.
    Sync,
    ShiftBegins,
    ShiftEnds,
    BreakBegins,
    BreakEnds,
    /// After a missed call: ready again.
    Repair,
    /// Other slots.
    Equip,
    /// Another queue.
    Move,
    Touch,
    /// Somebody mends `since`.
    Correct,
    /// The row goes, if the agent is offline.
    Leave,
    Return,
}

impl Step {
    /// The step that is taken in a life where nothing is done long after its time.
    pub fn punctual(self) -> Step {
        if self == Step::Correct { Step::Touch } else { self }
    }
}

/// What a step made of a row, and what follows it.
#[derive(Debug, Default)]
pub struct Turn {
    /// Before and after, if anything changed.
    pub change: Option<(Option<AgentState>, Option<AgentState>)>,
    pub correction: bool,
    /// Steps and milliseconds from now.
    pub next: [Option<(Step, i64)>; 2],
}

/// What an agent will do when nobody needs them any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Break,
    Home,
}

#[derive(Clone, Debug)]
struct Member {
    row: AgentState,
    employed: bool,
    on_shift: bool,
    shift_ends: i64,
    contacts: i64,
    /// Contacts whose call is over, but not yet what has to be written about it.
    wrapping: i64,
    /// Break or error.
    aside: Option<State>,
    wish: Option<Wish>,
}

impl Member {
    fn is_free(&self) -> bool {
        let ready = self.employed && self.on_shift && self.aside.is_none() && self.wish.is_none();
        ready && self.wrapping == 0 && self.contacts < self.row.slots
    }

    fn state(&self) -> State {
        match self.aside {
            _ if !self.on_shift => State::Offline,
            Some(aside) => aside,
            None if self.contacts == 0 => State::Available,
            None if self.wrapping == self.contacts => State::Wrapup,
            None => State::OnContact,
        }
    }

    fn go(&mut self, wish: Wish) {
        match wish {
            _ if self.contacts > 0 => self.wish = Some(wish),
            Wish::Break => self.aside = Some(State::Break),
            Wish::Home => (self.on_shift, self.aside) = (false, None),
        }
    }

    /// The row as the truth is now.
    fn synced(&self, time: i64) -> AgentState {
        let state = self.state();
        let since = if state == self.row.state { self.row.since } else { time };
        AgentState { state, since, slots_used: self.contacts, ..self.row.clone() }
    }
}

#[derive(Clone, Debug)]
pub struct Staff {
    members: Vec<Member>,
    /// Places in `members` by queue.
    of_queue: Vec<Vec<usize>>,
    first: i64,
    first_queue: i64,
}

impl Staff {
    /// Agents of these queues as they are at `begin`, and what each does next (place, step, time). A few
    /// have been on a break since they went home before the day that ends at `start`.
    pub fn new(
        of_queue: Vec<Vec<usize>>,
        (first, first_queue): (i64, i64),
        (begin, start): (i64, i64),
        dice: &mut Dice,
    ) -> (Staff, Vec<(usize, Step, i64)>) {
        let mut homes: Vec<(usize, i64)> = Vec::new();
        for (queue, places) in of_queue.iter().enumerate() {
            homes.extend(places.iter().map(|place| (*place, first_queue + queue as i64)));
        }
        homes.sort_unstable();
        homes.dedup_by_key(|home| home.0);
        let (mut members, mut plan) = (Vec::new(), Vec::new());
        for (place, queue_id) in homes {
            let (member, steps) = member(first + place as i64, queue_id, begin, dice);
            plan.extend(steps.into_iter().flatten().map(|(step, at)| (place, step, at)));
            members.push(member);
        }
        for place in 0..FORGETFUL.min(members.len() / 10) {
            // Spread over the queues, the greatest first.
            let place = place * members.len() / FORGETFUL;
            let member: &mut Member = &mut members[place];
            (member.on_shift, member.aside) = (true, Some(State::Break));
            member.row.state = State::Break;
            member.row.since = start - dice.between(26 * HOUR, 40 * HOUR);
            member.row.updated_at = member.row.since;
            plan.retain(|planned| planned.0 != place);
            plan.push((place, Step::ShiftBegins, start + dice.between(10 * SECOND, 8 * MINUTE)));
        }
        (Staff { members, of_queue, first, first_queue }, plan)
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The rows as they stand.
    pub fn rows(&self) -> impl Iterator<Item = &AgentState> {
        self.members.iter().filter(|member| member.employed).map(|member| &member.row)
    }

    /// Somebody of a queue, a free one if one is soon found.
    pub fn pick(&self, dice: &mut Dice, queue: i64) -> i64 {
        let Some(places) = self.of_queue.get((queue - self.first_queue) as usize) else { return self.first };
        let mut place = 0;
        for _ in 0..LOOKED_AT.min(places.len() + 1) {
            place = dice.pick(places);
            if self.members[place].is_free() {
                break;
            }
        }
        self.first + place as i64
    }

    /// Gives a contact to an agent who is free; None if nobody's state will follow it.
    pub fn take(&mut self, agent: Option<i64>) -> Option<usize> {
        let place = usize::try_from(agent? - self.first).ok()?;
        let member = self.members.get_mut(place).filter(|member| member.is_free())?;
        member.contacts += 1;
        Some(place)
    }

    /// The call is over.
    pub fn wrap(&mut self, place: usize) {
        self.members[place].wrapping += 1;
    }

    /// The contact is done with.
    pub fn free(&mut self, place: usize, wrapped: bool) {
        let member = &mut self.members[place];
        member.contacts -= 1;
        member.wrapping -= i64::from(wrapped);
        if let Some(wish) = member.wish.take_if(|_| member.contacts == 0) {
            member.go(wish);
        }
    }

    /// It rang and nobody took the call: the agent gets no more until somebody looks.
    pub fn miss(&mut self, place: usize) {
        self.free(place, false);
        let member = &mut self.members[place];
        if member.on_shift && member.aside.is_none() {
            member.aside = Some(State::Error);
        }
    }

    /// When the row last changed.
    pub fn updated_at(&self, place: usize) -> i64 {
        self.members[place].row.updated_at
    }

    /// Carries out a step at `time`.
    pub fn step(&mut self, place: usize, step: Step, time: i64, queue: i64, dice: &mut Dice) -> Turn {
        let member = &mut self.members[place];
        let mut turn = Turn::default();
        let employed = member.employed;
        let mut forced = false;
        match step {
            Step::Sync => {}
            Step::ShiftBegins => {
                (member.on_shift, member.aside, member.wish) = (true, None, None);
                member.shift_ends = time + SHIFT;
                turn.next = [Some((Step::ShiftEnds, SHIFT)), break_in(SHIFT, dice)];
            }
            Step::ShiftEnds => {
                // Some go home on a break, and have the next day off.
                let forgets = member.contacts == 0 && dice.percent(0.4);
                member.go(if forgets { Wish::Break } else { Wish::Home });
                let rest = DAY - SHIFT + dice.between(-20 * MINUTE, 20 * MINUTE);
                turn.next[0] = Some((Step::ShiftBegins, if forgets { rest + DAY } else { rest }));
            }
            Step::BreakBegins if member.on_shift && member.aside.is_none() && time < member.shift_ends => {
                member.go(Wish::Break);
                turn.next = [
                    Some((Step::BreakEnds, dice.between(8 * MINUTE, 20 * MINUTE))),
                    break_in(member.shift_ends - time, dice),
                ];
            }
            Step::BreakBegins => {}
            Step::BreakEnds => {
                member.aside = member.aside.filter(|aside| *aside != State::Break);
                member.wish = member.wish.filter(|wish| *wish != Wish::Break);
            }
            Step::Repair => member.aside = member.aside.filter(|aside| *aside != State::Error),
            Step::Equip | Step::Move => {}
            Step::Touch | Step::Correct => forced = true,
            Step::Leave if !member.on_shift && member.contacts == 0 => {
                member.employed = false;
                turn.next[0] = Some((Step::Return, dice.between(5 * MINUTE, 40 * MINUTE)));
            }
            Step::Leave => {}
            Step::Return => member.employed = true,
        }
        let mut after = member.synced(time);
        match step {
            Step::Equip => after.slots = dice.between(1, 7).max(member.contacts),
            Step::Move => after.queue_id = queue,
            Step::Correct => {
                turn.correction = true;
                after.since -= dice.between(-MINUTE, 30 * MINUTE);
            }
            _ => {}
        }
        let changed = forced || after != member.row || employed != member.employed;
        if changed && (employed || member.employed) {
            after.updated_at = time;
            let before = std::mem::replace(&mut member.row, after);
            let after = member.employed.then(|| member.row.clone());
            turn.change = Some((employed.then_some(before), after));
        }
        turn.correction &= turn.change.is_some();
        turn
    }
}

/// The next break, if the shift lasts that long.
fn break_in(rest: i64, dice: &mut Dice) -> Option<(Step, i64)> {
    let after = dice.around(BREAK_EVERY);
    (after < rest).then_some((Step::BreakBegins, after))
}

/// An agent as of `begin`, somewhere in the shift or off it, and the next steps with their times.
fn member(agent_id: i64, queue_id: i64, begin: i64, dice: &mut Dice) -> (Member, [Option<(Step, i64)>; 2]) {
    let shift = dice.pick(&SHIFTS) * HOUR + dice.between(0, HOUR);
    let into = (begin - shift).rem_euclid(DAY);
    let on_shift = into < SHIFT;
    let since = if on_shift { begin - into } else { begin - into + SHIFT };
    let state = if on_shift { State::Available } else { State::Offline };
    let slots = dice.pick(&[1, 2, 3, 3, 4, 5]);
    let row = AgentState { agent_id, queue_id, state, since, slots, slots_used: 0, updated_at: since };
    let shift_ends = if on_shift { begin + SHIFT - into } else { since };
    let member = Member {
        row,
        employed: true,
        on_shift,
        shift_ends,
        contacts: 0,
        wrapping: 0,
        aside: None,
        wish: None,
    };
    let steps = match on_shift {
        true => {
            let pause = break_in(shift_ends - begin, dice).map(|(step, after)| (step, begin + after));
            [Some((Step::ShiftEnds, shift_ends)), pause]
        }
        false => [Some((Step::ShiftBegins, begin + DAY - into)), None],
    };
    (member, steps)
}
