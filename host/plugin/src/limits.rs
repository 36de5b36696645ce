//! What one metric may use. There is a limit on everything, and each can be raised in configuration.

use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// Limits of one metric's instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory in bytes, over all memories of the instance. Default 256 MiB: a hundred thousand
    /// slots with sketches fit, and a Python guest starts with 40 MiB.
    pub memory_bytes: usize,
    /// Time that one call may take; rounded up to whole ticks of 10 ms. Default 5 s.
    pub call: Duration,
    /// Table elements, over all tables of the instance. Default 200,000 (a Python guest has 12,000).
    pub table_elements: usize,
    /// Tables in one instance. Default 64.
    pub tables: usize,
    /// Core memories in one instance. Default 16.
    pub memories: usize,
    /// Core instances in one instance of the component. Default 256 (Python links its libraries as
    /// several dozen).
    pub instances: usize,
    /// Size of a component in bytes. Default 64 MiB.
    pub component_bytes: usize,
    /// Samples, and refused rows, that one call may give back. Default 4,194,304.
    pub rows_returned: usize,
    /// Bytes that one call may give back, states and texts included. Default 128 MiB.
    pub bytes_returned: usize,
    /// Log lines kept of one call; more are dropped and counted. Default 20.
    pub log_lines_per_call: u32,
    /// Log lines kept in a second; more are dropped and counted. Default 50.
    pub log_lines_per_second: u32,
    /// Bytes kept of one log line. Default 2,048.
    pub log_line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 256 * MIB,
            call: Duration::from_secs(5),
            table_elements: 200_000,
            tables: 64,
            memories: 16,
            instances: 256,
            component_bytes: 64 * MIB,
            rows_returned: 4 * MIB,
            bytes_returned: 128 * MIB,
            log_lines_per_call: 20,
            log_lines_per_second: 50,
            log_line_bytes: 2_048,
        }
    }
}
