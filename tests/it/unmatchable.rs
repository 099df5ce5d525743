//! Texts in customers' fields for telephone numbers that can never match a caller.

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, Setup, Store, TestApp, privacy, token};

on_both_stores! {
    what_can_never_match_is_listed_with_the_reason_and_what_is_meant,
    the_list_is_paged_and_has_each_text_once,
}

const CUSTOMERS: [(&str, &str); 7] = [
    ("a", "(416) 555-0123"),
    ("b", "555-0187"),
    ("c", "+(416) 555-0124"),
    ("d", "41655501254165550126"),
    ("e", "4.16555E+10"),
    ("f", "416-555-0127; 555-0188x"),
    ("g", "ext. 204"),
];

async fn with_customers(store: Store, customers: &[(String, String)]) -> Setup {
    privacy::hide(customers.iter().map(|(_, phone)| phone.clone()).filter(|phone| phone.len() > 8));
    let setup = Setup::on(store).with("DEFAULT_REGION", "CA").with("API_TOKENS", ADMIN_TOKEN);
    match store {
        Store::Mongo => {
            let documents = customers.iter().map(|(id, phone)| doc! { "_id": id, "name": "Ann", "phone": phone });
            setup.database().await.collection::<Document>("customers").insert_many(documents).await.unwrap();
        }
        Store::Sqlite => {
            let rows: String = customers.iter().map(|(id, phone)| format!("{id},Ann,{phone}\n")).collect();
            let file = setup.write_file("customers.csv", format!("id,name,phone\n{rows}")).display().to_string();
            let (status, said) = setup.run(&["customers", "import", &file]).await;
            assert!(status.success(), "{said}");
        }
    }
    setup.with("JWT_SECRET", token::SECRET)
}

async fn page(app: &TestApp, query: &str) -> Value {
    app.as_admin().get_json(&format!("/api/customers/unmatchable{query}")).await
}

fn owned(customers: &[(&str, &str)]) -> Vec<(String, String)> {
    customers.iter().map(|(id, phone)| ((*id).to_owned(), (*phone).to_owned())).collect()
}

async fn what_can_never_match_is_listed_with_the_reason_and_what_is_meant(store: Store) {
    let app = with_customers(store, &owned(&CUSTOMERS)).await.start().await;
    let number = |id: &str, written: &str, reason: &str, suggestion: Value| json!({ "customer_id": id, "field": "phone", "written": written, "reason": reason, "suggestion": suggestion });
    let expected = [
        number("b", "555-0187", "the area code is missing", Value::Null),
        number("c", "+(416) 555-0124", "there is no country code behind the plus", json!("+14165550124")),
        number(
            "d",
            "41655501254165550126",
            "two numbers stand in it without a separator",
            json!("+14165550125; +14165550126"),
        ),
        number(
            "e",
            "4.16555E+10",
            "a spreadsheet shortened it; format the column as text and export it again",
            Value::Null,
        ),
        number("f", "555-0188x", "the area code is missing", Value::Null),
        number(
            "g",
            "ext. 204",
            "it is an extension or an internal number, which no caller from outside has",
            Value::Null,
        ),
    ];
    let read = page(&app, "").await;
    assert_eq!(read, json!({ "numbers": expected, "next_cursor": null }));
    // The command prints the same.
    let (status, said) = app.run(&["customers", "audit", "--json"]).await;
    assert!(status.success(), "{said}");
    let printed: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(printed, expected);
    let (status, said) = app.run(&["customers", "audit"]).await;
    assert!(status.success(), "{said}");
    for words in ["CUSTOMER", "+14165550124", "the area code is missing", "6 texts"] {
        assert!(said.contains(words), "{words} is missing in:\n{said}");
    }
    for cursor in ["x", "!!!", "AAAA", "eyJpZCI6MX0", "_w"] {
        let answer = app.as_admin().get(&format!("/api/customers/unmatchable?cursor={cursor}")).await;
        let status = answer.status();
        // The embedded store's positions are texts, so any text is one.
        let is_text = store == Store::Sqlite && ["AAAA", "eyJpZCI6MX0"].contains(&cursor);
        assert_eq!(status, if is_text { 200 } else { 400 }, "{cursor}");
    }
}

async fn the_list_is_paged_and_has_each_text_once(store: Store) {
    const MANY: usize = 1_203;
    let phone = |n: usize| if n.is_multiple_of(100) { format!("55{n:04}") } else { format!("416-555-{n:04}") };
    let many: Vec<(String, String)> = (0..MANY).map(|n| (format!("{n:05}"), phone(n))).collect();
    let app = with_customers(store, &many).await.start().await;
    let (mut listed, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let read = page(&app, &format!("?limit=5{cursor}")).await;
        let numbers = read["numbers"].as_array().unwrap().clone();
        assert!(numbers.len() <= 5);
        listed.extend(numbers.iter().map(|it| it["customer_id"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(next) = read["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<String> = (0..MANY).step_by(100).map(|n| format!("{n:05}")).collect();
    assert_eq!(listed, expected);
    assert!(pages >= 3);
}
