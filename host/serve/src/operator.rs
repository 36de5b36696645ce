//! Who may change anything, and how the engine is asked for it.

use crate::options::Options;
use crate::problem::Problem;
use crate::server::App;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use std::net::SocketAddr;
use std::sync::Arc;
use weir_types::control::{Control, ControlError};

/// Asks the engine on a thread that may block: its calls last until the change is durable.
pub(crate) async fn call<T: Send + 'static>(
    app: &App,
    ask: impl FnOnce(&dyn Control) -> Result<T, ControlError> + Send + 'static,
) -> Result<T, Problem> {
    let control = app.control.get();
    let control: Arc<dyn Control> = control.ok_or_else(|| {
        Problem::engine_unavailable("the engine is still starting; /readyz says what it waits for")
    })?;
    let answer = tokio::task::spawn_blocking(move || ask(control.as_ref())).await;
    let answer = answer.map_err(|_| Problem::internal("the request to the engine failed; see the log"))?;
    answer.map_err(|error| match error {
        ControlError::Refused(reason) => Problem::refused(reason),
        ControlError::NotFound(metric) => Problem::unknown_metric(&metric),
        ControlError::UnknownSource(source) => Problem::unknown_source(&source),
        ControlError::Conflict(reason) => Problem::conflict(reason),
        ControlError::WrongState(reason) => Problem::wrong_state(reason),
        ControlError::Unavailable(reason) => Problem::engine_unavailable(reason),
    })
}

/// Whether the caller may change anything: with the operator's token, or under `--dev` from this
/// machine if none is configured.
pub(crate) fn permitted(options: &Options, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Problem> {
    match &options.operator_token {
        Some(token) => bears(token, headers),
        None if !options.dev => Err(Problem::forbidden(
            "changes need an operator token: set [tokens] operator in the configuration",
        )),
        None => local(peer, headers),
    }
}

fn bears(token: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    let given =
        given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let Some(given) = given else {
        return Err(Problem::unauthorized("send the operator's token as Authorization: Bearer …"));
    };
    // Hashes compare in constant time, and hide the lengths.
    if blake3::hash(given.as_bytes()) == blake3::hash(token.as_bytes()) {
        Ok(())
    } else {
        Err(Problem::unauthorized("the token is not the operator's"))
    }
}

/// Only programs of this machine: not a page of a foreign site in this machine's browser (which
/// sends its own Origin, or after DNS rebinding its own Host), nor what a proxy passes on.
fn local(peer: SocketAddr, headers: &HeaderMap) -> Result<(), Problem> {
    let proxied =
        ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name));
    if !peer.ip().to_canonical().is_loopback() || proxied {
        return Err(Problem::forbidden(
            "without an operator token changes are allowed only from the machine itself",
        ));
    }
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if !text(HOST).is_some_and(is_loopback_host) {
        return Err(Problem::forbidden(
            "the Host header must name this machine, like 127.0.0.1 or localhost",
        ));
    }
    let foreign = match text(ORIGIN) {
        None => false,
        Some(origin) => origin.strip_prefix("http://") != text(HOST),
    };
    let cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if foreign || cross_site {
        return Err(Problem::forbidden("another site's page may not change anything"));
    }
    Ok(())
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback_hosts() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.1.2.3:80", "[::1]:8080"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["", "evil.example", "127.0.0.1.evil.example:8080", "localhost.evil", "10.0.0.1", "[::2]"]
        {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
