//! The dashboard: files built by Vite, embedded into the binary.

use crate::problem::Problem;
use crate::server::{Reply, full};
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "dashboard/dist"]
struct Dist;

/// Nothing from elsewhere is loaded, no script or style stands in the page, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The embedded file of a path.
fn file_of(path: &str) -> &str {
    match path {
        "/" => "index.html",
        _ => path.strip_prefix('/').unwrap_or(path),
    }
}

pub(crate) fn exists(path: &str) -> bool {
    Dist::get(file_of(path)).is_some()
}

pub(crate) fn reply(path: &str) -> Result<Reply, Problem> {
    let name = file_of(path);
    let file = Dist::get(name).ok_or_else(|| Problem::not_found(path))?;
    let mut reply = Response::new(match file.data {
        std::borrow::Cow::Borrowed(bytes) => full(bytes),
        std::borrow::Cow::Owned(bytes) => full(bytes),
    });
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    // Names in assets/ carry a hash of the content; everything else is asked for each time.
    let caching =
        if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert("content-security-policy", HeaderValue::from_static(POLICY));
    Ok(reply)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "webmanifest" => "application/json",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
