//! The right to be forgotten: what erasing removes, that it leaves nothing, and what it says.

mod everywhere;

use std::path::Path;

use caller_popup::simulator::{Scenario, scenarios};
use chrono::Utc;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};

use crate::durability::database_away;
use crate::support::privacy::spellings;
use crate::support::{Setup, Store, TestApp, eventually, flat};

/// Who is called so stands nowhere else.
pub const PERSON: &str = "Wilhelmine";

on_both_stores! {
    erase_leaves_nothing_behind,
    erase_says_what_it_removed,
}

async fn erase_leaves_nothing_behind(store: Store) {
    const NUMBER: &str = "+14165550177";
    let setup = Setup::on(store).with("POLL_INTERVAL_MS", "100");
    let mut app = if store == Store::Mongo { setup.known_to_mongod() } else { setup }
        .with_customers(&[
            ("Zacharias", "z@quill.example", "(416) 555-0177"),
            ("Other", "o@quill.example", "+14165550188"),
        ])
        .await
        .start()
        .await;
    let story = async |app: &TestApp, round: &str| {
        app.ring_as(&format!("{round}-active"), NUMBER, PERSON).await;
        app.deliver(&odd(PERSON)).await;
        app.ring(&format!("{round}-ended"), "416-555-0177").await;
        app.hang_up(&format!("{round}-ended")).await;
        let mut called = flat(&format!("{round}-called"), "Ringing", json!({ "phoneNumber": "+14165550188" }));
        called["body"]["to"]["phoneNumber"] = "(416) 555-0177".into();
        app.deliver(&called).await;
        for choice in scenarios() {
            let scenario = Scenario::named(choice.name).unwrap();
            for (_, told) in scenario.notifications(Utc::now(), 11) {
                let caller = scenario.expect.from_number.as_deref().unwrap_or("no number at all");
                app.deliver(&serde_json::from_str(&told.to_string().replace(caller, NUMBER)).unwrap()).await;
            }
        }
    };
    if store == Store::Mongo {
        let away = database_away(&app).await;
        app.ring("spooled", NUMBER).await;
        away.end().await;
        let calls = app.database().await.collection::<Document>("active_calls");
        eventually("it is told", async || calls.find_one(doc! { "session_id": "spooled" }).await.unwrap()).await;
        let spool = Connection::open(app.data_dir().join("spool.sqlite")).unwrap();
        let waiting = || spool.query_row("SELECT count(*) FROM spool", [], |row| row.get::<_, i64>(0)).unwrap();
        eventually("nothing waits any more", async || (waiting() == 0).then_some(())).await;
    }
    story(&app, "first").await;
    assert!(!traces(&app, store, NUMBER).await.is_empty(), "the search finds what is there");
    let (status, said) = app.run(&["erase", NUMBER, "--with-customers"]).await;
    assert!(status.success(), "{said}");
    assert!(!spellings(NUMBER).iter().any(|it| said.contains(it.as_str())), "{said}");
    gone(&app, store, NUMBER, "the command").await;

    story(&app, "second").await;
    let erase = app.request(Method::DELETE, &format!("/api/customers/by-number/{NUMBER}")).send().await.unwrap();
    assert_eq!(erase.status(), StatusCode::OK);
    gone(&app, store, NUMBER, "the route").await;
    app.kill().await;
    assert_eq!(traces(&app, store, NUMBER).await, Vec::<String>::new(), "after kill -9");
}

async fn erase_says_what_it_removed(store: Store) {
    const NUMBER: &str = "+14165550177";
    let setup = Setup::on(store).with("POLL_INTERVAL_MS", "100");
    let app = setup
        .with_customers(&[("Zacharias", "z@quill.example", NUMBER), ("Other", "o@quill.example", "+14165550188")])
        .await
        .start()
        .await;
    let story = async |round: &str| {
        app.ring(&format!("{round}-1"), NUMBER).await;
        app.ring(&format!("{round}-2"), NUMBER).await;
        app.ring(&format!("{round}-ended"), NUMBER).await;
        app.hang_up(&format!("{round}-ended")).await;
        app.ended_call(&format!("{round}-ended")).await;
        app.ring(&format!("{round}-of-another"), "+14165550188").await;
        app.deliver(&odd(PERSON)).await;
    };
    story("first").await;
    let (status, said) = app.run(&["erase", NUMBER]).await;
    assert!(status.success(), "{said}");
    // In MongoDB customers are the host application's, unless it says otherwise.
    let customers = if store == Store::Mongo { "0 removed of 1" } else { "1 removed of 1" };
    for (what, count) in [
        ("active_calls", "2 removed"),
        ("call_history", "1 removed"),
        ("notification_shapes", "1 removed"),
        ("customers", customers),
    ] {
        let line = said.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{what} in {said}"));
        assert!(line.trim_start().starts_with(count), "{what}: {line}");
    }
    eventually("it is no longer shown", async || (app.active_calls().await.len() == 1).then_some(())).await;

    story("second").await;
    let erase = app.request(Method::DELETE, &format!("/api/customers/by-number/{NUMBER}")).send().await.unwrap();
    let left = i32::from(store == Store::Mongo);
    let expected = json!({
        "active_calls": 2, "call_history": 1, "notification_shapes": 1, "customers": 0, "customers_found": left,
    });
    assert_eq!(erase.json::<Value>().await.unwrap(), json!({ "erased": expected }));
}

