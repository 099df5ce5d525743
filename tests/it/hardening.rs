//! Strangers, snoopers and the right to be forgotten. `CHAOS=1` plays the full length, as `scripts/long` does.

use std::path::Path;
use std::time::{Duration, Instant};

use caller_popup::simulator::{Scenario, scenarios};
use chrono::Utc;
use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::{Document, doc};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::durability::database_away;
use crate::support::privacy::{hide, hide_people, leaks, spellings};
use crate::support::{PATIENCE, Setup, Store, TestApp, eventually, flat};

const PATH: &str = "/api/webhooks/ringcentral";
const TOKEN: &str = "verification-token-of-tests";
const API_TOKEN: &str = "an-admins-token-of-these-tests";
/// Who is called so stands nowhere else.
const PERSON: &str = "Wilhelmine";
/// Attackers at work at once.
const AT_ONCE: usize = 32;

on_both_stores! {
    the_log_says_nothing_about_people,
    erase_leaves_nothing_behind,
    erase_says_what_it_removed,
}

#[tokio::test]
async fn an_attack_neither_breaks_the_server_nor_slows_honest_calls() {
    let app = Setup::on(Store::Sqlite).with("RINGCENTRAL_VERIFICATION_TOKEN", TOKEN).start().await;
    let attacks = if is_long() { 10_000 } else { 500 };
    let calm = p99(honest(&app, "calm", if is_long() { 1_000 } else { 50 }).await);
    // The first attacks fill buffers and caches that are kept for good; what as many more add would be growth.
    attack(&app.address, 0..attacks).await;
    let before = resident(&app);
    // Strangers do not share RingCentral's machine: what they wait for themselves must not count as our answer's time.
    let address = app.address.clone();
    let attackers = std::thread::spawn(move || {
        let attackers = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let begun = Instant::now();
        attackers.block_on(attack(&address, attacks..2 * attacks));
        begun.elapsed()
    });
    let mut took = Vec::new();
    while !attackers.is_finished() {
        took.extend(honest(&app, &format!("attacked-{}", took.len()), 50).await);
    }
    let lasted = attackers.join().expect("the attackers come to an end");
    eprintln!("{} honest calls in {lasted:?}", took.len());
    let (under_attack, after) = (p99(took), resident(&app));
    eprintln!("{attacks} attacks: p99 {calm:?} calm, {under_attack:?} attacked; {before} kB before, {after} kB after");
    assert!(!app.log().contains("panic"), "something panicked");
    assert!(after * 10 <= before * 12, "memory grew from {before} to {after} kB");
    if is_long() {
        assert!(under_attack < calm * 3, "honest p99 went from {calm:?} to {under_attack:?}");
    }
}

#[tokio::test]
async fn every_authentic_webhook_of_a_rush_is_taken_beside_a_flood_of_strangers() {
    let app = Setup::on(Store::Sqlite).with("RINGCENTRAL_VERIFICATION_TOKEN", TOKEN).start().await;
    let client = app.client.clone();
    let url = app.url(PATH);
    let send = |token: &'static str, session: String| {
        let ring = flat(&session, "Ringing", json!({ "phoneNumber": "+14165551234" }));
        let request = client.post(&url).header("Verification-Token", token).json(&ring);
        async move { request.send().await.expect("an answer comes").status() }
    };
    // As many as come, whether or not those before were answered.
    let rush = async |token: &'static str, count: usize, pace: Duration| {
        let mut beat = tokio::time::interval(pace);
        let mut sent = Vec::new();
        for n in 0..count {
            beat.tick().await;
            sent.push(tokio::spawn(send(token, format!("{}-{n}", token.len()))));
        }
        let answers = futures_util::future::join_all(sent).await;
        answers.into_iter().map(|answer| answer.expect("nothing panics")).collect::<Vec<_>>()
    };
    let (honest, strangers) =
        tokio::join!(rush(TOKEN, 500, Duration::from_millis(2)), rush("a-guess", 250, Duration::from_millis(4)),);
    assert_eq!(honest.iter().filter(|status| **status == StatusCode::OK).count(), 500);
    assert!(strangers.contains(&StatusCode::TOO_MANY_REQUESTS), "nobody was slowed down");
    assert!(!strangers.contains(&StatusCode::OK), "a stranger was believed");
    let active = app.active_calls().await;
    assert_eq!(active.len(), 500);
}

