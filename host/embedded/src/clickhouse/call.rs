//! A request as ClickHouse's HTTP interface understands it: what the URL, the headers and a
//! multipart body say.

use super::auth::Credentials;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;

/// Parameters of the URL that are neither settings nor served in any other way than ignored.
const IGNORED: &[&str] = &[
    "quota_key",
    "stacktrace",
    "role",
    "buffer_size",
    "wait_end_of_query",
    "client_protocol_version",
    "enable_http_compression",
    "http_zlib_compression_level",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "add_http_cors_header",
    "cancel_http_readonly_queries_on_client_close",
];

/// One request.
#[derive(Default)]
pub struct Call {
    /// The statement as far as it stands in the URL; the body goes on with it.
    pub sql: String,
    pub params: Vec<(String, String)>,
    pub settings: Vec<(String, String)>,
    pub database: Option<String>,
    pub default_format: Option<String>,
    /// The body is in compressed blocks.
    pub decompress: bool,
    pub query_id: Option<String>,
    /// GET may read only.
    pub readonly: bool,
    user: Option<String>,
    password: Option<String>,
    /// The first thing asked for that is not served.
    refused: Option<String>,
}

impl Call {
    pub fn of_request(parts: &Parts) -> Call {
        let mut call = Call { readonly: parts.method == hyper::Method::GET, ..Call::default() };
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            call.set(&name, value.into_owned());
        }
        let header = |name: &str| parts.headers.get(name)?.to_str().ok().map(str::to_string);
        call.database = call.database.or_else(|| header("x-clickhouse-database"));
        call.default_format = call.default_format.or_else(|| header("x-clickhouse-format"));
        if let Some(encoding) = header("content-encoding").filter(|e| e != "identity") {
            call.refuse(format!("Content-Encoding: {encoding}"));
        }
        call
    }

    /// Err is what ClickHouse would say.
    pub fn check(&self) -> Result<(), String> {
        match &self.refused {
            None => Ok(()),
            Some(what) => Err(format!(
                "Code: 48. DB::Exception: {what} is not served by Weir's embedded engine; use a ClickHouse \
                 server. (NOT_IMPLEMENTED)"
            )),
        }
    }

    pub fn credentials(&self, parts: &Parts) -> Credentials {
        Credentials::of_request(&parts.headers, self.user.clone(), self.password.clone())
    }

    fn refuse(&mut self, what: String) {
        self.refused.get_or_insert(what);
    }

    fn set(&mut self, name: &str, value: String) {
        match name {
            "query" => self.sql = value,
            "database" => self.database = Some(value),
            "default_format" => self.default_format = Some(value),
            "decompress" => self.decompress = value == "1",
            "query_id" => self.query_id = Some(value),
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "compress" if value == "0" => {}
            "compress" | "session_id" => self.refuse(format!("the URL parameter {name}")),
            _ if IGNORED.contains(&name) => {}
            _ => match name.strip_prefix("param_") {
                Some(param) => self.params.push((param.into(), value)),
                None => self.settings.push((name.into(), value)),
            },
        }
    }

    /// Takes over the parts of a multipart form, in which the `clickhouse` crate sends parameters.
    pub fn take_form(&mut self, boundary: &str, body: &[u8]) {
        let body = String::from_utf8_lossy(body);
        for part in body.split(&format!("--{boundary}")) {
            let Some((head, value)) = part.split_once("\r\n\r\n") else { continue };
            let name = head.split_once("name=\"").and_then(|(_, rest)| rest.split_once('"'));
            if let Some((name, _)) = name {
                self.set(name, value.strip_suffix("\r\n").unwrap_or(value).to_string());
            }
        }
    }
}

/// The boundary of a multipart body; None if the body is none.
pub fn form_boundary(parts: &Parts) -> Option<String> {
    let kind = parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let rest = kind.strip_prefix("multipart/form-data")?;
    let (_, boundary) = rest.split_once("boundary=")?;
    Some(boundary.trim_matches('"').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(uri: &str) -> Call {
        let request = hyper::Request::get(uri).body(()).expect("a request");
        Call::of_request(&request.into_parts().0)
    }

    #[test]
    fn what_is_no_parameter_of_the_interface_is_a_setting() {
        let call = call("/?query=SELECT%201&max_threads=2&param_x=a+b&wait_end_of_query=1&database=d");
        assert_eq!(call.sql, "SELECT 1");
        assert_eq!(call.settings, [("max_threads".to_string(), "2".to_string())]);
        assert_eq!(call.params, [("x".to_string(), "a b".to_string())]);
        assert_eq!(call.database.as_deref(), Some("d"));
        assert!(call.readonly && call.check().is_ok());
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let error = call("/?session_id=1&compress=1").check().expect_err("refused");
        assert!(error.contains("session_id"), "{error}");
    }

    #[test]
    fn a_form_brings_statement_and_parameters() {
        let mut call = Call::default();
        let body = "--B\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT {x:String}\r\n\
                    --B\r\nContent-Disposition: form-data; name=\"param_x\"\r\n\r\na\r\nb\r\n--B--\r\n";
        call.take_form("B", body.as_bytes());
        assert_eq!(call.sql, "SELECT {x:String}");
        assert_eq!(call.params, [("x".to_string(), "a\r\nb".to_string())]);
    }
}
