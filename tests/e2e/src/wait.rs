//! Waiting for something to become true.

use crate::interrupt;
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Time between two looks.
const STEP: Duration = Duration::from_millis(50);

/// Sleeps, but not past an interrupt.
pub fn sleep(length: Duration) -> Result<()> {
    let end = Instant::now() + length;
    while Instant::now() < end {
        interrupt::check()?;
        std::thread::sleep(STEP.min(end.saturating_duration_since(Instant::now())));
    }
    interrupt::check()
}

/// Looks until `ready` gives a value. The error names what was waited for and the last reason given.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T> {
    // It never comes nearer, so the limit never begins anew.
    let look = || ready().map_err(|reason| (i64::MAX, reason))?.ok_or((i64::MAX, String::new()));
    look_until(&format!("{what}: not within"), limit, look)
}

/// As [`until`], but `limit` begins anew whenever less is left than ever before: the number of the error.
pub fn until_done<T>(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> Result<Option<T>, (i64, String)>,
) -> Result<T> {
    look_until(&format!("{what}: no nearer to it for"), limit, || ready()?.ok_or((0, String::new())))
}

fn look_until<T>(
    failure: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T, (i64, String)>,
) -> Result<T> {
    let (mut least, mut since) = (i64::MAX, Instant::now());
    loop {
        interrupt::check()?;
        let (left, reason) = match look() {
            Ok(value) => return Ok(value),
            Err(found) => found,
        };
        if left < least {
            (least, since) = (left, Instant::now());
        }
        if since.elapsed() >= limit {
            let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
            bail!("{failure} {} s{reason}", limit.as_secs());
        }
        std::thread::sleep(STEP);
    }
}
