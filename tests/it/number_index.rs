//! The index of customers' numbers in MongoDB: it holds what the host's collection holds, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use caller_popup::phone::{PhoneNumber, Region};
use caller_popup::store::number_key;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use mongodb::{Collection, Database};
use serde_json::Value;

use crate::support::mongod::Failure;
use crate::support::{Setup, Store, TestApp, eventually, within};

/// A debug build on a busy machine parses 20,000 numbers in half of this.
const LONGEST_PASS: Duration = Duration::from_secs(60);

/// Keys by the `_id`s of customers, as their types and values are written.
type Index = BTreeMap<String, Vec<String>>;

fn customers(database: &Database) -> Collection<Document> {
    database.collection("customers")
}

async fn index(database: &Database) -> Index {
    let mut found = database.collection::<Document>("caller_popup_numbers").find(doc! {}).await.unwrap();
    let mut index = Index::new();
    while found.advance().await.unwrap() {
        let document = found.deserialize_current().unwrap();
        let keys = document.get_array("keys").unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
        index.insert(format!("{:?}", document["_id"]), keys);
    }
    index
}

fn index_of(entries: &[(Bson, &[&str])]) -> Index {
    let owned = |numbers: &[&str]| {
        let key = |number: &&str| number_key(&PhoneNumber::parse(number, Region::default()).unwrap());
        let mut keys: Vec<String> = numbers.iter().map(key).collect();
        keys.sort();
        keys
    };
    entries.iter().map(|(id, keys)| (format!("{id:?}"), owned(keys))).collect()
}

async fn becomes(database: &Database, expected: Index) {
    eventually(format!("an index of {} customers", expected.len()), async || {
        (index(database).await == expected).then_some(())
    })
    .await;
}

async fn complete(app: &TestApp) {
    within(LONGEST_PASS, "a complete index", async || {
        (app.get_json("/health/ready").await["customer_index"] == "complete").then_some(())
    })
    .await;
}

async fn is_called(app: &TestApp, session: &str, number: &str, name: &str) {
    app.ring(session, number).await;
    eventually(format!("the name of {session}"), async || {
        app.active_call(session).await.filter(|call| call["customer_name"] == name)
    })
    .await;
}

/// The lookup finds no customer: the answer of a lookup is applied even when it is empty.
async fn is_unknown(app: &TestApp, session: &str, number: &str) {
    app.ring(session, number).await;
    let store = app.open_store().await;
    let call = eventually(format!("the answer for {session}"), async || {
        store.active().await.unwrap().into_iter().find(|call| call.session_id == session && call.facts.looked_up)
    })
    .await;
    assert_eq!(call.customer_name, None);
}

#[tokio::test]
async fn every_number_of_every_field_is_indexed_under_ids_of_every_type() {
    let setup = Setup::on(Store::Mongo).with("CUSTOMER_PHONE_FIELDS", "phone,phones,contact,contact.mobile");
    let database = setup.database().await;
    let id = ObjectId::new();
    let documents = [
        doc! { "_id": id, "name": "One", "phone": "(416) 555-1234 ext. 7", "phones": ["+44 20 7946 0018", "tel:+14165551234"] },
        doc! { "_id": 5, "name": "Two", "contact": { "mobile": "0049 30 901820" } },
        doc! { "_id": "text", "name": "Three", "phone": "416.555.0101 / 416-555-0102" },
        doc! { "_id": doc! { "a": 1 }, "name": "Four", "phone": 14_165_550_103_i64 },
        doc! { "_id": Bson::Null, "name": "Five", "phones": "416 555 0104" },
        doc! { "_id": true, "name": "Six", "phone": "none" },
    ];
    customers(&database).insert_many(documents).await.unwrap();
    let app = setup.start().await;
    let expected = index_of(&[
        (id.into(), &["+14165551234", "+442079460018"]),
        (5.into(), &["+4930901820"]),
        ("text".into(), &["+14165550101", "+14165550102"]),
        (doc! { "a": 1 }.into(), &["+14165550103"]),
        (Bson::Null, &["+14165550104"]),
    ]);
    becomes(&database, expected).await;
    complete(&app).await;
    for (session, number, name) in
        [("1", "+442079460018", "One"), ("2", "+4930901820", "Two"), ("3", "+14165550104", "Five")]
    {
        is_called(&app, session, number, name).await;
    }
    // Only the index is asked: without the document there, the number is unknown.
    database.collection::<Document>("caller_popup_numbers").delete_one(doc! { "_id": "text" }).await.unwrap();
    is_unknown(&app, "4", "+14165550101").await;
}

