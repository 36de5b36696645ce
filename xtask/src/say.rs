//! Progress, one line a step, on standard error: results alone go to standard output.

use std::fmt::Display;

/// Something begins that takes time.
pub fn step(text: impl Display) {
    eprintln!("  … {text}");
}

/// A fact worth a line.
pub fn note(text: impl Display) {
    eprintln!("  {text}");
}
