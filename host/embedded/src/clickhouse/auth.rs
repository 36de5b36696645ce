//! The one user that may be asked for: so that what a wrong password does can be tested.

use super::{Args, Error};
use base64::Engine as _;
use hyper::header::{AUTHORIZATION, HeaderMap};

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    pub fn from_args(args: &Args) -> Result<Option<Credentials>, Error> {
        let (Some(user), Some(variable)) = (&args.user, &args.password_env) else { return Ok(None) };
        let password = std::env::var(variable).map_err(|_| Error::Password(variable.clone()))?;
        Ok(Some(Credentials { user: user.clone(), password }))
    }

    /// What a request brings: Basic authorization, ClickHouse's headers, or parameters of the URL.
    pub fn of_request(headers: &HeaderMap, user: Option<String>, password: Option<String>) -> Credentials {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_string);
        if let Some((user, password)) = basic(headers) {
            return Credentials { user, password };
        }
        Credentials {
            user: text("x-clickhouse-user").or(user).unwrap_or_else(|| "default".into()),
            password: text("x-clickhouse-key").or(password).unwrap_or_default(),
        }
    }

    /// Err is what ClickHouse answers.
    pub fn check(&self, given: &Credentials) -> Result<(), String> {
        if self == given {
            return Ok(());
        }
        Err(format!(
            "Code: 516. DB::Exception: {}: Authentication failed: password is incorrect, or there is no \
             user with such name. (AUTHENTICATION_FAILED)",
            given.user
        ))
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(user, password)| (user.into(), password.into()))
}
