//! The line between host and ClickHouse. It can hold an insert back: the host is killed meanwhile, and the
//! insert reaches ClickHouse long after the host's successor has written newer rows, as bytes do that waited
//! in a proxy or in the kernel. Only the version in the rows tells then which is newer.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How the request line of an insert of values begins its query, url-encoded or not.
const INSERT: &[u8] = b"INSERT";
const TABLE: &[u8] = b"metric_realtime";
/// How long ClickHouse may take to answer an insert that was held back.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Shared {
    /// The next insert is to be held back.
    armed: AtomicBool,
    /// An insert is held back and not let go yet.
    holding: AtomicBool,
    /// When what is held back goes on.
    release: Mutex<Option<Instant>>,
    held: AtomicU64,
    arrived: AtomicU64,
}

/// A listener that passes on to one server. Its threads end with the process.
pub struct Line {
    port: u16,
    shared: Arc<Shared>,
}

impl Line {
    /// `server`: port of the server, on this machine.
    pub fn start(server: u16) -> Result<Line> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for the host")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let for_thread = shared.clone();
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, server));
        std::thread::Builder::new().name("line".into()).spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = for_thread.clone();
                // A server that is away: the client sees its connection closed.
                if let Ok(server) = TcpStream::connect_timeout(&target, Duration::from_secs(2)) {
                    std::thread::spawn(move || pass_on(client, server, &shared));
                }
            }
        })?;
        Ok(Line { port, shared })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next insert of values is held back.
    pub fn hold_next(&self) {
        *lock(&self.shared.release) = None;
        self.shared.armed.store(true, Ordering::Release);
    }

    pub fn is_holding(&self) -> bool {
        self.shared.holding.load(Ordering::Acquire)
    }

    /// What is held back goes on at this time; what was to be held is not held any more.
    pub fn release_at(&self, time: Instant) {
        self.shared.armed.store(false, Ordering::Release);
        *lock(&self.shared.release) = Some(time);
    }

    /// Inserts held back, and those that ClickHouse took afterwards.
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.held.load(Ordering::Relaxed), self.shared.arrived.load(Ordering::Relaxed))
    }
}

fn lock(release: &Mutex<Option<Instant>>) -> std::sync::MutexGuard<'_, Option<Instant>> {
    release.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection: answers on a thread of their own, requests on this one.
fn pass_on(client: TcpStream, server: TcpStream, shared: &Shared) {
    let (Ok(mut answers), Ok(mut to_client)) = (server.try_clone(), client.try_clone()) else { return };
    let ended = Arc::new(AtomicBool::new(false));
    let heard = Arc::new(AtomicU64::new(0));
    let (ends, hears) = (ended.clone(), heard.clone());
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(n @ 1..) = answers.read(&mut buffer) {
            hears.fetch_add(n as u64, Ordering::Release);
            // A client that is gone must not keep the server from being heard.
            let _gone = to_client.write_all(&buffer[..n]);
        }
        ends.store(true, Ordering::Release);
        let _closed = to_client.shutdown(Shutdown::Both);
    });
    let heard_before = || heard.load(Ordering::Acquire);
    if let Some((held, before)) = requests(client, &server, shared, &heard_before) {
        arrive_late(&held, &server, shared, &|| heard_before() > before, &ended);
    }
    let _closed = server.shutdown(Shutdown::Both);
}

/// Passes requests on until the client is gone. Gives what was held back, and how many bytes of answers
/// had come by then.
fn requests(
    mut client: TcpStream,
    mut server: &TcpStream,
    shared: &Shared,
    heard: &dyn Fn() -> u64,
) -> Option<(Vec<u8>, u64)> {
    let mut buffer = vec![0; 64 << 10];
    let mut held: Option<(Vec<u8>, u64)> = None;
    while let Ok(n @ 1..) = client.read(&mut buffer) {
        let bytes = &buffer[..n];
        if held.is_none() && begins_insert(bytes) && shared.armed.swap(false, Ordering::AcqRel) {
            held = Some((Vec::new(), heard()));
            shared.held.fetch_add(1, Ordering::Relaxed);
            shared.holding.store(true, Ordering::Release);
        }
        match &mut held {
            Some((kept, _)) => kept.extend_from_slice(bytes),
            None => server.write_all(bytes).ok()?,
        }
    }
    held
}

fn begins_insert(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(2_048)];
    let holds = |what: &[u8]| head.windows(what.len()).any(|window| window == what);
    head.starts_with(b"POST ") && holds(INSERT) && holds(TABLE)
}

/// The client is dead; its bytes go on when their time has come.
fn arrive_late(
    held: &[u8],
    mut server: &TcpStream,
    shared: &Shared,
    answered: &dyn Fn() -> bool,
    ended: &AtomicBool,
) {
    while lock(&shared.release).is_none_or(|time| Instant::now() < time) {
        std::thread::sleep(STEP);
    }
    let sent = server.write_all(held).is_ok();
    let limit = Instant::now() + ANSWER_LIMIT;
    while sent && !answered() && !ended.load(Ordering::Acquire) && Instant::now() < limit {
        std::thread::sleep(STEP);
    }
    if sent && answered() {
        shared.arrived.fetch_add(1, Ordering::Relaxed);
    }
    shared.holding.store(false, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    /// A server that tells all it hears and answers every piece.
    fn server() -> (u16, Receiver<String>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let tell = tell.clone();
                std::thread::spawn(move || {
                    let mut buffer = [0; 4_096];
                    while let Ok(n @ 1..) = stream.read(&mut buffer) {
                        let _gone = tell.send(String::from_utf8_lossy(&buffer[..n]).into_owned());
                        let _gone = stream.write_all(b"answer");
                    }
                });
            }
        });
        (port, told)
    }

    fn send(line: &Line, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, line.port)).expect("connect");
        stream.write_all(text.as_bytes()).expect("send");
        stream
    }

    const OF_VALUES: &str = "POST /?query=INSERT+INTO+weir.metric_realtime HTTP/1.1\r\n\r\nrows";

    #[test]
    fn requests_and_answers_pass() {
        let (port, told) = server();
        let line = Line::start(port).expect("start");
        let mut stream = send(&line, OF_VALUES);
        assert_eq!(told.recv().expect("heard"), OF_VALUES);
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"answer");
        assert_eq!(line.counts(), (0, 0));
    }

    #[test]
    fn an_insert_held_back_arrives_after_what_was_sent_later_though_its_sender_is_dead() {
        let (port, told) = server();
        let line = Line::start(port).expect("start");
        line.hold_next();
        drop(send(&line, OF_VALUES));
        while !line.is_holding() {
            std::thread::sleep(STEP);
        }
        let _later = send(&line, "POST /?query=INSERT+INTO+weir.metric_realtime HTTP/1.1\r\n\r\nnewer");
        assert!(told.recv().expect("heard").ends_with("newer"));
        line.release_at(Instant::now());
        assert_eq!(told.recv().expect("heard"), OF_VALUES);
        while line.is_holding() {
            std::thread::sleep(STEP);
        }
        assert_eq!(line.counts(), (1, 1));
    }

    #[test]
    fn other_statements_are_not_held() {
        let (port, told) = server();
        let line = Line::start(port).expect("start");
        line.hold_next();
        let _stream = send(&line, "POST /?query=SELECT+1+FROM+metric_realtime HTTP/1.1\r\n\r\n");
        assert!(told.recv().expect("heard").contains("SELECT"));
        assert!(!line.is_holding());
    }
}
