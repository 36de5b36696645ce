#![allow(clippy::unwrap_used)]
use super::*;
use crate::Config;
use crate::business::BusinessHours;

fn pairs(set: &[(&str, &str)]) -> Vec<(String, String)> {
    set.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn by_key(set: &[(&str, &str)]) -> Result<ByKey<u32>, String> {
    Settings::new(&pairs(set)).get("target_s", "20")
}

#[test]
fn a_key_without_a_setting_of_its_own_has_the_one_for_all() {
    let default = by_key(&[("other_s.7", "1"), ("target_sx", "2"), ("target", "3")]).unwrap();
    assert_eq!((default.of(7), default.of(-1)), (20, 20));
    let set = by_key(&[("target_s.9", "9"), ("target_s", "25"), ("target_s.-3", "0"), ("target_s.7", "30")]);
    let set = set.unwrap();
    assert_eq!([7, 9, -3, 8, i64::MIN].map(|key| set.of(key)), [30, 9, 0, 25, 25]);
}

#[test]
fn a_setting_by_key_that_means_nothing_is_an_error_that_names_its_key() {
    for (key, value) in
        [("target_s", "soon"), ("target_s.7", "-1"), ("target_s.seven", "1"), ("target_s.", "1")]
    {
        let error = by_key(&[(key, value)]).unwrap_err();
        assert!(error.contains(&format!("config key {key}")), "{error}");
    }
    let error = by_key(&[("target_s.7", "1"), ("target_s.07", "2")]).unwrap_err();
    assert!(error.contains("twice"), "{error}");
}

/// Several settings in one struct.
#[derive(Clone, Debug, Config)]
struct Several {
    #[default("1800")]
    at_risk_s: ByKey<u32>,
    #[default("Mon-Fri 09:00-18:00 UTC")]
    hours: BusinessHours,
    #[default("3")]
    least: i64,
}

#[test]
fn a_struct_of_settings_may_mix_those_by_key_with_others() {
    let set = pairs(&[("at_risk_s.7", "60"), ("least", "4")]);
    let several = Several::read(&Settings::new(&set)).unwrap();
    assert_eq!((several.at_risk_s.of(7), several.at_risk_s.of(1), several.least), (60, 1_800, 4));
    assert_eq!(several.hours, "Mon-Fri 09:00-18:00 UTC".parse().unwrap());
}
