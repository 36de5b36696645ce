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
    let end = Instant::now() + limit;
    loop {
        interrupt::check()?;
        let reason = match ready() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => String::new(),
            Err(reason) => format!(": {reason}"),
        };
        if Instant::now() >= end {
            bail!("{what}: not within {} s{reason}", limit.as_secs());
        }
        std::thread::sleep(STEP);
    }
}

/// As [`until`], but `limit` begins anew whenever less is left than ever before: the number of the error.
pub fn until_done<T>(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> Result<Option<T>, (i64, String)>,
) -> Result<T> {
    let (mut least, mut since) = (i64::MAX, Instant::now());
    loop {
        interrupt::check()?;
        let (left, reason) = match ready() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => (0, String::new()),
            Err((left, reason)) => (left, format!(": {reason}")),
        };
        if left < least {
            (least, since) = (left, Instant::now());
        }
        if since.elapsed() >= limit {
            bail!("{what}: no nearer to it for {} s{reason}", limit.as_secs());
        }
        std::thread::sleep(STEP);
    }
}
