//! The contract of the stores, on both: what `Store` promises to the rest of the program.

use caller_popup::call::{
    Call, CallEvent, CallEventKind, CallResult, Direction, EndReason, Endpoint, Extension, PartyState, PartyUpdate,
    Source, Status,
};
use caller_popup::config::Config;
use caller_popup::store::{HistoryQuery, Position, Store};
use chrono::{DateTime, TimeDelta, Utc};
use mongodb::bson::{Document, doc};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support;

on_both_stores!(
    facts_told_twice_change_nothing,
    facts_told_at_once_make_one_call,
    an_ended_call_leaves_the_active_ones_and_stands_in_the_history_once,
    a_late_fact_amends_the_history_and_opens_nothing,
    a_session_that_joins_another_becomes_one_call,
    a_flat_session_told_long_after_it_happened_rings_again,
    a_reopened_store_knows_what_was_acknowledged,
    the_history_is_paged_without_gaps,
    a_narrowed_history_has_what_fits_and_nothing_else,
    what_the_service_remembers_is_remembered,
    old_history_is_forgotten,
    other_writes_go_first_while_old_history_is_removed,
);

async fn facts_told_twice_change_nothing(store: support::Store) {
    let kept = Kept::new(store).await;
    let ringing = [leg("s1", "a", 3, PartyState::Ringing)];
    let first = kept.store.apply(&ringing).await.unwrap();
    assert_eq!((first.len(), first[0].rev, first[0].status), (1, 1, Status::Ringing));
    assert!(kept.store.apply(&ringing).await.unwrap().is_empty());
    assert_eq!(kept.store.active().await.unwrap(), first);
}

async fn facts_told_at_once_make_one_call(store: support::Store) {
    let kept = Kept::new(store).await;
    let told = (0..12).map(|agent| {
        let (store, id) = (kept.store.clone(), format!("agent-{agent}"));
        tokio::spawn(async move { store.apply(&[leg("s1", &id, 3, PartyState::Ringing)]).await.unwrap() })
    });
    for done in told.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    let active = kept.store.active().await.unwrap();
    assert_eq!(active.len(), 1);
    assert_eq!((active[0].extension_ids.len(), active[0].rev), (12, 12));
}

async fn an_ended_call_leaves_the_active_ones_and_stands_in_the_history_once(store: support::Store) {
    let kept = Kept::new(store).await;
    kept.ring_and_hang_up("s1").await;
    assert!(kept.store.active().await.unwrap().is_empty());
    let history = kept.history().await;
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].status, history[0].result), (Status::Ended, Some(CallResult::Missed)));
}

async fn a_late_fact_amends_the_history_and_opens_nothing(store: support::Store) {
    let kept = Kept::new(store).await;
    kept.ring_and_hang_up("s1").await;
    let late = kept.store.apply(&[leg("s1", "a", 4, PartyState::Connected)]).await.unwrap();
    assert_eq!(late[0].status, Status::Ended);
    assert!(kept.store.active().await.unwrap().is_empty());
    let history = kept.history().await;
    assert_eq!((history.len(), history[0].result), (1, Some(CallResult::Answered)));
}

async fn a_session_that_joins_another_becomes_one_call(store: support::Store) {
    let kept = Kept::new(store).await;
    let first = kept.store.apply(&[leg("s1", "a", 3, PartyState::Connected)]).await.unwrap();
    kept.store.apply(&[leg("s2", "b", 3, PartyState::Connected)]).await.unwrap();
    let mut moved = leg("s1", "a", 5, PartyState::Ended(EndReason::Moved));
    if let CallEventKind::Party(leg) = &mut moved.kind {
        leg.peers = vec!["s2".into()];
    }
    let changed = kept.store.apply(&[moved]).await.unwrap();
    assert_eq!(changed.len(), 2, "the call that stays and the one that is no more");
    let active = kept.store.active().await.unwrap();
    assert_eq!(active.iter().map(|call| &call.id).collect::<Vec<_>>(), [&first[0].id]);
    kept.store.apply(&[leg("s2", "b", 6, PartyState::OnHold)]).await.unwrap();
    assert_eq!(kept.store.active().await.unwrap()[0].status, Status::OnHold, "the other session still tells");
}

