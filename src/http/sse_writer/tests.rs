//! Writers and sockets, without a server.

use std::collections::HashMap;

use chrono::DateTime;
use futures_util::future::join_all;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::*;
use crate::call::{Call, Status};
use crate::http::connection_limit::{ConnectionCapacity, ConnectionLimiter};
use crate::hub::EventNames;
use crate::metrics::GaugeSnapshot;
use crate::viewer::{Scope, Viewer};

/// Longer than any test takes.
const LONG: Range<Duration> = STALLED.saturating_mul(10)..STALLED.saturating_mul(11);

fn room_for(viewers: usize) -> (Hub, ConnectionLimiter) {
    (Hub::new(Arc::default()), ConnectionLimiter::new(ConnectionCapacity { connections: viewers, viewers }, &[]))
}

/// Rows in the test's own runtime, whose clock it may hold.
fn writers_for(hub: Hub, pace: Duration, lifetime: Range<Duration>) -> SseWriters {
    let begin = |_, writer| {
        tokio::spawn(writer);
        Ok(())
    };
    SseWriters::with(hub, pace, lifetime, begin).unwrap()
}

/// The browser's end of a stream.
async fn stream(hub: &Hub, limiter: &ConnectionLimiter, writers: &SseWriters) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let browser = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, peer) = listener.accept().await.unwrap();
    let viewer = Viewer { id: "admin".into(), scope: Scope::All, until: None };
    let (cursor, [bytes, rest]) = hub.open(viewer, EventNames::Typed, None).unwrap();
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    writers.accept(
        socket,
        StreamHandoff { cursor, bytes, rest, session_handle: None, place },
        limiter.enter(peer.ip()).unwrap(),
    );
    browser
}

fn publish(hub: &Hub, rev: i64) {
    let call = Call { rev, status: Status::Ringing, ..Call::new("a".into(), "s".into(), DateTime::UNIX_EPOCH) };
    hub.publish(call, None);
}

/// Reads on until this was told.
async fn read_until(browser: &mut TcpStream, told: &mut String, what: &str) {
    let reading = async {
        while !told.contains(what) {
            let mut some = vec![0; 65_536];
            let count = browser.read(&mut some).await.unwrap();
            assert_ne!(count, 0, "the stream ended before {what}");
            told.push_str(&String::from_utf8_lossy(&some[..count]));
        }
    };
    timeout(STALLED, reading).await.unwrap_or_else(|_| panic!("{what} was not told"));
}

#[tokio::test]
async fn a_stream_that_grew_old_ends_without_an_error_and_gives_its_places_back() {
    let (hub, limiter) = room_for(1);
    let writers = writers_for(hub.clone(), BEAT, Duration::ZERO..BEAT);
    let mut browser = stream(&hub, &limiter, &writers).await;
    let mut told = String::new();
    browser.read_to_string(&mut told).await.unwrap();
    let (before, last) = told.trim_end().rsplit_once("\n\n").unwrap();
    assert!(before.contains("event: connected") && !told.contains("error"), "{told}");
    let retry: u64 = last.strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!(retry < 1_000, "a call that rings meanwhile waits: {retry} ms");
    assert_eq!(hub.viewers(), 0);
    assert!(limiter.enter(browser.local_addr().unwrap().ip()).is_some());
}

#[tokio::test]
async fn whoever_reads_nothing_for_a_while_starts_over_and_the_others_notice_nothing() {
    let (hub, limiter) = room_for(2);
    let writers = writers_for(hub.clone(), BEAT, LONG);
    let mut stalled = stream(&hub, &limiter, &writers).await;
    let mut healthy = stream(&hub, &limiter, &writers).await;
    let mut told = String::new();
    // Far more than both ends keep of a line that nobody reads, and more than the log holds.
    for rev in 1..=6_000 {
        publish(&hub, rev);
        if rev % 100 == 0 {
            read_until(&mut healthy, &mut told, &format!("\"rev\":{rev}}}")).await;
        }
    }
    assert!(!told.contains("resync"), "who reads is never so far behind");
    let mut told = String::new();
    read_until(&mut stalled, &mut told, "event: resync").await;
    read_until(&mut stalled, &mut told, "\"rev\":6000}").await;
    assert!(told.matches("event: call").count() < 2_000, "it was not told every change");
}

