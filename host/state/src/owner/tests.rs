#![allow(clippy::unwrap_used)]

use super::*;
use slatedb::object_store::memory::InMemory;

const QUICK: Pace = Pace {
    stale_after: Duration::from_millis(600),
    beat: Duration::from_millis(50),
    look: Duration::from_millis(20),
};

fn store() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

async fn take(objects: &Arc<dyn ObjectStore>, started: Micros, take_over: bool) -> Result<Owner, OpenError> {
    Owner::take(objects.clone(), "state s3://b/p", "0", Claim { take_over, started }, QUICK).await
}

/// Waits for what the other task does in its own time.
async fn until_lost(owner: &Owner) {
    while !owner.is_lost() {
        tokio::time::sleep(QUICK.look).await;
    }
}

#[tokio::test]
async fn a_second_host_is_refused_while_the_first_one_lives() {
    let objects = store();
    let first = take(&objects, 1, false).await.unwrap();
    let error = take(&objects, 2, false).await.err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, OpenError::Locked(_)), "{text}");
    for word in ["s3://b/p", &format!("process {}", std::process::id()), "--take-over"] {
        assert!(text.contains(word), "{word} is missing: {text}");
    }
    assert!(!first.is_lost());
}

#[tokio::test]
async fn a_host_that_stopped_in_order_lets_the_next_one_start_at_once() {
    let objects = store();
    let mut first = take(&objects, 1, false).await.unwrap();
    first.release().await;
    let second = take(&objects, 2, false).await.unwrap();
    assert!(!second.is_lost());
}

#[tokio::test]
async fn a_host_that_died_is_replaced_once_it_has_been_silent_long_enough() {
    let objects = store();
    let first = take(&objects, 1, false).await.unwrap();
    first.beats.abort();
    let second = take(&objects, 2, false).await.unwrap();
    assert!(!second.is_lost());
}

#[tokio::test]
async fn an_owner_learns_of_a_take_over_without_having_anything_to_write() {
    let objects = store();
    let first = take(&objects, 1, false).await.unwrap();
    let second = take(&objects, 2, true).await.unwrap();
    until_lost(&first).await;
    tokio::time::sleep(QUICK.beat * 4).await;
    assert!(!second.is_lost(), "the older one does not take it back");
    let text = objects.get(&path_of("0")).await.unwrap().bytes().await.unwrap();
    assert!(String::from_utf8_lossy(&text).contains("started 2"));
}

#[tokio::test]
async fn of_hosts_that_start_at_once_over_a_dead_one_a_single_one_wins() {
    let objects = store();
    let dead = take(&objects, 1, false).await.unwrap();
    dead.beats.abort();
    let (a, b, c) =
        tokio::join!(take(&objects, 2, false), take(&objects, 3, false), take(&objects, 4, false));
    let winners = [&a, &b, &c].iter().filter(|taken| taken.is_ok()).count();
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn shards_of_one_place_have_owners_of_their_own() {
    let objects = store();
    let _first = take(&objects, 1, false).await.unwrap();
    let other = Owner::take(objects, "state", "1", Claim { take_over: false, started: 2 }, QUICK).await;
    assert!(other.is_ok());
}
