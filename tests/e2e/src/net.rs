//! Loopback ports and plain HTTP.

use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// First port looked at; below the range the kernel gives to outgoing connections (32768…).
const FIRST: u16 = 20_000;
const RANGE: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback port that is free now, and that this process gives away once only.
pub fn free_port() -> Result<u16> {
    // Processes begin at places of their own, so that two runs seldom look at the same port.
    let offset = (std::process::id().wrapping_mul(7_919) % u32::from(RANGE)) as u16;
    for _ in 0..RANGE {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (offset.wrapping_add(step) % RANGE);
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 between {FIRST} and {}", FIRST + RANGE)
}

/// Whether nothing listens there.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether something accepts connections there.
pub fn accepts(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

/// A client that gives bodies of error answers too, and never follows a proxy setting.
pub fn agent(limit: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into()
}

/// Status and body of a GET.
pub fn get(url: &str, limit: Duration) -> Result<(u16, String)> {
    let mut answer = agent(limit).get(url).call().with_context(|| format!("GET {url}"))?;
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_string()?;
    Ok((answer.status().as_u16(), body))
}

/// Status and body of a POST.
pub fn post(url: &str, body: &[u8], headers: &[(&str, &str)], limit: Duration) -> Result<(u16, String)> {
    let mut request = agent(limit).post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.send(body).with_context(|| format!("POST {url}"))?;
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_string()?;
    Ok((answer.status().as_u16(), body))
}
