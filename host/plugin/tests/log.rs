//! What a guest says reaches the operator's log under the metric's name, and is cut when it is too much.

#![allow(clippy::unwrap_used)]

mod common;

use common::{HostileGuest, sandbox, tight};
use std::io::Write;
use std::sync::{Arc, Mutex};
use weir_plugin::Limits;
use weir_types::ports::Loader;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_of_a_guest_carry_the_metric_s_name_and_stop_at_the_limit_of_a_call() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let limits = Limits { log_lines_per_call: 3, log_line_bytes: 5, ..tight() };
    let factory = sandbox(limits).reload("x", &HostileGuest::read("floods-the-log").component()).unwrap();
    let mut instance = factory[0].open().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        instance.evaluate(&[1; 100], &[0; 100], &[1; 100], 0).unwrap();
        instance.evaluate(&[1], &[0], &[1], 0).unwrap();
    });
    assert_eq!(instance.warned(), 101, "those that were dropped count too");
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines.iter().all(|l| l.contains("WARN") && l.contains("metric=\"t.sum\"")), "{text}");
    assert!(lines[0].contains(" hello ") && !lines[0].contains("hello lo"), "cut to five bytes: {text}");
    assert!(lines[3].contains("dropped=97"), "what was dropped is told with the next line: {text}");
}
