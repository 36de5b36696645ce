//! The steps, in the order in which a mistake shows soonest.

use super::{Done, Options, Step, shown};
use crate::{build, dirs, fences, languages, plugins, tools};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use weir_e2e::kafka::Kafka;
use weir_e2e::minio::Minio;
use weir_e2e::paths;

pub const ALL: [Step; 18] = [
    Step { name: "tools", metrics: false, servers: true, run: all_tools },
    Step { name: "format", metrics: false, servers: false, run: format },
    Step { name: "fences", metrics: false, servers: false, run: fences },
    Step { name: "licences (cargo-deny)", metrics: false, servers: false, run: deny },
    Step { name: "components", metrics: true, servers: false, run: components },
    Step { name: "programs and tests", metrics: false, servers: false, run: everything },
    Step { name: "clippy", metrics: false, servers: false, run: clippy },
    Step { name: "tests of the crates", metrics: false, servers: false, run: crates },
    Step { name: "plugins' own tests", metrics: true, servers: false, run: plugin_tests },
    // Fetches compilers of other languages, so it is none for the inner loop.
    Step { name: "languages", metrics: true, servers: true, run: other_languages },
    Step { name: "dashboard", metrics: false, servers: false, run: dashboard },
    Step { name: "tests over a broker", metrics: false, servers: true, run: over_a_broker },
    Step { name: "state on S3", metrics: true, servers: true, run: on_s3 },
    Step { name: "real services", metrics: true, servers: true, run: services },
    Step { name: "end to end", metrics: true, servers: true, run: end_to_end },
    Step { name: "demo", metrics: true, servers: true, run: demo },
    Step { name: "chaos", metrics: true, servers: true, run: chaos },
    Step { name: "a day over real services", metrics: true, servers: true, run: demo_real },
];

/// Tests that wait for servers, by the step that starts these.
const OVER_A_BROKER: [&str; 1] = ["kafka"];
const ON_S3: [&str; 2] = ["s3", "take_over"];
const REAL_SERVICES: [&str; 2] = ["services", "table_changes"];
const END_TO_END: [&str; 9] =
    ["bad_input", "dlq", "holds", "memory", "outages", "plain_rows", "refusals", "restart", "state"];

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn in_plugins(args: &[&str]) -> Result<Command> {
    let mut command = Command::new("cargo");
    command.current_dir(dirs::workspace().join("plugins"));
    command.env("CARGO_TARGET_DIR", dirs::target()?.join("plugins")).args(args);
    Ok(command)
}

/// Everything that has to be fetched, before the first test: browser and checker tests run where
/// their programs are.
fn all_tools(_: &Options) -> Result<Done> {
    tools::ensure_named(&[])?;
    Ok(Done::Passed)
}

fn format(_: &Options) -> Result<Done> {
    let mut command = Command::new("cargo");
    command.current_dir(dirs::workspace()).args(["fmt", "--all", "--check"]);
    shown(command, minutes(2))?;
    if plugins::missing().is_none() {
        shown(in_plugins(&["fmt", "--all", "--check"])?, minutes(2))?;
    }
    Ok(Done::Passed)
}

fn fences(_: &Options) -> Result<Done> {
    if fences::run()? { Ok(Done::Passed) } else { bail!("a crate uses what it must not") }
}

/// cargo-deny takes minutes to compile: it is used where it is installed. Its fences stand in `fences` too.
fn deny(_: &Options) -> Result<Done> {
    if tools::which("cargo-deny").is_none() {
        return Ok(Done::LeftOut("cargo-deny is not installed (cargo install cargo-deny)".into()));
    }
    let mut command = Command::new("cargo");
    command.current_dir(dirs::workspace()).args(["deny", "check", "bans", "licenses", "sources"]);
    shown(command, minutes(5))?;
    Ok(Done::Passed)
}

fn components(_: &Options) -> Result<Done> {
    plugins::build()?;
    Ok(Done::Passed)
}

/// Compiles all that later steps run, at once: cargo chooses the features of dependencies by what is
/// built together, so that building parts apart would compile half of the dependencies twice.
fn everything(_: &Options) -> Result<Done> {
    build::everything()?;
    Ok(Done::Passed)
}