#[tokio::test]
async fn erase_is_no_success_while_something_waits_that_brings_the_person_back() {
    const NUMBER: &str = "+14165550177";
    let mut app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").known_to_mongod().start().await;
    let away = database_away(&app).await;
    app.ring("waits", NUMBER).await;
    app.kill().await;
    away.end().await;
    let (status, said) = app.run(&["erase", NUMBER]).await;
    assert!(!status.success() && said.contains("1 facts") && said.contains("erase again"), "{said}");
    app.restart().await;
    let (status, said) = app.run(&["erase", NUMBER]).await;
    assert!(status.success(), "{said}");
    gone(&app, Store::Mongo, NUMBER, "the second erase").await;
}

/// Waits for a sweep past the grace of every call that was erased, which must not bring anything back, and searches.
async fn gone(app: &TestApp, store: Store, number: &str, by: &str) {
    eventually("no call is shown", async || {
        let shown = json!(app.active_calls().await).to_string();
        (!spellings(number).iter().any(|it| shown.contains(it.as_str()))).then_some(())
    })
    .await;
    // This call hangs up after the others did, so the sweep that ends it has passed over what would be left of them.
    let last = format!("rings after {by}");
    app.ring(&last, "+14165550188").await;
    app.hang_up(&last).await;
    app.ended_call(&last).await;
    assert_eq!(traces(app, store, number).await, Vec::<String>::new(), "after {by}");
}

/// Every place that holds the number in any spelling, or the person's name: files as raw bytes, tables, collections.
async fn traces(app: &TestApp, store: Store, number: &str) -> Vec<String> {
    // Names are searched in lower case.
    let theirs = [spellings(number), vec![PERSON.to_owned(), PERSON.to_lowercase()]].concat();
    let holds = |text: &[u8]| theirs.iter().any(|it| text.windows(it.len()).any(|part| part == it.as_bytes()));
    let mut found = Vec::new();
    let files: Vec<_> = std::fs::read_dir(app.data_dir()).unwrap().map(|file| file.unwrap().path()).collect();
    for file in files.iter().filter(|file| holds(&std::fs::read(file).unwrap())) {
        found.push(format!("the bytes of {:?}", file.file_name().unwrap()));
    }
    // After the bytes, because closing a file that nobody else has open tidies its write-ahead log away.
    for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "sqlite")) {
        found.extend(cells(file).into_iter().filter(|(_, cell)| holds(cell)).map(|(table, _)| table));
    }
    if store == Store::Mongo {
        let database = app.database().await;
        for name in database.list_collection_names().await.unwrap() {
            let all: Vec<Document> =
                database.collection(&name).find(doc! {}).await.unwrap().try_collect().await.unwrap();
            found.extend(
                all.iter().map(Document::to_string).filter(|it| holds(it.as_bytes())).map(|it| format!("{name}: {it}")),
            );
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Every cell of every table, with the table's name.
fn cells(file: &Path) -> Vec<(String, Vec<u8>)> {
    let db = Connection::open(file).unwrap();
    let mut tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut cells = Vec::new();
    for table in tables {
        let mut all = db.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns = all.column_count();
        let mut rows = all.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                if let ValueRef::Text(text) | ValueRef::Blob(text) = row.get_ref(column).unwrap() {
                    cells.push((format!("table {table}"), text.to_vec()));
                }
            }
        }
    }
    cells
}

/// A notification of no kind that we know, which tells of a person in its fields' names too.
pub fn odd(person: &str) -> Value {
    json!({ "event": "/of/+14165550177", "body": { "who": person, person: 1, "+14165550177": 1 } })
}