#[tokio::test]
async fn what_another_program_does_to_customers_is_indexed() {
    let app = TestApp::start(Store::Mongo).await;
    complete(&app).await;
    eventually("the doctor reads that it is complete", async || {
        app.run(&["doctor"]).await.1.contains("ok    customer index").then_some(())
    })
    .await;
    let database = app.database().await;
    let host = customers(&database);
    host.insert_one(doc! { "_id": 1, "name": "Ann", "phone": "416 555 1234" }).await.unwrap();
    becomes(&database, index_of(&[(1.into(), &["+14165551234"])])).await;
    host.update_one(doc! { "_id": 1 }, doc! { "$set": { "phone": "416 555 9999" } }).await.unwrap();
    becomes(&database, index_of(&[(1.into(), &["+14165559999"])])).await;
    is_called(&app, "changed", "+14165559999", "Ann").await;
    is_unknown(&app, "before", "+14165551234").await;
    // The name is the customer's at the time of the call.
    host.update_one(doc! { "_id": 1 }, doc! { "$set": { "name": "Ann Lee" } }).await.unwrap();
    is_called(&app, "renamed", "+14165559999", "Ann Lee").await;
    host.update_one(doc! { "_id": 1 }, doc! { "$unset": { "phone": "" } }).await.unwrap();
    becomes(&database, Index::new()).await;
    host.replace_one(doc! { "_id": 1 }, doc! { "name": "Ann", "mobile": "+14165551234" }).await.unwrap();
    becomes(&database, index_of(&[(1.into(), &["+14165551234"])])).await;
    host.delete_one(doc! { "_id": 1 }).await.unwrap();
    becomes(&database, Index::new()).await;
}

#[tokio::test]
async fn what_happened_while_no_instance_ran_is_indexed() {
    let mut app = TestApp::start(Store::Mongo).await;
    let database = app.database().await;
    let host = customers(&database);
    host.insert_one(doc! { "_id": 1, "phone": "416 555 1234" }).await.unwrap();
    complete(&app).await;
    becomes(&database, index_of(&[(1.into(), &["+14165551234"])])).await;
    app.kill().await;
    host.insert_one(doc! { "_id": 2, "name": "Two", "phone": "416 555 0102" }).await.unwrap();
    host.delete_one(doc! { "_id": 1 }).await.unwrap();
    app.restart().await;
    becomes(&database, index_of(&[(2.into(), &["+14165550102"])])).await;
    is_called(&app, "two", "+14165550102", "Two").await;
}

#[tokio::test]
async fn other_settings_and_a_dropped_collection_are_indexed_anew() {
    let mut app = TestApp::start(Store::Mongo).await;
    let database = app.database().await;
    let host = customers(&database);
    host.insert_one(doc! { "_id": 1, "phone": "416 555 1234", "fax": "030 901820" }).await.unwrap();
    becomes(&database, index_of(&[(1.into(), &["+14165551234"])])).await;
    app.set("CUSTOMER_PHONE_FIELDS", "fax");
    app.restart_with("DEFAULT_REGION", "DE").await;
    becomes(&database, index_of(&[(1.into(), &["+4930901820"])])).await;
    host.drop().await.unwrap();
    becomes(&database, Index::new()).await;
    host.insert_one(doc! { "_id": 2, "fax": "030 901821" }).await.unwrap();
    becomes(&database, index_of(&[(2.into(), &["+4930901821"])])).await;
    // The position of the changes is lost, as when the database's log was too short for a long stop.
    app.kill().await;
    let settings = database.collection::<Document>("caller_popup_settings");
    let lost = doc! { "$set": { "token": { "_data": "8263" } } };
    settings.update_one(doc! { "_id": "number_index" }, lost).await.unwrap();
    host.insert_one(doc! { "_id": 3, "fax": "030 901822" }).await.unwrap();
    app.restart().await;
    becomes(&database, index_of(&[(2.into(), &["+4930901821"]), (3.into(), &["+4930901822"])])).await;
}

