//! The real page in headless Chromium, over a feed by hand. Skipped where there is no `chromium`.
#![allow(clippy::unwrap_used)]

mod common;

#[path = "common/chromium.rs"]
mod chromium;

use chromium::{Chromium, Page};
use common::*;
use weir_serve::{LiveOptions, Options};
use weir_types::live::{Condition, LiveRow, Publisher};
use weir_types::rows::OutputValue;
use weir_types::{HOUR, MINUTE};

/// Runs a test over the page, if there is a browser.
fn over_the_page(running: &Running, width: u32, height: u32, test: impl FnOnce(&mut Page)) {
    let Some(chromium) = Chromium::start() else {
        eprintln!("skipped: chromium is not on PATH (Debian package chromium)");
        return;
    };
    let mut page = chromium.open(&format!("http://{}/", running.address), width, height);
    page.until("document.querySelectorAll('.tile').length >= 3");
    test(&mut page);
}

fn created(window: &str, queue: Option<&str>, count: i64) -> LiveRow {
    let start = match window {
        "day" => EIGHT - 8 * HOUR,
        _ => EIGHT,
    };
    let set = if queue.is_some() { "queue_id" } else { "" };
    let dims: Vec<&str> = queue.into_iter().collect();
    row("ticket.created", window, set, &dims, start, vec![OutputValue::Int(count)])
}

/// Texts of the first column of the table.
fn keys(page: &mut Page) -> Vec<String> {
    let cells = page.eval("[...document.querySelectorAll('tbody tr')].map(r => r.cells[0].textContent)");
    serde_json::from_value(cells).unwrap()
}

#[test]
fn tiles_move_with_every_epoch_and_a_fourth_appears_without_a_reload() {
    let running = started();
    over_the_page(&running, 1280, 800, |page| {
        page.eval("window.kept = true");
        page.click("window-1m");
        page.until_text("value-ticket.created", "1\u{202f}234");
        page.until_text("value-ticket.backlog", "56");
        page.until_text("mark-ticket.created", "provisional");
        for (epoch, count) in [(2, 1240), (3, 1251)] {
            let backlog = row("ticket.backlog", "now", "", &[], EIGHT, vec![OutputValue::Int(count - 1000)]);
            running.live.publish(update(epoch, vec![created("1m", None, count), backlog]));
            page.until_text("value-ticket.created", &format!("1\u{202f}{}", count - 1000));
            page.until_text("value-ticket.backlog", &(count - 1000).to_string());
        }
        let last = LiveRow { is_final: true, ..created("1m", None, 1252) };
        running.live.publish(update(4, vec![last]));
        page.until_text("mark-ticket.created", "final");

        assert_eq!(page.text("tile-call.offered"), None);
        let entries = vec![ticket_created(), ticket_backlog(), first_reply_time(), call_offered()];
        let call = row("call.offered", "1m", "", &[], EIGHT, vec![OutputValue::Int(17)]);
        running.live.publish(with_catalogue(update(5, vec![call]), entries));
        page.until_text("value-call.offered", "17");
        running.live.publish(with_catalogue(update(6, Vec::new()), vec![ticket_created(), call_offered()]));
        page.until("document.querySelectorAll('.tile').length === 2");
        assert_eq!(page.eval("window.kept"), true, "the page was not loaded anew");
    });
}

#[test]
fn the_table_sorts_and_follows_and_a_row_can_be_charted() {
    let running = started();
    over_the_page(&running, 1280, 800, |page| {
        page.click("window-1m");
        page.click("tile-ticket.created");
        page.until("document.querySelectorAll('tbody tr').length === 2");
        assert_eq!(keys(page), ["3", "none"], "greatest first");
        running.live.publish(update(2, vec![created("1m", Some("12"), 5000)]));
        page.until("document.querySelectorAll('tbody tr').length === 3");
        assert_eq!(keys(page), ["12", "3", "none"]);
        page.click("sort-dim:0");
        page.until("document.querySelector('th').getAttribute('aria-sort') === 'ascending'");
        assert_eq!(keys(page), ["3", "12", "none"]);

        page.until("document.querySelectorAll('.chart .line').length > 0");
        page.eval("document.querySelector('tbody tr').click()");
        page.until_text("chart-title", "Tickets created · queue_id 3");
        let asked = running.history.asked.lock().unwrap().last().cloned().unwrap();
        assert_eq!((asked.dimension_set.as_str(), asked.dims), ("queue_id", vec!["3".to_string()]));
        page.until("document.querySelectorAll('.chart .line').length > 0");
    });
}

#[test]
fn the_chart_goes_on_with_the_stream_and_without_a_history() {
    let running = started();
    *running.history.trouble.lock().unwrap() = Some("ClickHouse does not answer".into());
    over_the_page(&running, 1280, 800, |page| {
        page.until("document.querySelector('[data-testid=chart-note]').textContent.includes('ClickHouse does not answer')");
        page.until(
            "document.querySelector('.chart svg').getAttribute('aria-label')?.includes('1\u{202f}234')",
        );
        let next = LiveRow { start: EIGHT + MINUTE, end: EIGHT + 2 * MINUTE, ..created("1m", None, 41) };
        running.live.publish(update(2, vec![next]));
        page.until("document.querySelector('.chart .line') !== null");
        page.until("document.querySelector('.chart svg').getAttribute('aria-label').endsWith(': 41')");
    });
}

#[test]
fn trouble_marks_tiles_as_stale_with_the_cause() {
    let running = started();
    over_the_page(&running, 1280, 800, |page| {
        let mut trouble = update(2, Vec::new());
        trouble.sources[0].trouble = Some("the broker does not answer".into());
        running.live.publish(trouble);
        page.until_text("stale-ticket.created", "source ticket: the broker does not answer");
        running.live.publish(update(3, Vec::new()));
        page.until_text("stale-ticket.created", "");
        let reason = "ClickHouse does not answer; rows wait".to_string();
        running.live.condition("clickhouse", Some(Condition { part: "clickhouse", blocking: false, reason }));
        page.until_text("conditions", "clickhouse: ClickHouse does not answer; rows wait");
        assert_eq!(
            page.text("stale-ticket.created").as_deref(),
            Some(""),
            "tiles live on without ClickHouse"
        );
    });
}

#[test]
fn the_page_comes_back_by_itself_after_the_host_was_away() {
    let mut running = started();
    let Some(chromium) = Chromium::start() else {
        eprintln!("skipped: chromium is not on PATH (Debian package chromium)");
        return;
    };
    let mut page = chromium.open(&format!("http://{}/", running.address), 1280, 800);
    page.until_text("value-ticket.backlog", "56");
    running.stop();
    page.until("document.querySelector('[data-testid=connection]').dataset.state === 'lost'");
    page.until("document.querySelector('[data-testid=\"stale-ticket.backlog\"]').textContent.startsWith('connection lost')");
    let same = Options { listen: running.address, ..options() };
    let again = start(same, LiveOptions::default(), FakeHistory::default());
    let backlog = row("ticket.backlog", "now", "", &[], EIGHT, vec![OutputValue::Int(99)]);
    again.live.publish(with_catalogue(update(9, vec![backlog]), vec![ticket_backlog()]));
    page.until_text("value-ticket.backlog", "99");
    page.until("document.querySelector('[data-testid=connection]').dataset.state === 'live'");
    page.until("document.querySelectorAll('.tile').length === 1");
}

#[test]
fn it_fits_a_phone() {
    let running = started();
    over_the_page(&running, 390, 844, |page| {
        let wide = page.eval("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= 390, "the page is {wide} wide");
    });
}
