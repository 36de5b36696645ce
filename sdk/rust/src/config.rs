//! What the operator may set for a metric: thresholds, calendars and the like, by key.

use std::fmt::Display;
use std::str::FromStr;

/// The operator's settings as texts.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a>(&'a [(String, String)]);

impl<'a> Settings<'a> {
    pub fn new(pairs: &'a [(String, String)]) -> Self {
        Settings(pairs)
    }
    /// The value of a key, or `default` where the operator set none; `default` is written as the
    /// operator would write it.
    pub fn get<T>(&self, key: &str, default: &str) -> Result<T, String>
    where
        T: FromStr,
        T::Err: Display,
    {
        let set = self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let text = set.unwrap_or(default);
        text.parse().map_err(|why| format!("config key {key} cannot be {text:?}: {why}"))
    }
}

/// Settings of a metric, read once when it is opened. `()` is for metrics without any.
pub trait Config: Sized + Send + 'static {
    fn read(settings: &Settings<'_>) -> Result<Self, String>;
}

impl Config for () {
    fn read(_: &Settings<'_>) -> Result<Self, String> {
        Ok(())
    }
}