#[tokio::test]
async fn a_pass_that_is_killed_goes_on_and_a_caller_is_known_meanwhile() {
    const MANY: i32 = 20_000;
    let setup = Setup::on(Store::Mongo);
    let database = setup.database().await;
    let customer = |n: i32| doc! { "_id": n, "name": "One of many", "phone": format!("416 {:03} {:04}", 200 + n / 10_000, n % 10_000) };
    customers(&database).insert_many((0..MANY).map(customer)).await.unwrap();
    let mut app = setup.start().await;
    // The last one is not indexed yet.
    let last = format!("+1416{:03}{:04}", 200 + (MANY - 1) / 10_000, (MANY - 1) % 10_000);
    is_called(&app, "last", &last, "One of many").await;
    let settings = database.collection::<Document>("caller_popup_settings");
    let reached = eventually("a stored position", async || {
        let state = settings.find_one(doc! { "_id": "number_index" }).await.unwrap()?;
        state.get_i32("next").ok()
    })
    .await;
    app.kill().await;
    assert!(reached < MANY);
    // What was indexed before the position is not looked at again.
    let numbers = database.collection::<Document>("caller_popup_numbers");
    numbers.delete_one(doc! { "_id": 0 }).await.unwrap();
    app.restart().await;
    complete(&app).await;
    assert_eq!(numbers.count_documents(doc! {}).await.unwrap(), MANY as u64 - 1);
}

#[tokio::test]
async fn a_caller_who_could_not_be_searched_for_is_named_when_the_index_is_complete() {
    let setup = Setup::on(Store::Mongo);
    let database = setup.database().await;
    customers(&database).insert_one(doc! { "_id": 1, "name": "Ann", "phone": "416/555-1234" }).await.unwrap();
    let reads_of_customers = doc! {
        "failCommands": ["find"],
        "namespace": format!("{}.customers", database.name()),
        "errorCode": 8000, // not one the driver retries
    };
    let failure = Failure::start(&database, reads_of_customers).await;
    let app = setup.start().await;
    app.ring("early", "+14165551234").await;
    eventually("the failed search in the log", async || {
        app.log().contains("the caller could not be looked up").then_some(())
    })
    .await;
    assert_eq!(app.active_call("early").await.unwrap()["customer_name"], Value::Null);
    failure.end().await;
    eventually("the name of the call", async || {
        app.active_call("early").await.filter(|call| call["customer_name"] == "Ann")
    })
    .await;
}

#[tokio::test]
async fn one_instance_keeps_the_index_and_another_goes_on_when_it_is_killed() {
    let mut first = TestApp::start(Store::Mongo).await;
    complete(&first).await;
    let second = first.second_instance().await;
    complete(&second).await;
    let database = first.database().await;
    let host = customers(&database);
    host.insert_one(doc! { "_id": 1, "name": "Ann", "phone": "416 555 1234" }).await.unwrap();
    becomes(&database, index_of(&[(1.into(), &["+14165551234"])])).await;
    is_called(&second, "ann", "+14165551234", "Ann").await;
    first.kill().await;
    host.insert_one(doc! { "_id": 2, "name": "Bob", "phone": "416 555 0102" }).await.unwrap();
    becomes(&database, index_of(&[(1.into(), &["+14165551234"]), (2.into(), &["+14165550102"])])).await;
}

#[tokio::test]
async fn without_a_replica_set_customers_are_read_again() {
    let app = Setup::on_standalone_mongod().with("CUSTOMERS_RESCAN_SECONDS", "1").start().await;
    let database = app.database().await;
    let host = customers(&database);
    complete(&app).await;
    host.insert_one(doc! { "_id": 1, "phone": "416 555 1234" }).await.unwrap();
    becomes(&database, index_of(&[(1.into(), &["+14165551234"])])).await;
    host.update_one(doc! { "_id": 1 }, doc! { "$set": { "phone": "416 555 9999" } }).await.unwrap();
    becomes(&database, index_of(&[(1.into(), &["+14165559999"])])).await;
    host.delete_one(doc! { "_id": 1 }).await.unwrap();
    becomes(&database, Index::new()).await;
}
