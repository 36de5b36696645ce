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
    pub fn get<T: Setting>(&self, key: &str, default: &str) -> Result<T, String> {
        T::setting(self, key, default)
    }

    /// What the operator wrote under a key.
    fn text(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// A type that a setting can have: whatever can be parsed, and [`ByKey`] of it.
pub trait Setting: Sized {
    fn setting(settings: &Settings<'_>, key: &str, default: &str) -> Result<Self, String>;
}

impl<T> Setting for T
where
    T: FromStr,
    T::Err: Display,
{
    fn setting(settings: &Settings<'_>, key: &str, default: &str) -> Result<Self, String> {
        parsed(key, settings.text(key).unwrap_or(default))
    }
}

fn parsed<T>(key: &str, text: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|why| format!("config key {key} cannot be {text:?}: {why}"))
}

/// A setting that may differ by a number such as a queue's: `target_s = "20"` is for all, and
/// `target_s.7 = "30"` for 7 alone. A threshold in whole seconds that cannot be negative is a
/// `ByKey<u32>`.
///
/// ```
/// use weir_metric::config::{ByKey, Settings};
/// # fn main() -> Result<(), String> {
/// let set = [("target_s.7".to_owned(), "30".to_owned())];
/// let target_s: ByKey<u32> = Settings::new(&set).get("target_s", "20")?;
/// assert_eq!((target_s.of(7), target_s.of(8)), (30, 20));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByKey<T> {
    rest: T,
    /// Ascending by key, each once.
    own: Vec<(i64, T)>,
}

impl<T: Copy> ByKey<T> {
    /// The setting of a key: its own, or the one for all.
    #[inline]
    pub fn of(&self, key: i64) -> T {
        match self.own.binary_search_by_key(&key, |own| own.0) {
            Ok(at) => self.own.get(at).map_or(self.rest, |own| own.1),
            Err(_) => self.rest,
        }
    }
}

impl<T> Setting for ByKey<T>
where
    T: FromStr,
    T::Err: Display,
{
    fn setting(settings: &Settings<'_>, key: &str, default: &str) -> Result<Self, String> {
        let rest = settings.get(key, default)?;
        let mut own: Vec<(i64, T)> = Vec::new();
        for (name, text) in settings.0 {
            let Some(number) = name.strip_prefix(key).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            let number = number.parse().map_err(|why| {
                format!("config key {name}: {number:?} is no number to set {key} for: {why}")
            })?;
            match own.binary_search_by_key(&number, |own| own.0) {
                Ok(_) => return Err(format!("config key {name}: {key} is set twice for {number}")),
                Err(at) => own.insert(at, (number, parsed(name, text)?)),
            }
        }
        Ok(ByKey { rest, own })
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

#[cfg(test)]
mod tests;
