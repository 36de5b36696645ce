//! The binary from outside: what it prints, and how it ends.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const SOURCE: &str = r#"
[[source]]
name = "ticket"
topics = ["svc.service.ticket"]
format = "debezium-json"
primary_key = ["id"]
event_time = "updated_at"
[source.columns]
id = "int"
updated_at = "time-ms"
"#;

fn weir(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(args).current_dir(folder).env_remove("WEIR_OPERATOR_TOKEN").env_remove("WEIR_URL");
    command
}

fn output(folder: &Path, args: &[&str]) -> Output {
    weir(folder, args).output().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A configuration whose Kafka and ClickHouse nobody serves.
fn configuration(folder: &Path, port: u16, more: &str) {
    let text = format!(
        "[host]\nlisten = \"127.0.0.1:{port}\"\nstop_patience = \"1s\"\n[kafka.properties]\n\
         \"bootstrap.servers\" = \"127.0.0.1:1\"\n[clickhouse]\nurl = \"http://127.0.0.1:1\"\n{more}\n{SOURCE}"
    );
    std::fs::write(folder.join("weir.toml"), text).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}

/// A host that is killed if the test fails.
struct Host {
    child: Child,
}

impl Host {
    fn start(folder: &Path) -> Host {
        let log = File::create(folder.join("log")).unwrap();
        let child = weir(folder, &["run", "--dev"]).stderr(log).stdout(Stdio::null()).spawn().unwrap();
        Host { child }
    }
    /// Polls until it holds; panics after a minute.
    fn until(&mut self, folder: &Path, done: impl Fn() -> bool) {
        let log = || std::fs::read_to_string(folder.join("log")).unwrap();
        for _ in 0..600 {
            if done() {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the host ended: {status}\n{}", log());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("waited in vain:\n{}", log());
    }
    fn terminate(mut self) -> Option<i32> {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn a_wrong_key_ends_with_2_and_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    configuration(folder.path(), 0, "[hosts]\n");
    let output = output(folder.path(), &["run"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(error(&output), "weir: weir.toml: unknown key `hosts`; did you mean `host`?\n");
}

#[test]
fn a_file_that_is_missing_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let output = output(folder.path(), &["run", "--config", "no.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(error(&output).contains("no.toml cannot be read"), "{}", error(&output));
}

#[test]
fn a_kafka_property_that_must_stay_ends_with_2_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    configuration(folder.path(), 0, "");
    let text = std::fs::read_to_string(folder.path().join("weir.toml")).unwrap();
    let text =
        text.replace("[kafka.properties]\n", "[kafka.properties]\n\"auto.offset.reset\" = \"latest\"\n");
    std::fs::write(folder.path().join("weir.toml"), text).unwrap();
    let output = output(folder.path(), &["run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        error(&output).contains("[kafka.properties]: kafka property `auto.offset.reset`"),
        "{}",
        error(&output)
    );
}

#[test]
fn an_unknown_command_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(output(folder.path(), &["dance"]).status.code(), Some(2));
}

#[test]
fn a_port_that_is_taken_is_one_line_and_exit_1() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    configuration(folder.path(), taken.local_addr().unwrap().port(), "");
    let output = output(folder.path(), &["run"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = error(&output);
    let ours: Vec<&str> = lines.lines().filter(|l| l.starts_with("weir: ")).collect();
    assert!(ours.len() == 1 && ours[0].contains("is taken"), "{lines}");
}

#[test]
fn a_host_without_kafka_and_clickhouse_waits_with_a_reason_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    configuration(folder.path(), port, "");
    let mut host = Host::start(folder.path());
    host.until(folder.path(), || get(port, "/healthz").is_some_and(|(status, _)| status == 200));
    host.until(folder.path(), || {
        get(port, "/readyz").is_some_and(|(status, body)| status == 503 && body.contains("kafka"))
    });
    assert_eq!(host.terminate(), Some(0));
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("127.0.0.1:1"), "the reason is in the log: {log}");
}

#[test]
fn a_second_host_on_the_same_state_is_refused_by_name_and_process() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    configuration(folder.path(), port, "");
    let mut host = Host::start(folder.path());
    host.until(folder.path(), || get(port, "/healthz").is_some());
    let first = host.child.id();
    let other = tempfile::tempdir().unwrap();
    configuration(other.path(), 0, "");
    let text = std::fs::read_to_string(other.path().join("weir.toml")).unwrap();
    let state = format!("[host]\nstate = \"{}\"\n", folder.path().join("state").display());
    std::fs::write(other.path().join("weir.toml"), text.replacen("[host]\n", &state, 1)).unwrap();
    let output = output(other.path(), &["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains(&format!("in use by process {first}")), "{}", error(&output));
    assert_eq!(host.terminate(), Some(0));
}

#[test]
fn a_check_says_of_each_part_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    configuration(folder.path(), 0, "[[plugin]]\npath = \"no.wasm\"");
    let output = output(folder.path(), &["check"]);
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{lines}");
    for expected in [
        "ok   configuration: weir.toml",
        "ok   source ticket: debezium-json, 2 columns, key id, event time updated_at",
        "FAIL plugin ",
        "FAIL kafka topic svc.service.ticket: kafka does not answer",
        "FAIL clickhouse: ",
        "ok   state: ",
    ] {
        assert!(lines.contains(expected), "{expected} in {lines}");
    }
    assert!(!folder.path().join("state").exists(), "nothing is changed");
}

#[test]
fn a_plugin_call_without_a_host_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{}", free_port());
    let output = output(folder.path(), &["plugin", "list", "--url", &url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains(&url), "{}", error(&output));
}
