//! The engine process as any HTTP client sees it. What the `clickhouse` crate does with it is tested in
//! weir-clickhouse.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;
use weir_embedded::clickhouse::Process;

struct Engine {
    process: Process,
    _dir: tempfile::TempDir,
}

/// Status, error code and body.
type Answer = (u16, Option<String>, String);

impl Engine {
    fn start() -> Option<Engine> {
        let lib = PathBuf::from(std::env::var_os("WEIR_CHDB_LIB").or_else(|| {
            eprintln!("skipped: set WEIR_CHDB_LIB");
            None
        })?);
        let dir = tempfile::tempdir().unwrap();
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_weir-embedded"));
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let process = Process::start(&binary, &lib, dir.path(), any_port).unwrap();
        Some(Engine { process, _dir: dir })
    }

    fn post(&self, path: &str, body: &[u8]) -> Answer {
        answer(agent().post(format!("{}{path}", self.process.url)).send(body).unwrap())
    }

    fn get(&self, path: &str) -> Answer {
        answer(agent().get(format!("{}{path}", self.process.url)).call().unwrap())
    }

    fn ask(&self, sql: &str) -> String {
        let (status, _, body) = self.post("/", sql.as_bytes());
        assert_eq!(status, 200, "{body}");
        body
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let code = response.headers().get("x-clickhouse-exception-code");
    let code = code.map(|c| c.to_str().unwrap().to_string());
    (response.status().as_u16(), code, response.body_mut().read_to_string().unwrap())
}

#[test]
fn statements_parameters_settings_and_formats_come_by_url_and_body() {
    let Some(engine) = Engine::start() else { return };
    assert_eq!(engine.get("/ping").2, "Ok.\n");
    assert_eq!(engine.get("/?query=SELECT%201").2, "1\n");
    assert_eq!(engine.ask("SELECT 1 AS a FORMAT JSONEachRow"), "{\"a\":1}\n");
    let (_, _, body) =
        engine.post("/?default_format=JSONCompactEachRow&param_x=a%5Ctb", b"SELECT {x:String}");
    assert_eq!(body, "[\"a\\tb\"]\n", "parameters are escaped as ClickHouse has them");
    let (_, _, body) = engine.post("/?max_threads=1", b"SELECT getSetting('max_threads')");
    assert_eq!(body, "1\n");
    let (_, _, body) = engine.post("/?database=system", b"SELECT count() > 0 FROM tables");
    assert_eq!(body, "1\n");
}

#[test]
fn inserts_take_their_data_from_body_or_statement_and_never_run_them() {
    let Some(engine) = Engine::start() else { return };
    engine.ask("CREATE TABLE t (a Int64, b String) ENGINE = MergeTree ORDER BY a");
    assert_eq!(engine.post("/?query=INSERT%20INTO%20t%20FORMAT%20CSV", b"1,x\n2,y\n").0, 200);
    engine.ask("INSERT INTO t VALUES (3, 'z')");
    engine.ask("INSERT INTO t FORMAT JSONEachRow\n{\"a\": 4, \"b\": \"\\n\\n; DROP TABLE t\"}");
    engine.ask("INSERT INTO t SELECT 5, 'q'");
    engine.post("/?query=INSERT%20INTO%20t%20FORMAT%20LineAsString", b"x\n\nDROP TABLE t\n");
    assert_eq!(engine.ask("SELECT count(), sum(a) FROM t WHERE a > 0"), "5\t15\n");
}

#[test]
fn errors_have_clickhouses_status_and_code() {
    let Some(engine) = Engine::start() else { return };
    let fails = |path: &str, sql: &str, status: u16, code: &str| {
        let (found, number, body) = engine.post(path, sql.as_bytes());
        assert_eq!((found, number.as_deref()), (status, Some(code)), "{sql}: {body}");
        assert!(body.starts_with(&format!("Code: {code}. DB::Exception: ")), "{body}");
    };
    fails("/", "SELEKT 1", 400, "62");
    fails("/", "", 400, "62");
    fails("/", "SELECT 1; SELECT 2", 400, "62");
    fails("/", "SELECT * FROM nowhere", 404, "60");
    fails("/?database=nowhere", "SELECT 1", 404, "81");
    fails("/?max_execution_time=1", "SELECT sum(cityHash64(number)) FROM numbers(1000000000000)", 408, "159");
    fails("/?session_id=1", "SELECT 1", 501, "48");
    fails("/?compress=1", "SELECT 1", 501, "48");
    fails(
        "/?decompress=1&query=INSERT%20INTO%20FUNCTION%20null('a%20Int8')%20FORMAT%20CSV",
        "no blocks, but long enough",
        500,
        "271",
    );
    let (status, code, _) = engine.get("/?query=CREATE%20DATABASE%20d");
    assert_eq!((status, code.as_deref()), (500, Some("164")), "GET reads only");
    assert_eq!(engine.get("/elsewhere").0, 404);
    assert_eq!(engine.ask("SELECT 1"), "1\n", "it goes on");
}

#[test]
fn a_client_that_goes_away_in_the_middle_of_an_insert_inserts_nothing() {
    let Some(engine) = Engine::start() else { return };
    engine.ask("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a");
    let address = engine.process.url.trim_start_matches("http://").to_string();
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = format!(
        "POST /?query=INSERT%20INTO%20t%20FORMAT%20CSV HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1000\r\n\r\n1\n2\n3\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    drop(stream);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(engine.ask("SELECT count() FROM t"), "0\n");
}

#[test]
fn a_graceful_stop_lets_a_running_insert_end() {
    let Some(mut engine) = Engine::start() else { return };
    engine.ask("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a");
    let address = engine.process.url.trim_start_matches("http://").to_string();
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = format!(
        "POST /?query=INSERT%20INTO%20t%20FORMAT%20CSV HTTP/1.1\r\nHost: {address}\r\nContent-Length: 4\r\nConnection: close\r\n\r\n1\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let client = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        stream.write_all(b"2\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    engine.process.stop();
    let answer = client.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!engine.process.is_running());
}
