//! Searches among many customers: as many as `SEARCHED` says. With it their times are printed and held against the bar.

use std::fmt::Write;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use reqwest::Url;
use serde_json::Value;

use crate::support::{Setup, Store, TestApp, from_environment, within};

on_both_stores! {
    searches_among_many_customers_find_them_in_time,
}

const USUAL: usize = 3_000;
/// Searches of each kind.
const QUERIES: usize = 200;
/// 95 of 100 searches among a million customers are answered by then.
const BAR: Duration = Duration::from_millis(50);
/// A million customers, on a busy machine.
const LONGEST_BUILD: Duration = Duration::from_secs(1_800);
const SYLLABLES: [&str; 24] = [
    "ba", "ber", "cal", "da", "del", "fen", "ga", "hol", "jo", "ka", "lin", "ma", "mor", "na", "nel", "os", "pa",
    "qui", "ro", "sa", "tan", "ul", "vi", "wen",
];
const AREAS: [u32; 8] = [212, 305, 416, 503, 604, 613, 702, 905];

struct Customer {
    first: String,
    last: String,
    company: String,
    email: String,
    phone: String,
}

/// A word that many or few have.
fn word(mut n: usize, syllables: usize) -> String {
    let mut word = String::new();
    for _ in 0..syllables {
        word += SYLLABLES[n % SYLLABLES.len()];
        n /= SYLLABLES.len();
    }
    word
}

fn customer(n: usize) -> Customer {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
    let (first, last) = (word(mixed % 500, 2), word(mixed / 500 % 14_000, 3));
    let company = format!("{} {}", word(mixed / 31 % 300_000, 4), ["Group", "Ltd", "Partners"][n % 3]);
    let (area, rest) = (AREAS[n % AREAS.len()], n / AREAS.len());
    let (exchange, line) = (200 + rest / 10_000 % 800, rest % 10_000);
    let phone = match n % 3 {
        0 => format!("({area}) {exchange}-{line:04}"),
        1 => format!("+1{area}{exchange}{line:04}"),
        _ => format!("{area}.{exchange}.{line:04} ext. 7"),
    };
    Customer { email: format!("{first}.{last}{n}@example.com"), first, last, company, phone }
}

async fn with_customers(store: Store, count: usize) -> Setup {
    let setup = Setup::on(store);
    if store == Store::Sqlite {
        let mut table = String::from("id,name,company,email,phone\n");
        for (n, it) in (0..count).map(customer).enumerate() {
            let _ = writeln!(table, "c{n},{} {},{},{},{}", it.first, it.last, it.company, it.email, it.phone);
        }
        let file = setup.write_file("many.csv", table);
        let begun = Instant::now();
        let done = setup.command().args(["customers", "import"]).arg(file).output().await.unwrap();
        assert!(done.status.success());
        println!("sqlite: {count} customers imported in {:.1?}", begun.elapsed());
        return setup;
    }
    let customers = setup.database().await.collection::<Document>("customers");
    for from in (0..count).step_by(10_000) {
        let some = (from..count.min(from + 10_000)).map(|n| {
            let it = customer(n);
            let name = format!("{} {}", it.first, it.last);
            doc! { "_id": format!("c{n}"), "name": name, "company": it.company, "email": it.email, "phone": it.phone }
        });
        customers.insert_many(some).await.unwrap();
    }
    setup
}

async fn searches_among_many_customers_find_them_in_time(store: Store) {
    let count = from_environment("SEARCHED", USUAL);
    let setup = with_customers(store, count).await;
    let begun = Instant::now();
    let app = setup.start().await;
    for state in ["building_search", "complete"] {
        within(LONGEST_BUILD, "the index", async || {
            let now = app.get_json("/health/ready").await["customer_index"].clone();
            (now == state || now == "complete").then_some(())
        })
        .await;
        println!("{}: {state} {:.1?} after the start", name(store), begun.elapsed());
    }
    for (kind, text) in KINDS {
        let mut times = Vec::with_capacity(QUERIES);
        for query in 0..QUERIES {
            let n = query.wrapping_mul(7_919_777) % count;
            let asked = Instant::now();
            let found = search(&app, &text(&customer(n))).await;
            times.push(asked.elapsed());
            let is_found = found.iter().any(|it| it["id"] == format!("c{n}"));
            assert!(is_found || found.len() == 20, "{kind}: customer {n} is not among {}", found.len());
        }
        times.sort();
        let (p50, p95) = (times[QUERIES / 2], times[QUERIES * 95 / 100]);
        println!("{}: {kind}: p50 {p50:.1?}, p95 {p95:.1?}, longest {:.1?}", name(store), times[QUERIES - 1]);
        assert!(count == USUAL || p95 <= BAR, "{kind}: p95 is {p95:?}");
    }
}

/// What a search asks for of a customer.
type Query = fn(&Customer) -> String;

const KINDS: [(&str, Query); 8] = [
    ("two letters", |it| it.last[..2].to_owned()),
    ("a first name", |it| it.first.clone()),
    ("both names", |it| format!("{} {}", it.last, it.first)),
    ("a letter and a name", |it| format!("{} {}", &it.first[..1], &it.last[..4])),
    ("a company", |it| it.company.clone()),
    ("an email address", |it| it.email[..it.email.len() - 8].to_owned()),
    ("a number", |it| it.phone.clone()),
    ("four digits", |it| it.phone.chars().filter(char::is_ascii_digit).skip(5).take(4).collect()),
];

fn name(store: Store) -> &'static str {
    if store == Store::Mongo { "mongodb" } else { "sqlite" }
}

async fn search(app: &TestApp, text: &str) -> Vec<Value> {
    let address = Url::parse_with_params(&app.url("/api/customers"), [("q", text)]).unwrap();
    let answer = reqwest::get(address).await.unwrap();
    assert_eq!(answer.status(), 200, "{text}");
    answer.json::<Value>().await.unwrap()["customers"].as_array().unwrap().clone()
}