async fn a_flat_session_told_long_after_it_happened_rings_again(store: support::Store) {
    let kept = Kept::new(store).await;
    let told = |minute: i64, state: PartyState| {
        let mut event = leg("s1", "a", minute, state);
        if let CallEventKind::Party(leg) = &mut event.kind {
            (leg.source, leg.at) = (Source::Guide, leg.at - TimeDelta::minutes(60 - minute));
        }
        event
    };
    for event in
        [told(1, PartyState::Ringing), told(2, PartyState::Ended(EndReason::Finished)), told(3, PartyState::Ringing)]
    {
        kept.store.apply(&[event]).await.unwrap();
    }
    let second = kept.store.active().await.unwrap();
    assert_eq!((second.len(), kept.history().await.len()), (1, 1), "{second:?}");
    kept.store.apply(&[told(4, PartyState::Connected)]).await.unwrap();
    let active = kept.store.active().await.unwrap();
    assert_eq!((&active[0].id, active[0].status), (&second[0].id, Status::Connected));
}

async fn a_reopened_store_knows_what_was_acknowledged(store: support::Store) {
    let kept = Kept::new(store).await;
    let told = kept.store.apply(&[leg("s1", "a", 3, PartyState::Ringing)]).await.unwrap();
    let again = Store::open(&kept.config).await.unwrap();
    assert_eq!(again.active().await.unwrap(), told);
}

async fn the_history_is_paged_without_gaps(store: support::Store) {
    let kept = Kept::new(store).await;
    for session in 0..5 {
        kept.ring_and_hang_up(&format!("s{session}")).await;
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = kept.store.history(HistoryQuery { limit: 2, before, ..HistoryQuery::default() }).await.unwrap();
        let Some(last) = page.calls.last() else { break };
        before = Some(Position { timestamp: last.timestamp, id: last.id.clone() });
        assert_eq!(page.more, seen.len() + page.calls.len() < 5);
        seen.extend(page.calls.into_iter().map(|call| call.session_id));
    }
    seen.sort();
    assert_eq!(seen, ["s0", "s1", "s2", "s3", "s4"]);

    let of = |ids: &[&str]| HistoryQuery {
        limit: 10,
        extension_ids: Some(ids.iter().map(|id| id.to_string()).collect()),
        ..HistoryQuery::default()
    };
    assert_eq!(kept.store.history(of(&["a"])).await.unwrap().calls.len(), 5);
    assert_eq!(kept.store.history(of(&["z"])).await.unwrap().calls.len(), 0);
    let missed = HistoryQuery { limit: 10, result: Some(CallResult::Answered), ..HistoryQuery::default() };
    assert_eq!(kept.store.history(missed).await.unwrap().calls.len(), 0);
}

/// Every way to narrow the history down, alone and with every other one, page by page, beside the plain filter over all calls.
async fn a_narrowed_history_has_what_fits_and_nothing_else(store: support::Store) {
    let kept = Kept::new(store).await;
    for n in 0..24 {
        let session = format!("s{n}");
        let (agent, number) = (["a", "b", "c"][n % 3], ["+14165551234", "+14165555678"][n / 3 % 2]);
        let mut ring = leg(&session, agent, 3, PartyState::Ringing);
        if let CallEventKind::Party(leg) = &mut ring.kind {
            leg.from.number = Some(number.into());
            leg.queue = (n % 4 == 0).then(|| Extension { extension_id: "q".into(), name: None });
        }
        kept.store.apply(&[ring]).await.unwrap();
        if n % 5 == 0 {
            kept.store.apply(&[leg(&session, agent, 5, PartyState::Connected)]).await.unwrap();
        }
        kept.hang_up(&session, agent).await;
    }
    let all = kept.store.history(HistoryQuery { limit: 100, ..HistoryQuery::default() }).await.unwrap().calls;
    assert_eq!(all.len(), 24);
    let extensions =
        [None, Some(vec!["a"]), Some(vec!["b", "q"]), Some(vec!["a", "b", "c", "q"]), Some(vec!["z"]), Some(vec![])];
    let numbers = [None, Some("+14165551234"), Some("+15875550100"), Some("+14160000000")];
    let results = [None, Some(CallResult::Answered), Some(CallResult::Missed)];
    let times = [None, Some(all[12].timestamp)];
    let combinations = extensions.iter().flat_map(|ids| {
        let numbers = numbers.iter().map(move |number| (ids, *number));
        let with_results = numbers.flat_map(|(ids, number)| results.map(|result| (ids, number, result)));
        with_results.flat_map(|(ids, number, result)| times.map(|since| (ids, number, result, since)))
    });
    for (extensions, number, result, since) in combinations {
        let fits = |call: &&Call| {
            let has = |id: &&str| {
                let id = id.to_string();
                call.extension_ids.contains(&id) || call.facts.queue_ids.contains(&id)
            };
            extensions.as_ref().is_none_or(|ids| ids.iter().any(has))
                && number.is_none_or(|it| [&call.from_number, &call.to_number].into_iter().flatten().any(|n| n == it))
                && (result.is_none() || call.result == result)
                && since.is_none_or(|since| call.timestamp >= since)
        };
        let right: Vec<_> = all.iter().filter(fits).map(|call| &call.id).collect();
        let mut query = HistoryQuery {
            limit: 5,
            number: number.map(str::to_owned),
            extension_ids: extensions.as_ref().map(|ids| ids.iter().map(|id| id.to_string()).collect()),
            result,
            since,
            ..HistoryQuery::default()
        };
        let mut read = Vec::new();
        loop {
            let page = kept.store.history(query.clone()).await.unwrap();
            read.extend(page.calls);
            let Some(last) = read.last().filter(|_| page.more) else { break };
            query.before = Some(Position { timestamp: last.timestamp, id: last.id.clone() });
        }
        assert_eq!(read.iter().map(|call| &call.id).collect::<Vec<_>>(), right, "{query:?}");
    }
}

