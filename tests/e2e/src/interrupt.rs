//! Ctrl-c and SIGTERM: remembered, so that every wait ends early and the processes started are taken
//! down in order. A second one ends the program at once (the kernel then kills the children).

use anyhow::{Result, bail};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Begins to listen. Repeating it changes nothing.
pub fn listen() -> Result<()> {
    let mut fresh = false;
    let stop = STOP.get_or_init(|| {
        fresh = true;
        Arc::new(AtomicBool::new(false))
    });
    if fresh {
        for signal in [libc::SIGINT, libc::SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())?;
            signal_hook::flag::register(signal, stop.clone())?;
        }
    }
    Ok(())
}

/// Whether someone asked to stop.
pub fn asked() -> bool {
    STOP.get().is_some_and(|stop| stop.load(Ordering::Relaxed))
}

/// An error once someone asked to stop.
pub fn check() -> Result<()> {
    if asked() {
        bail!("interrupted");
    }
    Ok(())
}
