//! Log lines on stderr.

use crate::config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging. The error names the key.
pub fn start(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log).map_err(|e| format!("[host]: `log`: {e}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would be told on standard error, which panics where that cannot be written: on a full disk.
        .log_internal_errors(false);
    let started = match config.log_format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| format!("logging does not start: {e}"))
}
