//! Rows that other programs wrote into the embedded store's `active_calls`.

use rusqlite::{Connection, params};

use crate::support::{Setup, Store, TestApp, eventually};

async fn start() -> (TestApp, Connection) {
    let app = Setup::on(Store::Sqlite).with("POLL_INTERVAL_MS", "100").start().await;
    let file = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    (app, file)
}

#[tokio::test]
async fn a_row_of_any_content_is_read_for_what_it_says() {
    let (app, file) = start().await;
    for (session, column, written) in [
        ("number", "from_number", "14165550101.0"),
        ("bytes", "from_name", "\u{1}"),
        ("more", "more", "{\"call\":7}"),
        ("no json", "more", "not json"),
        ("status", "status", "Call Connected"),
        ("direction", "direction", "INBOUND"),
        ("space", "timestamp", "2026-11-27 12:00:00.123456"),
        ("seconds", "timestamp", "1795780800"),
        ("unreadable", "timestamp", "yesterday"),
        ("huge", "from_name", &"x".repeat(1_000_000)),
    ] {
        let sql = format!("INSERT INTO active_calls (session_id, {column}) VALUES (?1, ?2)");
        file.execute(&sql, params![session, written]).unwrap();
    }
    file.execute("INSERT INTO active_calls (session_id, from_name) VALUES ('invalid', CAST(x'ff41' AS TEXT))", [])
        .unwrap();
    file.execute("INSERT INTO active_calls (session_id, rev) VALUES ('rev', ?1)", [i64::MAX]).unwrap();
    file.execute("INSERT INTO active_calls (session_id, from_number) VALUES ('real', 14165550101.0)", []).unwrap();
    let calls = eventually("all calls", async || {
        let calls = app.active_calls().await;
        (calls.len() == 13).then_some(calls)
    })
    .await;
    let read =
        |session: &str, field: &str| calls.iter().find(|call| call["session_id"] == session).unwrap()[field].clone();
    assert_eq!(read("number", "from_number"), "14165550101");
    assert_eq!(read("real", "from_number"), "14165550101");
    assert_eq!(read("status", "status"), "connected");
    assert_eq!(read("space", "timestamp"), "2026-11-27T12:00:00.123Z");
    assert_eq!(read("seconds", "timestamp"), "2026-11-27T12:00:00.000Z");
    assert_eq!(read("invalid", "from_name"), "\u{fffd}A");
    assert_eq!(read("huge", "from_name").as_str().unwrap().len(), 256);
    // Adopted, and of those with a number the customer was looked up.
    assert!(calls.iter().all(|call| [1, 2].contains(&call["rev"].as_i64().unwrap())), "{calls:?}");

    // What is theirs stays as they wrote it, and a time that cannot be read does not move.
    let theirs: String = file
        .query_row("SELECT timestamp FROM active_calls WHERE session_id = 'unreadable'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(theirs, "yesterday");
    let mut app = app;
    app.kill().await;
    app.restart().await;
    let again = app.active_call("unreadable").await.unwrap();
    assert_eq!(again["timestamp"], read("unreadable", "timestamp"));
}

#[tokio::test]
async fn a_row_that_cannot_be_a_call_or_be_written_to_is_set_aside() {
    let (app, file) = start().await;
    file.execute_batch(
        "CREATE TRIGGER theirs BEFORE UPDATE ON active_calls WHEN old.session_id = 'locked'
         BEGIN SELECT RAISE(ABORT, 'no'); END;
         INSERT INTO active_calls (session_id, from_number) VALUES ('locked', '+14165550101');
         INSERT INTO active_calls (session_id, from_number) VALUES (' ', '+14165550101');
         INSERT INTO active_calls (session_id, id) VALUES ('no text', CAST(x'ff' AS TEXT));",
    )
    .unwrap();
    let warns = async || {
        let ready = app.get_json("/health/ready").await;
        ready["warnings"].as_array().unwrap().iter().any(|it| it.as_str().unwrap().contains("set aside"))
    };
    let lines = || app.log().lines().filter(|line| line.contains("set aside")).count();
    eventually("all are set aside", async || (lines() == 3).then_some(())).await;
    assert!(warns().await);
    file.execute("INSERT INTO active_calls (session_id) VALUES ('healthy')", []).unwrap();
    eventually("the healthy one", async || app.active_call("healthy").await).await;
    app.ring("ours", "+14165550102").await;
    assert_eq!(app.active_calls().await.len(), 2);
    file.execute("DROP TRIGGER theirs", []).unwrap();
    file.execute("DELETE FROM active_calls WHERE session_id <> 'locked'", []).unwrap();
    eventually("it is a call now", async || app.active_call("locked").await).await;
    eventually("no warning", async || (!warns().await).then_some(())).await;
    assert_eq!(lines(), 3);
}
