//! `cargo xtask test`: every check there is, step by step, each with a time-out of its own.

mod steps;

pub use steps::outage;

use crate::{plugins, say};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use weir_e2e::{interrupt, process, wait};

#[derive(clap::Args)]
pub struct Options {
    /// Leave out what needs servers: for the inner loop.
    #[arg(long)]
    quick: bool,
    /// Only steps whose name contains this text.
    #[arg(long)]
    only: Option<String>,
}

/// One step: its name, whether it needs servers, and what it does.
pub struct Step {
    name: &'static str,
    /// Needs the shipped metrics.
    metrics: bool,
    servers: bool,
    run: fn(&Options) -> Result<Done>,
}

/// A step that did not fail.
pub enum Done {
    Passed,
    /// What it tests or needs is not there; the text says what.
    LeftOut(String),
}

/// How a step went.
struct Outcome {
    name: &'static str,
    seconds: f64,
    done: Result<Done>,
}

/// A step that failed does not keep the next ones from running, so that one run shows all there is.
pub fn run(options: &Options) -> Result<bool> {
    let wanted = |step: &&Step| {
        let named = options.only.as_ref().is_none_or(|part| step.name.contains(part.as_str()));
        named && !(options.quick && step.servers)
    };
    let steps: Vec<&Step> = steps::ALL.iter().filter(wanted).collect();
    if steps.is_empty() {
        bail!("no step is called so; there are: {}", names());
    }
    let mut outcomes = Vec::new();
    for step in steps {
        println!("\n=== {}", step.name);
        let begin = Instant::now();
        let done = match plugins::missing() {
            Some(reason) if step.metrics => Ok(Done::LeftOut(reason)),
            _ => (step.run)(options),
        };
        interrupt::check()?;
        if let Err(error) = &done {
            println!("=== {} FAILED: {error:#}", step.name);
        }
        outcomes.push(Outcome { name: step.name, seconds: begin.elapsed().as_secs_f64(), done });
    }
    Ok(summary(&outcomes))
}

fn names() -> String {
    let names: Vec<&str> = steps::ALL.iter().map(|step| step.name).collect();
    names.join(", ")
}

/// The table of steps and the closing line; true if none failed.
fn summary(outcomes: &[Outcome]) -> bool {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    println!("\n{:<28} {:>8}  outcome", "step", "seconds");
    for outcome in outcomes {
        let text = match &outcome.done {
            Ok(Done::Passed) => {
                passed += 1;
                "ok".to_owned()
            }
            Ok(Done::LeftOut(reason)) => {
                skipped += 1;
                format!("left out: {reason}")
            }
            Err(error) => {
                failed += 1;
                format!("FAILED: {}", format!("{error:#}").lines().next().unwrap_or_default())
            }
        };
        println!("{:<28} {:>8.1}  {text}", outcome.name, outcome.seconds);
    }
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0
}

/// Runs a command to its end with its output shown as it comes.
pub fn shown(mut command: Command, limit: Duration) -> Result<()> {
    use std::os::unix::process::CommandExt;
    let what = command_line(&command);
    say::step(&what);
    process::die_with_parent(&mut command);
    // A group of its own, so that a time-out ends grandchildren too.
    let mut child =
        command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("start {what}"))?;
    let ended = wait::until(&what, limit, || child.try_wait().map_err(|e| e.to_string()));
    if ended.is_err() {
        // SAFETY: kill(2) takes plain numbers; the child is not reaped, so the group is still its own.
        unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
        child.wait()?;
    }
    let status = ended?;
    if !status.success() {
        bail!("{what}: {status}");
    }
    Ok(())
}

fn command_line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}