async fn what_the_service_remembers_is_remembered(store: support::Store) {
    let kept = Kept::new(store).await;
    assert_eq!(kept.store.setting("token").await.unwrap(), None);
    kept.store.set_setting("token", "one").await.unwrap();
    kept.store.set_setting("token", "two").await.unwrap();
    assert_eq!(kept.store.setting("token").await.unwrap().as_deref(), Some("two"));
    let (now, later) = (Utc::now(), Utc::now() + TimeDelta::seconds(30));
    assert!(kept.store.lease("subscription", "me", now, later).await.unwrap());
    assert!(kept.store.lease("subscription", "me", now, later).await.unwrap(), "the holder may renew");
    if store == support::Store::Mongo {
        assert!(!kept.store.lease("subscription", "other", now, later).await.unwrap());
        assert!(kept.store.lease("subscription", "other", later + TimeDelta::seconds(1), later).await.unwrap());
    }
}

async fn other_writes_go_first_while_old_history_is_removed(store: support::Store) {
    const OLD: usize = 2_000;
    let kept = Kept::new(store).await;
    kept.ring_and_hang_up("s1").await;
    match store {
        support::Store::Sqlite => {
            let copies = format!(
                "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {OLD})
                 INSERT INTO call_history SELECT 'copy' || n, session_id, from_number, from_name, to_number, direction, status,
                 timestamp, customer_id, customer_name, customer_email, rev, more, result FROM call_history, numbers"
            );
            let file = Connection::open(kept.config.data_dir.join("caller-popup.sqlite")).unwrap();
            file.execute_batch(&copies).unwrap();
        }
        support::Store::Mongo => {
            let mongodb = kept.config.mongodb.as_ref().unwrap();
            let client = mongodb::Client::with_uri_str(&mongodb.uri).await.unwrap();
            let history = client.database(&mongodb.database).collection::<Document>("call_history");
            let call = history.find_one(doc! {}).await.unwrap().unwrap();
            let copy = |n: usize| {
                let mut copy = call.clone();
                copy.insert("_id", format!("copy{n}"));
                copy
            };
            history.insert_many((0..OLD).map(copy)).await.unwrap();
        }
    }
    let removing = kept.store.clone();
    let removed = tokio::spawn(async move { removing.prune_history(Utc::now() + TimeDelta::days(1)).await.unwrap() });
    let mut written = 0;
    while !removed.is_finished() {
        kept.store.set_setting("written", &written.to_string()).await.unwrap();
        written += 1;
    }
    assert_eq!(removed.await.unwrap(), OLD as u64 + 1);
    assert!(written > 5, "{written} writes went first");
}

