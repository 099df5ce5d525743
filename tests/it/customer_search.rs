//! Customers who are searched, on both stores: by words, email, numbers in any spelling and parts of them.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use reqwest::{StatusCode, Url};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Setup, Store, TestApp, eventually, privacy, token, within};

on_both_stores! {
    customers_are_found_by_the_beginnings_of_words_by_email_and_by_number,
    the_best_come_first_and_there_are_at_most_twenty,
    whatever_is_typed_finds_whom_it_names_or_is_refused,
    what_another_program_does_to_customers_is_found,
    what_was_there_before_is_found_and_other_settings_are_followed,
    an_agent_may_search_and_a_stranger_may_not,
    nothing_is_left_of_the_words_and_digits_of_an_erased_customer,
}

/// On a busy machine, on which a collection and its index take long to make.
const LONGEST_BUILD: Duration = Duration::from_secs(60);

/// Id, name, company, email, number.
type Person = (&'static str, &'static str, &'static str, &'static str, &'static str);

const PEOPLE: [Person; 6] = [
    ("1", "René Müller-O'Brien", "Quill Straße GmbH", "rene.m@quill.example", "(416) 555-1234 x7"),
    ("2", "Sarah Quill", "", "sarah@quill.example", "+44 20 7946 0018"),
    ("3", "IŞIK Dilara", "ＡＣＭＥ Widgets", "", "416.555.0101 / 416-555-0102"),
    ("4", "محمد علي", "", "m.ali@example.com", "+4930901820"),
    ("5", "王小明 😀", "小明 Trading", "", ""),
    ("6", "Ann (VIP) [x].*", "", "ann+x@example.com", "4165550199"),
];

fn hide(people: &[Person]) {
    privacy::hide(people.iter().map(|(_, name, ..)| (*name).to_owned()).filter(|name| name.contains(' ')));
}

async fn with_people(setup: Setup, store: Store, people: &[Person]) -> Setup {
    hide(people);
    match store {
        Store::Mongo => {
            let document = |(id, name, company, email, phone): &Person| {
                doc! { "_id": *id, "name": *name, "company": *company, "email": *email, "phone": *phone }
            };
            let customers = setup.database().await.collection::<Document>("customers");
            customers.insert_many(people.iter().map(document)).await.unwrap();
        }
        Store::Sqlite => {
            let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let row = |(id, name, company, email, phone): &Person| {
                [id, name, company, email, phone].map(|text| quoted(text)).join(",") + "\n"
            };
            let rows: String = people.iter().map(row).collect();
            let file = setup.write_file("people.csv", format!("id,name,company,email,phone\n{rows}"));
            let (status, said) = setup.run(&["customers", "import", &file.display().to_string()]).await;
            assert!(status.success(), "{said}");
        }
    }
    setup
}

async fn start(store: Store) -> TestApp {
    let app = with_people(Setup::on(store), store, &PEOPLE).await.start().await;
    complete(&app).await;
    app
}

async fn complete(app: &TestApp) {
    within(LONGEST_BUILD, "complete indexes", async || {
        (app.get_json("/health/ready").await["customer_index"] == "complete").then_some(())
    })
    .await;
}

fn address(app: &TestApp, text: &str) -> Url {
    Url::parse_with_params(&app.url("/api/customers"), [("q", text)]).unwrap()
}

/// The status and the body of a search.
async fn asked(app: &TestApp, text: &str) -> (StatusCode, Value) {
    let answer = reqwest::get(address(app, text)).await.expect("an answer comes");
    (answer.status(), answer.json().await.expect("it is JSON"))
}

async fn search(app: &TestApp, text: &str) -> Vec<Value> {
    let (status, body) = asked(app, text).await;
    assert_eq!(status, 200, "{text:?}: {body}");
    body["customers"].as_array().unwrap().clone()
}

async fn ids(app: &TestApp, text: &str) -> Vec<String> {
    search(app, text).await.iter().map(|customer| customer["id"].as_str().unwrap().to_owned()).collect()
}

async fn customers_are_found_by_the_beginnings_of_words_by_email_and_by_number(store: Store) {
    let app = start(store).await;
    for (text, found) in [
        ("rene", &["1"][..]),
        ("RENÉ", &["1"]),
        ("re\u{301}n obr", &["1"]),
        ("mull strass", &["1"]),
        ("quill", &["1", "2"]),
        ("qui sa", &["2"]),
        ("ll", &[]),
        ("sarah smith", &[]),
        ("rene.m@quill", &["1"]),
        ("RENE.M@QUILL.EXAMPLE", &["1"]),
        ("@quill", &["1", "2"]),
        ("416-555-1234", &["1"]),
        ("+1 (416) 555 1234", &["1"]),
        ("٤١٦٥٥٥١٢٣٤", &["1"]),
        ("４１６５５５１２３４", &["1"]),
        ("020 7946 0018", &["2"]),
        ("79460018", &["2"]),
        ("5550102", &["3"]),
        ("555-01", &["6", "3"]),
        ("030 9018", &["4"]),
        ("isik", &["3"]),
        ("ışık", &["3"]),
        ("acme wid", &["3"]),
        ("محم", &["4"]),
        ("王小", &["5"]),
        ("小明", &["5"]),
        ("1235", &[]),
    ] {
        assert_eq!(ids(&app, text).await, found, "{text:?}");
    }
    let exact = json!({
        "id": "1", "name": "René Müller-O'Brien", "email": "rene.m@quill.example", "company": "Quill Straße GmbH",
        "match": "exact",
    });
    let mut by_name = exact.clone();
    by_name["match"] = Value::Null;
    assert_eq!(search(&app, "416 555 1234").await, [exact]);
    assert_eq!(search(&app, "rene mull").await, [by_name]);
    assert_eq!(search(&app, "isik").await[0]["email"], Value::Null);
}

async fn the_best_come_first_and_there_are_at_most_twenty(store: Store) {
    const MANY: [Person; 6] = [
        ("c", "Zoe Vale", "Vale 4165550133 Ltd", "", ""),
        ("b", "VALÉ", "", "", ""),
        ("a", "Vale", "", "", ""),
        ("d", "Valerie Ost", "", "", ""),
        ("e", "Adam Ost", "Valence", "", ""),
        ("n", "Bob Ost", "", "vale@example.com", "416-555-0133"),
    ];
    let app = with_people(Setup::on(store), store, &MANY).await.start().await;
    complete(&app).await;
    assert_eq!(ids(&app, "vale").await, ["a", "b", "d", "e", "n", "c"]);
    assert_eq!(ids(&app, "4165550133").await, ["n", "c"]);
    let many: Vec<(String, String)> = (0..30).map(|n| (format!("m{n}"), format!("Gomez {n:02}"))).collect();
    match store {
        Store::Mongo => {
            let documents = many.iter().map(|(id, name)| doc! { "_id": id, "name": name });
            app.database().await.collection::<Document>("customers").insert_many(documents).await.unwrap();
        }
        Store::Sqlite => {
            let db = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
            for (id, name) in &many {
                db.execute("INSERT INTO customers (id, name) VALUES (?1, ?2)", [id, name]).unwrap();
            }
        }
    }
    eventually("the last of many", async || (ids(&app, "gomez 29").await == ["m29"]).then_some(())).await;
    let first: Vec<String> = many[..20].iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(ids(&app, "gomez").await, first);
}

async fn whatever_is_typed_finds_whom_it_names_or_is_refused(store: Store) {
    let app = start(store).await;
    let long = "a".repeat(10_000);
    let words = "a ".repeat(100);
    for text in [
        "",
        " ",
        "a",
        "12",
        "123",
        ".*",
        "^",
        "$where",
        "%",
        "_",
        "'",
        "\"",
        "\0",
        "*",
        "😀",
        "\u{202e}",
        "\u{301}\u{301}",
        "()",
        "[[",
        "--",
        &long,
        &words,
    ] {
        let (status, body) = asked(&app, text).await;
        let is_refusal = status == 400 && body["error"]["code"] == "bad_query";
        // `$where` is a word.
        assert!(is_refusal || (text == "$where" && status == 200), "{text:?}: {status} {body}");
    }
    for (text, found) in [
        ("ann.*", &["6"][..]),
        ("ann (", &["6"]),
        ("ann [x]", &["6"]),
        ("ann+x@", &["6"]),
        ("ann\0", &["6"]),
        ("ann OR sarah", &[]),
        ("sarah NOT quill", &[]),
        ("sarah* AND quill", &[]),
        ("NEAR(sarah quill)", &[]),
        ("name:sarah", &[]),
        ("sarah\" OR \"rene", &[]),
        ("s.r.h", &[]),
        ("sarah' OR 1=1 --", &[]),
        ("%rah", &[]),
        ("\u{202b}محمد\u{202c}", &["4"]),
        ("王小明 😀", &["5"]),
        ("sa\u{ad}rah", &["2"]),
    ] {
        assert_eq!(ids(&app, text).await, found, "{text:?}");
    }
    assert_eq!(app.get("/api/customers").await.status(), 400);
    assert_eq!(app.get("/api/customers?q=%ff%fe").await.status(), 400);
    assert_eq!(app.get("/api/customers?q[$ne]=sarah").await.status(), 400);
}

async fn what_another_program_does_to_customers_is_found(store: Store) {
    let app = start(store).await;
    hide(&[("", "Kim Verne", "", "", "")]);
    let found = async |text: &str, expected: &[&str]| {
        eventually(format!("{text:?} finds {expected:?}"), async || (ids(&app, text).await == expected).then_some(()))
            .await;
    };
    match store {
        Store::Mongo => {
            let customers = app.database().await.collection::<Document>("customers");
            customers.update_one(doc! { "_id": "2" }, doc! { "$set": { "name": "Kim Verne" } }).await.unwrap();
            found("verne", &["2"]).await;
            found("sarah q", &[]).await;
            customers.update_one(doc! { "_id": "2" }, doc! { "$set": { "phone": "416-555-0177" } }).await.unwrap();
            found("550177", &["2"]).await;
            customers.delete_one(doc! { "_id": "2" }).await.unwrap();
        }
        Store::Sqlite => {
            let db = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
            db.execute("UPDATE customers SET name = 'Kim Verne' WHERE id = '2'", []).unwrap();
            found("verne", &["2"]).await;
            found("sarah q", &[]).await;
            let phone =
                "INSERT INTO customer_phones (e164, customer_id, written) VALUES ('+14165550177', '2', '416-555-0177')";
            db.execute(phone, []).unwrap();
            found("550177", &["2"]).await;
            db.execute("DELETE FROM customers WHERE id = '2'", []).unwrap();
        }
    }
    found("verne", &[]).await;
    found("550177", &[]).await;
}

/// A file or a collection from before there were searches.
async fn what_was_there_before_is_found_and_other_settings_are_followed(store: Store) {
    let mut app = start(store).await;
    app.kill().await;
    match store {
        Store::Mongo => {
            let database = app.database().await;
            database.collection::<Document>("caller_popup_customer_search").drop().await.unwrap();
            let state = doc! { "$unset": { "search": "" } };
            let settings = database.collection::<Document>("caller_popup_settings");
            settings.update_one(doc! { "_id": "number_index" }, state).await.unwrap();
        }
        Store::Sqlite => {
            let db = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
            db.execute_batch("DELETE FROM customer_search; DELETE FROM settings WHERE key = 'customer_search';")
                .unwrap();
        }
    }
    app.restart().await;
    complete(&app).await;
    assert_eq!(ids(&app, "quill").await, ["1", "2"]);
    assert_eq!(ids(&app, "5551234").await, ["1"]);
    if store == Store::Mongo {
        app.restart_with("CUSTOMER_COMPANY_FIELD", "firm").await;
        complete(&app).await;
        assert_eq!(ids(&app, "quill").await, ["2"], "nobody's firm is called so");
        assert_eq!(search(&app, "rene").await[0]["company"], Value::Null);
    }
}

async fn an_agent_may_search_and_a_stranger_may_not(store: Store) {
    let setup = Setup::on(store).with("JWT_SECRET", token::SECRET);
    let app = with_people(setup, store, &PEOPLE).await.start().await;
    let agent = token::agent("dana", &["101"]);
    let found: Value = eventually("the customer", async || {
        let found = app.bearing(&agent).get_json("/api/customers?q=sarah").await;
        (found["customers"][0]["id"] == "2").then_some(found)
    })
    .await;
    assert_eq!(found["customers"].as_array().unwrap().len(), 1);
    assert_eq!(app.get("/api/customers?q=sarah").await.status(), 401);
}

async fn nothing_is_left_of_the_words_and_digits_of_an_erased_customer(store: Store) {
    const ERASED: [Person; 1] =
        [("e1", "Quastia Flosserin", "Xylophonia Works", "qflosserin@quill.example", "(416) 583-4691")];
    privacy::hide(["(416) 583-4691".to_owned(), "+14165834691".to_owned(), "qflosserin@quill.example".to_owned()]);
    let setup = with_people(Setup::on(store), store, &PEOPLE).await;
    let app = with_people(setup, store, &ERASED).await.start().await;
    complete(&app).await;
    for text in ["flosserin", "xylo", "qflosserin@q", "583469"] {
        assert_eq!(ids(&app, text).await, ["e1"], "{text}");
    }
    assert!(!left(&app, store).await.is_empty(), "the look finds what is there");
    let (status, said) = app.run(&["erase", "+14165834691", "--with-customers"]).await;
    assert!(status.success(), "{said}");
    assert_eq!(left(&app, store).await, Vec::<String>::new());
    for text in ["flosserin", "xylo", "qflosserin@q", "583469"] {
        assert_eq!(ids(&app, text).await, Vec::<String>::new(), "{text}");
    }
    assert_eq!(ids(&app, "quill").await, ["1", "2"], "the others are still found");
}

/// Where words of the customer above are, or keys made of them. A full-text index writes the end of a word where the one before it
/// begins alike.
async fn left(app: &TestApp, store: Store) -> Vec<String> {
    let words = ["losserin", "ylophoni", "uastia", "5834691", "583-4691", "5834 6583"];
    let mut left = Vec::new();
    for file in std::fs::read_dir(app.data_dir()).unwrap().map(|file| file.unwrap().path()) {
        let bytes = std::fs::read(&file).unwrap();
        let holds = |word: &&str| bytes.windows(word.len()).any(|some| some.eq_ignore_ascii_case(word.as_bytes()));
        left.extend(words.iter().filter(|word| holds(word)).map(|word| format!("{word} in {}", file.display())));
    }
    match store {
        Store::Mongo => {
            let database = app.database().await;
            let keys = database.collection::<Document>("caller_popup_customer_search");
            left.extend(keys.find_one(doc! { "_id": "e1" }).await.unwrap().map(|_| "keys".to_owned()));
            for name in database.list_collection_names().await.unwrap() {
                let mut all = database.collection::<Document>(&name).find(doc! {}).await.unwrap();
                while all.advance().await.unwrap() {
                    let text = all.deserialize_current().unwrap().to_string().to_lowercase();
                    left.extend(
                        words.iter().filter(|word| text.contains(**word)).map(|word| format!("{word} in {name}")),
                    );
                }
            }
        }
        Store::Sqlite => {
            let db = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
            for (table, word) in [("customer_words", "%lo%rin%"), ("customer_digits", "5834")] {
                db.execute_batch(&format!("CREATE VIRTUAL TABLE temp.terms USING fts5vocab('main', '{table}', 'row')"))
                    .unwrap();
                let mut found = db.prepare("SELECT term FROM terms WHERE term LIKE ?1").unwrap();
                let found = found.query_map([word], |row| row.get::<_, String>(0)).unwrap();
                left.extend(found.map(|term| format!("{} in {table}", term.unwrap())));
                db.execute_batch("DROP TABLE temp.terms").unwrap();
            }
            // Also what was put under a key of its own: the windows of digits.
            let mut blocks = db.prepare("SELECT block FROM customer_digits_data").unwrap();
            let blocks = blocks.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
            let holds = |block: &Vec<u8>| block.windows(4).any(|some| some == b"8346");
            left.extend(blocks.filter(|block| holds(block.as_ref().unwrap())).map(|_| "a block of digits".to_owned()));
        }
    }
    left
}
