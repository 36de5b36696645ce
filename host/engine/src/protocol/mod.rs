//! The epoch protocol as steps. Each step decides from what is known and touches the outside at most
//! once; none waits, sleeps or owns a thread. [`crate::run`] drives the steps by threads, the simulation
//! (`tests/sim`) by a seed.
//!
//! | part | steps, in order | may run |
//! |---|---|---|
//! | [`Compute`] | recover; then again and again: take an event, obey a command, end the epoch | one epoch ahead of the commit |
//! | [`Commit`] | write; publish; hand over; acknowledge; answer | one epoch at a time |
//! | [`Delivery`] | prepare tables; find and claim a generation; then: prepare metrics, read, insert | beside both |
//!
//! What the order guarantees:
//!
//! - Nothing is told to anybody before the epoch's write is durable: publish, hand over, acknowledge and
//!   answer follow the write.
//! - A row is inserted only under a generation that a durable write has noted ([`Permit`]). A host that was
//!   taken over can write no more, so it can note no generation greater than its successor's.
//! - A delivery is noted in the next write, after the insert was acknowledged: it may be repeated, which
//!   changes nothing, but is never left out.
//! - Rows wait in memory within a budget ([`Queue`]). Beyond it an epoch that is durable is dropped, and read
//!   again in its turn: before it, all older ones are read, and after it, all newer ones.

#[cfg(test)]
mod bound_tests;
mod commit;
mod compute;
mod delivery;
mod push;
mod queue;
mod stall;
mod stamps;

pub use crate::catchup::Readers;
pub use crate::hold::Ask;
pub use crate::shard::Redrive;
pub use commit::{Answer, Commit, Job};
pub use compute::{Command, Compute, Reply};
pub use delivery::Delivery;
pub use push::Push;
pub use queue::{Permit, Queue};
use stamps::Stamps;

use std::time::Duration;

/// What a step came to, and what its driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something was done: step again.
    Done,
    /// There is nothing to do until something new comes.
    Idle,
    /// The outside does not answer: step again after a pause of this length.
    Retry(Duration),
}