fn clippy(_: &Options) -> Result<Done> {
    let mut command = build::cargo("clippy")?;
    command.args(["--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    shown(command, minutes(30))?;
    if plugins::missing().is_none() {
        let args = ["clippy", "--quiet", "--release", "--all-targets", "--", "-D", "warnings"];
        shown(in_plugins(&args)?, minutes(10))?;
    }
    Ok(Done::Passed)
}

/// Tests that need a server, a browser or components say that they were left out where `--quick` does
/// not hand them any.
fn crates(options: &Options) -> Result<Done> {
    let mut command = build::cargo("test")?;
    command.args(["--workspace", "--no-fail-fast"]);
    match options.quick {
        true if plugins::missing().is_none() => {
            command.env(paths::COMPONENTS, plugins::build()?);
        }
        true => {}
        false => with_env(&mut command)?,
    }
    shown(command, minutes(40))?;
    Ok(Done::Passed)
}

fn plugin_tests(_: &Options) -> Result<Done> {
    shown(in_plugins(&["test", "--release", "--quiet"])?, minutes(10))?;
    Ok(Done::Passed)
}

/// The metrics that exist in several languages: laws, and the same rows. A language whose tools cannot be had is
/// left out, and the others are tested.
fn other_languages(_: &Options) -> Result<Done> {
    let built = languages::build()?;
    let mut command = build::cargo("test")?;
    command.args(["--workspace", "--test", "languages", "--", "--nocapture", "--test-threads", "1"]);
    command.env(paths::COMPONENTS, plugins::build()?).env(paths::LANGUAGES, &built.folder);
    shown(command, minutes(15))?;
    match built.left_out.is_empty() {
        true => Ok(Done::Passed),
        false => Ok(Done::LeftOut(built.left_out.join("; "))),
    }
}

/// The page's own tests, and whether the embedded build is that of the sources.
fn dashboard(_: &Options) -> Result<Done> {
    let source = dirs::workspace().join("host/serve/dashboard");
    if !tools::node::is_there() {
        return Ok(Done::LeftOut("node is not installed: the embedded page is taken as it is".into()));
    }
    // A copy, so that the clone stays as it is.
    let copy = dirs::target()?.join("dashboard");
    dirs::make(&copy)?;
    let mut sync = Command::new("sh");
    sync.arg("-c");
    sync.arg("cd \"$1\" && tar cf - --exclude=node_modules --exclude=dist . | tar xf - -C \"$2\"");
    sync.arg("sh").arg(&source).arg(&copy);
    shown(sync, minutes(1))?;
    let npm = |args: &[&str]| {
        let mut command = Command::new("npm");
        command.current_dir(&copy).args(args);
        command
    };
    shown(npm(&["ci", "--no-audit", "--no-fund", "--silent"]), minutes(10))?;
    shown(npm(&["test", "--silent"]), minutes(5))?;
    shown(npm(&["run", "build", "--silent"]), minutes(5))?;
    same_files(&copy.join("dist"), &source.join("dist"))?;
    Ok(Done::Passed)
}

fn same_files(built: &Path, kept: &Path) -> Result<()> {
    let mut command = Command::new("diff");
    command.arg("-rq").arg(built).arg(kept);
    let output = command.output().context("start diff")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        bail!(
            "the embedded page is not that of its sources: run `npm run build` in host/serve/dashboard \
             and commit dist ({})",
            text.trim()
        );
    }
    Ok(())
}

/// What tests with servers are told.
fn with_env(command: &mut Command) -> Result<()> {
    let bins = dirs::bins()?;
    if plugins::missing().is_none() {
        command.env(paths::COMPONENTS, plugins::build()?);
    }
    command.env(paths::EMBEDDED_BIN, bins.embedded()).env(paths::WEIR_BIN, bins.weir());
    command.env(paths::BIN_DIR, &bins.dir);
    command.env(paths::CHDB_LIB, tools::chdb::ensure()?);
    command.env(paths::KAFKA, tools::jars::kafka()?).env(paths::CONNECT, tools::jars::connect()?);
    command.env(paths::CHROMIUM, tools::programs::chromium()?);
    command.env(paths::PROMTOOL, tools::programs::promtool()?);
    tools::programs::mariadb()?;
    Ok(())
}

/// Named integration tests, those that wait for servers included.
fn named(tests: &[&str], threads: &str) -> Result<Command> {
    let mut command = build::cargo("test")?;
    with_env(&mut command)?;
    command.args(["--workspace", "--no-fail-fast"]);
    for test in tests {
        command.args(["--test", test]);
    }
    command.args(["--", "--include-ignored", "--test-threads", threads]);
    Ok(command)
}

/// The reader's tests, over a broker of their own.
fn over_a_broker(_: &Options) -> Result<Done> {
    let folder = dirs::target()?.join(format!("kafka-{}", std::process::id()));
    dirs::make(&folder)?;
    let kafka = Kafka::started(&tools::jars::kafka()?, &folder)?;
    let mut command = named(&OVER_A_BROKER, "1")?;
    command.env("WEIR_TEST_KAFKA", kafka.bootstrap());
    let tested = shown(command, minutes(10));
    drop(kafka);
    std::fs::remove_dir_all(&folder)?;
    tested.map(|()| Done::Passed)
}

/// The state store, and hosts that take it over from each other, on an S3-compatible server.
fn on_s3(_: &Options) -> Result<Done> {
    if let Some(reason) = tools::minio::missing() {
        return Ok(Done::LeftOut(reason));
    }
    let folder = dirs::target()?.join(format!("minio-{}", std::process::id()));
    dirs::make(&folder)?;
    let minio = Minio::started(&tools::minio::ensure()?, &folder)?;
    let mut command = named(&ON_S3, "2")?;
    command.envs(minio.environment()).env(paths::S3, minio.url("tests"));
    let tested = shown(command, minutes(15));
    drop(minio);
    std::fs::remove_dir_all(&folder)?;
    tested.map(|()| Done::Passed)
}

/// The real services alone, which need nothing of ours.
fn services(_: &Options) -> Result<Done> {
    shown(named(&REAL_SERVICES, "1")?, minutes(15))?;
    Ok(Done::Passed)
}

fn end_to_end(_: &Options) -> Result<Done> {
    shown(named(&END_TO_END, "2")?, minutes(20))?;
    Ok(Done::Passed)
}

/// The test of memory while ClickHouse is away, for so long and under such a load.
pub fn outage(seconds: u64, rate: u32) -> Result<bool> {
    build::everything()?;
    let mut command = named(&["memory"], "1")?;
    command.arg("--nocapture");
    command.env(paths::OUTAGE, seconds.to_string()).env(paths::OUTAGE_RATE, rate.to_string());
    shown(command, Duration::from_secs(1_800 + 10 * seconds))?;
    Ok(true)
}

/// A demo in a process of its own.
fn run_demo(args: &[&str], limit: Duration) -> Result<Done> {
    let mut command = dirs::xtask()?;
    command.args(["demo", "--built"]).args(args);
    shown(command, limit)?;
    Ok(Done::Passed)
}

fn demo(_: &Options) -> Result<Done> {
    run_demo(&["--for", "30s", "--check", "--seed", "1"], minutes(10))
}

/// A dozen kills among bad, late and repeated records; the full run has 200.
fn chaos(_: &Options) -> Result<Done> {
    let mut command = dirs::xtask()?;
    command.args(["chaos", "--built", "--kills", "12", "--seed", "2"]);
    shown(command, minutes(10))?;
    Ok(Done::Passed)
}

fn demo_real(_: &Options) -> Result<Done> {
    let args = ["--real", "--day", "--for", "120s", "--check", "--seed", "3", "--rate", "300"];
    run_demo(&args, minutes(15))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    /// The integration tests of a crate.
    fn tests_of(package: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(package.join("tests")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "rs")).collect()
    }

    #[test]
    fn every_test_that_waits_for_servers_is_run_by_a_step() {
        let run: Vec<&str> = [&OVER_A_BROKER[..], &ON_S3, &REAL_SERVICES, &END_TO_END].concat();
        let mut waiting = Vec::new();
        for folder in ["host", "tests", "sdk"] {
            let packages =
                fs::read_dir(dirs::workspace().join(folder)).expect("a folder of crates").flatten();
            for test in packages.flat_map(|package| tests_of(&package.path())) {
                let text = fs::read_to_string(&test).expect("readable");
                if text.contains("#[ignore") {
                    waiting.push(test.file_stem().expect("named").to_string_lossy().into_owned());
                }
            }
        }
        waiting.sort();
        let mut run: Vec<String> = run.into_iter().map(str::to_owned).collect();
        run.sort();
        assert_eq!(waiting, run);
    }
}
