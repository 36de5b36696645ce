//! Pictures of the page for people to look at: `WEIR_SHOTS=DIR WEIR_URL=http://127.0.0.1:8090/`,
//! with the example `fake_feed` or a demo running.
#![allow(clippy::unwrap_used)]

#[path = "common/chromium.rs"]
mod chromium;

use std::path::PathBuf;

#[test]
fn pictures_are_taken_where_asked_for() {
    let (Some(folder), Ok(url)) =
        (std::env::var_os("WEIR_SHOTS").map(PathBuf::from), std::env::var("WEIR_URL"))
    else {
        return;
    };
    let chromium = chromium::Chromium::start().expect("chromium");
    std::fs::create_dir_all(&folder).unwrap();
    let metric = std::env::var("WEIR_METRIC").map(|m| format!("#{m}")).unwrap_or_default();
    let mut page = chromium.open(&format!("{url}{metric}"), 1280, 800);
    page.until("document.querySelectorAll('.tile').length >= 1");
    page.until("document.querySelector('.chart .line') !== null");
    std::thread::sleep(std::time::Duration::from_millis(2500));
    page.eval("document.documentElement.dataset.theme = 'light'");
    page.screenshot(&folder.join("light.png"));
    page.eval("document.documentElement.dataset.theme = 'dark'");
    page.screenshot(&folder.join("dark.png"));
    page.size(390, 1500);
    std::thread::sleep(std::time::Duration::from_millis(500));
    page.screenshot(&folder.join("phone.png"));
}