#[tokio::test]
async fn connections_with_slow_headers_keep_no_webhook_waiting() {
    let app = Setup::on(Store::Sqlite).start().await;
    app.ring("before", "+14165551234").await;
    let count = if is_long() { 1_000 } else { 200 };
    let mut slow = Vec::new();
    for _ in 0..count {
        let mut socket = TcpStream::connect(&app.address).await.expect("a connection opens");
        socket.write_all(format!("POST {PATH} HTTP/1.1\r\nHost: {}\r\nX-Slow", app.address).as_bytes()).await.unwrap();
        slow.push(socket);
    }
    let begun = Instant::now();
    app.ring("between", "+14165551234").await;
    eprintln!("beside {count} slow connections a webhook was answered in {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_body_that_drips_is_answered_although_it_never_ends() {
    let app = Setup::on(Store::Sqlite).start().await;
    for path in [PATH, "/api/auth/session"] {
        let (mut answer, mut body) = TcpStream::connect(&app.address).await.expect("a connection opens").into_split();
        let json = "Content-Type: application/json\r\nContent-Length: 60000";
        body.write_all(format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{json}\r\n\r\n[", app.address).as_bytes())
            .await
            .unwrap();
        let drip = async {
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            // Whoever was answered may be hung up on.
            while body.write_all(b" ").await.is_ok() {
                beat.tick().await;
            }
            std::future::pending::<()>().await
        };
        let mut head = [0; 12];
        let answered = async { tokio::time::timeout(PATIENCE, answer.read_exact(&mut head)).await };
        tokio::select! {
            read = answered => read.expect("an answer comes").expect("it is whole"),
            () = drip => unreachable!("it drips for ever"),
        };
        assert_eq!(&head, b"HTTP/1.1 400", "{path}");
    }
}

async fn the_log_says_nothing_about_people(store: Store) {
    let app = Setup::on(store)
        .with("RINGCENTRAL_VERIFICATION_TOKEN", TOKEN)
        .with("API_TOKENS", API_TOKEN)
        .with("LOG", "info")
        .with_customers(&[("Zacharias Quillfeather", "zacharias@quill.example", "+14165550177")])
        .await
        .start()
        .await;
    hide([TOKEN, API_TOKEN, "Zacharias", "Quillfeather", "zacharias@", PERSON].map(str::to_owned));
    hide(["+14165550177", "+15879876543"].into_iter().flat_map(spellings));
    hide(["a-wrong-token-quite", "another-wrong-token", "guessed-ticket"].map(str::to_owned));
    for choice in scenarios() {
        for (_, told) in Scenario::named(choice.name).unwrap().notifications(Utc::now(), 7) {
            hide_people(&told);
            assert_eq!(post(&app, TOKEN, told.to_string()).await, StatusCode::OK);
        }
    }
    let ring = flat("logged", "Ringing", json!({ "phoneNumber": "+14165550177", "name": PERSON })).to_string();
    assert_eq!(post(&app, TOKEN, ring.clone()).await, StatusCode::OK);
    let not_json = ring.replace('}', "");
    for (token, body) in [("a-wrong-token-quite", &ring), (TOKEN, &not_json), (TOKEN, &format!("[{ring}]"))] {
        post(&app, token, body.clone()).await;
    }
    assert_eq!(post(&app, TOKEN, odd(PERSON).to_string()).await, StatusCode::OK);
    for path in ["/api/ringcentral/calls?number=%2B14165550177", "/api/ringcentral/active-calls?ticket=guessed-ticket"]
    {
        app.request(Method::GET, path).bearer_auth(API_TOKEN).send().await.unwrap();
        app.request(Method::GET, path).bearer_auth("another-wrong-token").send().await.unwrap();
    }
    if store == Store::Mongo {
        // A document no program should write: refused by our own reader, and nothing of it belongs in the log.
        let broken = doc! { "session_id": 5, "from_number": "+14165550177", "from_name": PERSON };
        app.database().await.collection::<Document>("active_calls").insert_one(broken).await.unwrap();
        eventually("it is read", async || app.log().contains("is no call").then_some(())).await;
    }
    let erase = app.request(Method::DELETE, "/api/customers/by-number/+14165550177").bearer_auth(API_TOKEN);
    assert_eq!(erase.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(leaks(&app.log()), Vec::<String>::new());
    assert_ne!(leaks(&format!("a line about {PERSON}")), Vec::<String>::new(), "the search finds what is there");
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

/// Waits past the next sweeps, which must not bring anything back, and searches.
async fn gone(app: &TestApp, store: Store, number: &str, by: &str) {
    eventually("no call is shown", async || {
        let shown = json!(app.active_calls().await).to_string();
        (!spellings(number).iter().any(|it| shown.contains(it.as_str()))).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(traces(app, store, number).await, Vec::<String>::new(), "after {by}");
}

/// Every place that holds the number in any spelling, or the person's name: files as raw bytes, tables, collections.
async fn traces(app: &TestApp, store: Store, number: &str) -> Vec<String> {
    let theirs = [spellings(number), vec![PERSON.to_owned()]].concat();
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
fn odd(person: &str) -> Value {
    json!({ "event": "/of/+14165550177", "body": { "who": person, person: 1, "+14165550177": 1 } })
}

fn is_long() -> bool {
    std::env::var("CHAOS").is_ok_and(|it| it == "1")
}

async fn post(app: &TestApp, token: &str, body: String) -> StatusCode {
    let request = app.request(Method::POST, PATH).header("Verification-Token", token).body(body);
    request.send().await.expect("an answer comes").status()
}

/// Real calls, one every 10 ms, and how long each answer took.
async fn honest(app: &TestApp, name: &str, count: usize) -> Vec<Duration> {
    let mut beat = tokio::time::interval(Duration::from_millis(10));
    let mut took = Vec::new();
    for n in 0..count {
        beat.tick().await;
        let ring = flat(
            &format!("{name}-{}", n / 2),
            ["Ringing", "Disconnected"][n % 2],
            json!({ "phoneNumber": "+14165551234" }),
        );
        let begun = Instant::now();
        assert_eq!(post(app, TOKEN, ring.to_string()).await, StatusCode::OK);
        took.push(begun.elapsed());
    }
    took
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

/// The program's memory in kB.
fn resident(app: &TestApp) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.process_id())).expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn attack(address: &str, seeds: std::ops::Range<u64>) {
    stream::iter(seeds)
        .for_each_concurrent(AT_ONCE, async |seed| {
            let mut random = SmallRng::seed_from_u64(seed);
            let request = malice(&mut random, address);
            let Ok(mut socket) = TcpStream::connect(address).await else { panic!("no connection for {seed}") };
            // Whoever is refused early may be hung up on in the middle of what it says.
            for part in request {
                if socket.write_all(&part).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let mut answer = [0; 16];
            let read = tokio::time::timeout(PATIENCE, socket.read(&mut answer)).await;
            if let Ok(Ok(some)) = read
                && some >= 12
            {
                assert_ne!(answer[9], b'5', "attack {seed}: {}", String::from_utf8_lossy(&answer));
            }
        })
        .await;
}

/// A request no honest sender makes, in the parts in which it is written.
fn malice(random: &mut SmallRng, host: &str) -> Vec<Vec<u8>> {
    let token = if random.random_bool(0.7) { TOKEN } else { "wrong" };
    let head = |length: usize| {
        format!(
            "POST {PATH} HTTP/1.1\r\nHost: {host}\r\nVerification-Token: {token}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let whole = |body: Vec<u8>| vec![head(body.len()).into_bytes(), body];
    let mut noise = |most: usize| (0..random.random_range(1..most)).map(|_| random.random()).collect::<Vec<u8>>();
    let real = flat("attack", "Ringing", json!({ "phoneNumber": "+14165551234" })).to_string();
    let bytes = noise(4_000);
    match random.random_range(0..12) {
        0 => whole(bytes),
        1 => whole(vec![b'x'; 1024 * 1024 + 1 + bytes.len()]),
        2 => whole(b"[".repeat(100_000)),
        3 => whole([b"{\"a\":".repeat(20_000), b"1".to_vec(), b"}".repeat(20_000)].concat()),
        4 => whole(real.as_bytes()[..bytes.len() % real.len()].to_vec()),
        // Says more than it sends, and waits for the server to lose patience.
        5 if random.random_bool(0.1) => vec![head(5_000).into_bytes(), real.into_bytes()],
        5 => vec![bytes],
        6 => vec![format!("GET /{} HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n", "a/".repeat(3_000), "y".repeat(40_000)).into_bytes()],
        7 => vec![format!("POST {PATH} HTTP/1.1\r\nHost: {host}\r\nVerification-Token: {token}\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n").into_bytes()],
        8 => whole(json!({ "event": bytes.len(), "body": { "parties": [null, 7, {}], "sessionId": bytes } }).to_string().into_bytes()),
        9 => whole(real.replace("+14165551234", &"9".repeat(bytes.len())).replace("Inbound", "\\u0000").into_bytes()),
        10 => vec![format!("GET /api/ringcentral/calls?limit={}&cursor=%00%FF HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", u128::MAX).into_bytes()],
        _ => whole(real.replace("attack", &"s".repeat(bytes.len() * 10)).into_bytes()),
    }
}