async fn old_history_is_forgotten(store: support::Store) {
    let kept = Kept::new(store).await;
    kept.ring_and_hang_up("s1").await;
    assert_eq!(kept.store.prune_history(Utc::now() - TimeDelta::days(1)).await.unwrap(), 0);
    assert_eq!(kept.store.prune_history(Utc::now() + TimeDelta::days(1)).await.unwrap(), 1);
    assert!(kept.history().await.is_empty());

    kept.store.record_shape("{}", Utc::now() - TimeDelta::days(3)).await.unwrap();
    let shapes = async || match store {
        support::Store::Sqlite => {
            let file = Connection::open(kept.config.data_dir.join("caller-popup.sqlite")).unwrap();
            file.query_row("SELECT count(*) FROM notification_shapes", [], |row| row.get::<_, i64>(0)).unwrap() as u64
        }
        support::Store::Mongo => {
            let mongodb = kept.config.mongodb.as_ref().unwrap();
            let client = mongodb::Client::with_uri_str(&mongodb.uri).await.unwrap();
            let shapes = client.database(&mongodb.database).collection::<Document>("notification_shapes");
            shapes.count_documents(doc! {}).await.unwrap()
        }
    };
    kept.store.prune_history(Utc::now() - TimeDelta::days(4)).await.unwrap();
    assert_eq!(shapes().await, 1);
    kept.store.prune_history(Utc::now() - TimeDelta::days(2)).await.unwrap();
    assert_eq!(shapes().await, 0);
}

/// A store of a test's own.
struct Kept {
    store: Store,
    config: Config,
    _folder: TempDir,
}

impl Kept {
    async fn new(kind: support::Store) -> Self {
        let (config, folder) = support::own_store(kind);
        let store = Store::open(&config).await.unwrap();
        store.prepare().await.unwrap();
        Self { store, config, _folder: folder }
    }

    async fn ring_and_hang_up(&self, session: &str) {
        self.store.apply(&[leg(session, "a", 3, PartyState::Ringing)]).await.unwrap();
        self.hang_up(session, "a").await;
    }

    async fn hang_up(&self, session: &str, agent: &str) {
        let hung_up = leg(session, agent, 9, PartyState::Ended(EndReason::NoAnswer));
        self.store.apply(&[hung_up]).await.unwrap();
        let later = Utc::now() + TimeDelta::seconds(10);
        let tick = CallEvent { session_id: session.into(), heard_at: later, kind: CallEventKind::Tick };
        self.store.apply(&[tick]).await.unwrap();
    }

    async fn history(&self) -> Vec<Call> {
        self.store.history(HistoryQuery { limit: 10, ..HistoryQuery::default() }).await.unwrap().calls
    }
}

/// Each call that is written would else have every caller looked up again.
#[tokio::test]
async fn a_file_says_that_customers_changed_and_not_that_calls_did() {
    let kept = Kept::new(support::Store::Sqlite).await;
    let mut watch = kept.store.watch_customers().await.unwrap();
    kept.ring_and_hang_up("s1").await;
    assert!(timeout(support::ONE_TICK, watch.next()).await.is_err(), "only calls were written");
    let path = kept.config.data_dir.join("caller-popup.sqlite");
    let db = Connection::open(path).unwrap();
    for write in [
        "INSERT INTO customers (id, name) VALUES ('c1', 'Ann')",
        "UPDATE customers SET name = 'Anne'",
        "INSERT INTO customer_phones VALUES ('+14165551234', 'c1', '+14165551234')",
        "DELETE FROM customer_phones",
        "INSERT OR REPLACE INTO customers (id, name) VALUES ('c1', 'Ann')",
        "DELETE FROM customers",
    ] {
        db.execute(write, []).unwrap();
        timeout(support::PATIENCE, watch.next()).await.expect(write).unwrap();
    }
}

/// What telephony tells of one agent's leg.
fn leg(session: &str, agent: &str, sequence: i64, state: PartyState) -> CallEvent {
    let now = DateTime::from_timestamp_millis(Utc::now().timestamp_millis()).unwrap();
    let end = |number: &str| Endpoint { number: Some(number.into()), ..Endpoint::default() };
    let leg = PartyUpdate {
        telephony_session_id: None,
        source: Source::Telephony,
        uuid: None,
        sequence,
        at: now,
        party_id: format!("p-{session}-{agent}"),
        direction: Direction::Inbound,
        extension: Some(Extension { extension_id: agent.into(), name: None }),
        state,
        from: end("+14165551234"),
        to: end("+15875550100"),
        queue: None,
        ours: false,
        peers: Vec::new(),
    };
    CallEvent { session_id: session.into(), heard_at: now, kind: CallEventKind::Party(Box::new(leg)) }
}