#[tokio::test]
async fn what_was_told_to_nobody_is_not_measured_when_somebody_comes() {
    let (hub, limiter) = room_for(1);
    let writers = writers_for(hub.clone(), BEAT, LONG);
    let heard = |id: &str| {
        let call = Call::new(id.into(), id.into(), DateTime::UNIX_EPOCH);
        hub.publish(Call { rev: 1, status: Status::Ringing, ..call }, Some(std::time::Instant::now()));
    };
    heard("before");
    let (mut browser, mut told) = (stream(&hub, &limiter, &writers).await, String::new());
    read_until(&mut browser, &mut told, r#""id":"before""#).await;
    heard("since");
    read_until(&mut browser, &mut told, r#""id":"since""#).await;
    let count = "caller_popup_webhook_pushed_seconds_count ";
    let measured = async {
        loop {
            let metrics = hub.metrics().text(&GaugeSnapshot::default());
            match metrics.lines().find_map(|line| line.strip_prefix(count)) {
                Some("0") => sleep(BEAT / 10).await,
                measured => return measured.map(str::to_owned),
            }
        }
    };
    assert_eq!(timeout(STALLED, measured).await.unwrap().as_deref(), Some("1"));
}

/// The clock jumps whenever everyone waits for it.
#[tokio::test(start_paused = true)]
async fn whoever_reads_nothing_for_half_a_minute_is_closed() {
    let (hub, limiter) = room_for(1);
    let writers = writers_for(hub.clone(), BEAT, LONG);
    let _browser = stream(&hub, &limiter, &writers).await;
    let start = Instant::now();
    for rev in 1..=10_000 {
        publish(&hub, rev);
        if rev % 100 == 0 {
            sleep(BEAT).await;
        }
    }
    assert_eq!(hub.viewers(), 1, "it may only be slow");
    while hub.viewers() > 0 {
        sleep(BEAT).await;
        assert!(start.elapsed() < STALLED * 2, "it is never closed");
    }
    assert!(start.elapsed() > STALLED, "{:?}", start.elapsed());
}

/// The clock jumps whenever everyone waits for it.
#[tokio::test(start_paused = true)]
async fn whoever_breaks_off_while_they_stand_still_is_told_nothing_more() {
    let (hub, limiter) = room_for(1);
    let writers = writers_for(hub.clone(), LONGEST_SILENCE, LONG);
    let browser = stream(&hub, &limiter, &writers).await;
    for rev in 1..=10_000 {
        publish(&hub, rev);
        if rev % 100 == 0 {
            sleep(BEAT).await;
        }
    }
    let told = hub.metrics().deliveries.get();
    assert!(told < 100, "it stands still after {told} deliveries");
    socket2::SockRef::from(&browser).set_linger(Some(Duration::ZERO)).unwrap();
    drop(browser);
    let start = Instant::now();
    while hub.viewers() > 0 {
        sleep(BEAT).await;
        assert!(start.elapsed() < BEAT * 5, "it keeps its connection");
    }
    assert_eq!(hub.metrics().deliveries.get(), told, "what it missed was put together for nobody");
}

/// The clock jumps whenever everyone waits for it.
#[tokio::test(start_paused = true)]
async fn whoever_reads_drop_by_drop_is_closed_when_their_time_is_over() {
    let (hub, limiter) = room_for(1);
    let writers = writers_for(hub.clone(), BEAT, Duration::ZERO..BEAT);
    let mut browser = stream(&hub, &limiter, &writers).await;
    socket2::SockRef::from(&browser).set_recv_buffer_size(SEND_BUFFER).unwrap();
    // Far more than both ends keep of a line, and than is read of it here.
    let call = Call::new("a".into(), "s".into(), DateTime::UNIX_EPOCH);
    let from_name = Some("x".repeat(32 << 20));
    hub.publish(Call { rev: 1, status: Status::Ringing, from_name, ..call }, None);
    let start = Instant::now();
    let mut drop = vec![0; 2 * SEND_BUFFER];
    while browser.read_exact(&mut drop).await.is_ok() {
        sleep(STALLED / 4).await;
        assert!(start.elapsed() < STALLED * 3, "it is never closed");
    }
    assert_eq!(hub.viewers(), 0);
    assert!(start.elapsed() > STALLED, "it was only slow: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_spread_over_the_pace() {
    const TURNS: u32 = 10;
    let viewers = 4 * TURNS as usize;
    let (hub, limiter) = room_for(viewers);
    let writers = writers_for(hub.clone(), BEAT * TURNS, LONG);
    let mut browsers = Vec::new();
    for _ in 0..viewers {
        browsers.push(stream(&hub, &limiter, &writers).await);
    }
    let start = Instant::now();
    let beats = browsers.into_iter().map(async |mut browser| {
        let mut told = String::new();
        read_until(&mut browser, &mut told, "event: heartbeat").await;
        Instant::now()
    });
    let mut moments = HashMap::<u128, usize>::new();
    for moment in join_all(beats).await {
        *moments.entry((moment - start).as_millis() / BEAT.as_millis()).or_default() += 1;
    }
    assert!(moments.len() >= TURNS as usize - 1, "{moments:?}");
    assert!(moments.values().all(|together| *together <= viewers / 4), "{moments:?}");
}
