//! Who is calling: the caller's number against the customers, in whatever form they were written down.

use std::time::{Duration, Instant};

use mongodb::bson::{Bson, DateTime, Document, Timestamp, doc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::mongod::Failure;
use crate::support::{Setup, Store, TestApp, eventually, token};

on_both_stores! {
    a_number_is_found_in_every_form_people_write,
    a_number_inside_a_longer_one_is_no_match,
    a_caller_without_a_public_number_is_nobody,
    customers_who_share_a_number_are_all_told,
    a_new_caller_has_no_customer,
    a_customer_who_comes_while_they_call_is_on_the_card,
    a_customer_is_read_by_admins_and_by_agents_who_have_a_call_with_them,
}

async fn a_number_is_found_in_every_form_people_write(store: Store) {
    // The forms of +14165551234; each customer has a number of their own, so that none is found by another's form.
    let forms = [
        "+14165551201",
        "(416) 555-1202",
        "416-555-1203",
        "416.555.1204",
        "1 416 555 1205",
        "4165551206",
        "416/555-1207",
        "+1 (416) 555 1208 x12",
    ];
    let names: Vec<_> = forms.iter().map(|form| format!("Stored as {form}")).collect();
    let customers: Vec<_> =
        std::iter::zip(&names, forms).map(|(name, form)| (name.as_str(), "a@example.com", form)).collect();
    let app = Setup::on(store).with_customers(&customers).await.start().await;
    for (number, name) in (1201..).zip(&names) {
        let session = number.to_string();
        app.ring(&session, &format!("+1416555{number}")).await;
        let call = customer_of(&app, &session).await;
        assert_eq!(call["customer_name"], *name);
        assert_eq!((&call["customer_email"], &call["match"]), (&json!("a@example.com"), &json!("exact")));
    }
}

async fn a_number_inside_a_longer_one_is_no_match(store: Store) {
    let app = Setup::on(store)
        .with_customers(&[
            ("Longer in front", "", "+4941655512340"),
            ("Longer behind", "", "41655512345"),
            ("Longer on both sides", "", "99416555123499"),
            ("A reference, not a number", "", "order 4165551234-77"),
            ("Another area", "", "+19055551234"),
            ("The last seven digits", "", "5551234"),
            ("Sentinel", "", "+14165550100"),
        ])
        .await
        .start()
        .await;
    app.ring("stranger", "+14165551234").await;
    nobody_was_found(&app, "stranger").await;
}

async fn a_caller_without_a_public_number_is_nobody(store: Store) {
    let app = Setup::on(store)
        .with_customers(&[
            ("Empty", "", ""),
            ("Short", "", "101"),
            ("Withheld", "", "anonymous"),
            ("Masked", "", "+1855201XXXX"),
            ("Zero", "", "0"),
            ("Sentinel", "", "+14165550100"),
        ])
        .await
        .start()
        .await;
    for (number, caller) in ["", "101", "anonymous", "Unknown", "+1855201XXXX", "0", "+", ".*"].into_iter().enumerate()
    {
        let session = format!("nobody-{number}");
        app.ring(&session, caller).await;
        nobody_was_found(&app, &session).await;
    }
}

async fn customers_who_share_a_number_are_all_told(store: Store) {
    let app = Setup::on(store)
        .with_customers(&[
            ("Zoe Young", "zoe@example.com", "416-555-1234"),
            ("Amir Young", "amir@example.com", "+14165551234"),
        ])
        .await
        .start()
        .await;
    app.ring("shared", "+14165551234").await;
    let call = customer_of(&app, "shared").await;
    let names: Vec<_> =
        call["customers"].as_array().expect("a list").iter().map(|customer| &customer["name"]).collect();
    assert_eq!(names, ["Amir Young", "Zoe Young"]);
    assert_eq!((&call["customer_name"], &call["match"]), (&json!("Amir Young"), &json!("shared")));
}

async fn a_new_caller_has_no_customer(store: Store) {
    let app = Setup::on(store).with_customers(&[("Sentinel", "", "+14165550100")]).await.start().await;
    app.ring("new", "+14165551234").await;
    let call = nobody_was_found(&app, "new").await;
    let none = ["customer_name", "customer_email", "match"].map(|field| &call[field]);
    assert_eq!((none, &call["customers"]), ([&Value::Null; 3], &json!([])));
}

async fn a_customer_who_comes_while_they_call_is_on_the_card(store: Store) {
    let app = Setup::on(store).with_customers(&[("Sentinel", "", "+14165550100")]).await.start().await;
    app.ring("new", "+14165551234").await;
    let unknown = nobody_was_found(&app, "new").await;
    app.ring("other", "+14165555678").await;
    let other = nobody_was_found(&app, "other").await;
    let began = Instant::now();
    app.add_customers(&[("Sarah Customer", "sarah@example.com", "(416) 555-1234")]).await;
    let told = customer_of(&app, "new").await;
    assert!(began.elapsed() < Duration::from_secs(4), "it took {:?}, the import included", began.elapsed());
    assert_eq!(told["customer_name"], "Sarah Customer");
    assert_eq!((&told["session_id"], &told["match"]), (&json!("new"), &json!("exact")));
    assert_eq!(told["rev"].as_i64(), unknown["rev"].as_i64().map(|rev| rev + 1), "one change");
    // Nothing is written for a caller whom the change does not concern.
    let still = app.active_call("other").await.expect("it goes on");
    assert_eq!((&still["customer_name"], &still["rev"]), (&Value::Null, &other["rev"]));
}

#[tokio::test]
async fn a_mongod_that_tells_no_changes_is_asked_how_many_customers_there_are() {
    let app = Setup::on_standalone_mongod().with_customers(&[("Sentinel", "", "+14165550100")]).await.start().await;
    app.ring("new", "+14165551234").await;
    nobody_was_found(&app, "new").await;
    app.add_customers(&[("Sarah Customer", "sarah@example.com", "416 555 1234")]).await;
    assert_eq!(customer_of(&app, "new").await["customer_name"], "Sarah Customer");
}

#[tokio::test]
async fn a_customer_who_is_changed_or_removed_while_they_call_is_so_on_the_card() {
    let app = Setup::on(Store::Mongo).with_customers(&[("Sarah Customer", "", "+14165551234")]).await.start().await;
    app.ring("known", "+14165551234").await;
    customer_of(&app, "known").await;
    let customers = app.database().await.collection::<Document>("customers");
    let named = async |name: Value| {
        eventually(format!("the name {name}"), async || {
            app.active_call("known").await.filter(|call| call["customer_name"] == name)
        })
        .await;
    };
    customers.update_one(doc! {}, doc! { "$set": { "name": "Sarah Client" } }).await.unwrap();
    named(json!("Sarah Client")).await;
    customers.delete_one(doc! {}).await.unwrap();
    named(Value::Null).await;
}

#[tokio::test]
async fn a_slow_lookup_does_not_delay_the_popup() {
    const LOOKUP: Duration = Duration::from_millis(1500);
    let setup =
        Setup::on(Store::Mongo).with_customers(&[("Sarah Customer", "sarah@example.com", "+14165551234")]).await;
    let app = setup.start().await;
    let database = app.database().await;
    let mut viewer = app.viewer().await;
    let slow = Failure::start(
        &database,
        doc! {
            "failCommands": ["find", "aggregate"],
            "namespace": format!("{}.customers", database.name()),
            "blockConnection": true,
            "blockTimeMS": LOOKUP.as_millis() as i64,
        },
    )
    .await;
    let rang = Instant::now();
    app.ring("slow", "+14165551234").await;
    let frame = viewer.expect("call").await;
    assert_eq!(frame.call()["customer_id"], Value::Null, "the popup waited for the customer");
    let frame = viewer.expect("call_updated").await;
    assert!(rang.elapsed() >= LOOKUP, "the lookup was not slow, so this test shows nothing");
    assert_eq!(frame.call()["customer_name"], "Sarah Customer");
    slow.end().await;
}

#[tokio::test]
async fn customers_are_read_with_the_host_applications_field_names() {
    let setup = Setup::on(Store::Mongo)
        .with("CUSTOMERS_COLLECTION", "people")
        .with("CUSTOMER_PHONE_FIELDS", "contact.main,contact.others,numbers.value")
        .with("CUSTOMER_NAME_FIELDS", "first_name,last_name")
        .with("CUSTOMER_EMAIL_FIELD", "contact.email");
    let app = setup.start().await;
    let person = |first: &str, extra: Document| {
        let mut person = doc! { "first_name": first, "last_name": "Field", "contact": { "email": "f@example.com" } };
        person.extend(extra);
        person
    };
    let people = [
        person("Dotted", doc! { "contact": { "email": "f@example.com", "main": "(416) 555-1201" } }),
        person("Array", doc! { "contact": { "email": "f@example.com", "others": ["+14165550000", "416.555.1202"] } }),
        person("Objects", doc! { "numbers": [{ "kind": "home" }, { "kind": "cell", "value": "1 416 555 1203" }] }),
        // What else may stand in a collection that is not ours.
        person("Number", doc! { "contact": { "email": 7, "main": 4_165_551_299_i64 } }),
        doc! { "_id": "text-id", "contact": "nothing" },
    ];
    app.database().await.collection::<Document>("people").insert_many(people).await.unwrap();
    for (session, name) in [("1201", "Dotted Field"), ("1202", "Array Field"), ("1203", "Objects Field")] {
        app.ring(session, &format!("+1416555{session}")).await;
        let call = customer_of(&app, session).await;
        assert_eq!((&call["customer_name"], &call["customer_email"]), (&json!(name), &json!("f@example.com")));
        assert!(
            call["customer_id"].as_str().is_some_and(|id| id.len() == 24),
            "an ObjectId in hex: {}",
            call["customer_id"]
        );
    }
}

#[tokio::test]
async fn a_customer_is_found_by_the_mobile_number_too() {
    let app = TestApp::start(Store::Mongo).await;
    let customers = [
        doc! { "name": "Mo Bile", "phone": "+14165550000", "mobile": "416-555-1234" },
        doc! { "name": "Many", "phone": null, "phones": ["416-555-7777"] },
    ];
    app.database().await.collection::<Document>("customers").insert_many(customers).await.unwrap();
    app.ring("mobile", "+14165551234").await;
    assert_eq!(customer_of(&app, "mobile").await["customer_name"], "Mo Bile");
    app.ring("phones", "+14165557777").await;
    assert_eq!(customer_of(&app, "phones").await["customer_name"], "Many");
}

#[tokio::test]
async fn importing_again_replaces_customers() {
    let setup = Setup::on(Store::Sqlite).with_customers(&[("Old Name", "", "+14165551234")]).await;
    let app = setup.with_customers(&[("New Name", "", "+14165551234")]).await.start().await;
    app.ring("renamed", "+14165551234").await;
    let call = customer_of(&app, "renamed").await;
    assert_eq!((&call["customer_name"], &call["match"]), (&json!("New Name"), &json!("exact")));
}

/// The call, once its customer is known.
async fn customer_of(app: &TestApp, session: &str) -> Value {
    eventually(format!("the customer of {session}"), async || {
        app.active_call(session).await.filter(|call| !call["customer_id"].is_null())
    })
    .await
}

/// The call, which has no customer although the lookup of a call that came after it is done.
async fn nobody_was_found(app: &TestApp, session: &str) -> Value {
    let sentinel = format!("after-{session}");
    app.ring(&sentinel, "+14165550100").await;
    customer_of(app, &sentinel).await;
    let call = app.active_call(session).await.expect("the call is active");
    assert_eq!(call["customer_id"], Value::Null, "{call}");
    call
}

async fn a_customer_is_read_by_admins_and_by_agents_who_have_a_call_with_them(store: Store) {
    const TOKEN: &str = "a-token-nobody-guesses";
    let setup = Setup::on(store).with("API_TOKENS", TOKEN).with("JWT_SECRET", token::SECRET);
    let customers = [("Sarah Customer", "sarah@example.com", "416-555-1234"), ("Other", "", "+14165550100")];
    let app = setup.with_customers(&customers).await.start().await;
    let (dana, kim) = (token::agent("dana", &["101"]), token::agent("kim", &["102"]));
    let read = async |access: &str, path: &str| {
        let answer = app.request(Method::GET, path).bearer_auth(access).send().await.expect("an answer comes");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("it is JSON"))
    };
    app.ring_at("101", "of-dana").await;
    let id = eventually("the caller is known", async || {
        let (_, active) = read(TOKEN, "/api/ringcentral/active-calls").await;
        active["calls"][0]["customer_id"].as_str().map(str::to_owned)
    })
    .await;
    let path = format!("/api/customers/{id}");
    let sarah = json!({
        "id": id,
        "name": "Sarah Customer",
        "email": "sarah@example.com",
        "numbers": [{ "number": "+14165551234", "display": "(416) 555-1234" }],
    });
    let none = read(&kim, "/api/customers/there-is-none").await;
    assert_eq!(none.0, 404);
    for state in ["while it rings", "when it has ended"] {
        assert_eq!(read(TOKEN, &path).await, (200, sarah.clone()), "{state}");
        assert_eq!(read(&dana, &path).await, (200, sarah.clone()), "{state}");
        assert_eq!(read(&kim, &path).await, none, "{state}: whether there is one is not said");
        app.tell_of("101", "of-dana", "Disconnected").await;
        eventually("it is in the history", async || {
            let (_, history) = read(TOKEN, "/api/ringcentral/calls").await;
            history["calls"].as_array().is_some_and(|calls| calls.len() == 1).then_some(())
        })
        .await;
    }
    assert_eq!(read(TOKEN, "/api/customers/there-is-none").await.0, 404);
    let calls = read(&dana, &format!("/api/ringcentral/calls?customer_id={id}")).await.1;
    assert_eq!(calls["calls"].as_array().map(Vec::len), Some(1));
}

/// The host application chose the type of `_id` and where its numbers are.
#[tokio::test]
async fn a_customer_of_the_host_is_read_whatever_its_id_is() {
    let setup = Setup::on(Store::Mongo)
        .with("CUSTOMER_PHONE_FIELDS", "contact.phones,fax")
        .with("CUSTOMER_NAME_FIELDS", "first,last");
    let app = setup.start().await;
    let customers = app.database().await.collection::<Document>("customers");
    let uuid = mongodb::bson::Uuid::parse_str("0b8f4c2e-4c7a-4f0a-9f57-1f2f3a4b5c6d").expect("it is one");
    let day = DateTime::from_millis(1_760_000_000_000);
    let ids: [(Bson, &str); 12] = [
        (42.into(), "42"),
        (4.5.into(), "4.5"),
        ("42a/b c".into(), "42a%2Fb%20c"),
        (uuid.into(), "0b8f4c2e-4c7a-4f0a-9f57-1f2f3a4b5c6d"),
        (mongodb::bson::oid::ObjectId::parse_str("665f00000000000000000001").expect("it is one").into(), {
            "665f00000000000000000001"
        }),
        (true.into(), "true"),
        (day.into(), "%7B%22$date%22:%7B%22$numberLong%22:%221760000000000%22%7D%7D"),
        (Bson::Timestamp(Timestamp { time: 7, increment: 1 }), "%7B%22$timestamp%22:%7B%22t%22:7,%22i%22:1%7D%7D"),
        (Bson::MinKey, "%7B%22$minKey%22:1%7D"),
        (Bson::Symbol("a-symbol".into()), "a-symbol"),
        // The order of the fields counts.
        (doc! { "b": "Jo", "a": 7 }.into(), "%7B%22b%22:%22Jo%22,%22a%22:%7B%22$numberInt%22:%227%22%7D%7D"),
        (doc! { "a": 7, "b": "Jo" }.into(), "%7B%22a%22:%7B%22$numberInt%22:%227%22%7D,%22b%22:%22Jo%22%7D"),
    ];
    for (id, address) in ids {
        let phones = doc! { "phones": ["+14165551234", "416-555-1234 / ask for Jo", "+49 30 901820"] };
        let document = doc! { "_id": id, "first": "Jo", "last": "Doe", "contact": phones, "fax": "none" };
        customers.insert_one(document).await.expect("it is stored");
        let customer = app.get_json(&format!("/api/customers/{address}")).await;
        assert_eq!((&customer["name"], &customer["email"]), (&json!("Jo Doe"), &Value::Null), "{address}");
        let numbers: Vec<_> = customer["numbers"].as_array().expect("a list").iter().collect();
        let displays: Vec<_> = numbers.iter().map(|number| number["display"].as_str().expect("a text")).collect();
        assert_eq!(displays, ["(416) 555-1234", "+49 30 901820", "none"], "{address}");
        assert_eq!(numbers[2]["number"], Value::Null);
    }
    for operator in [
        "%22$gt%22:%22%22",
        "%22$regularExpression%22:%7B%22pattern%22:%22.%22,%22options%22:%22%22%7D",
        "%22a%5Cu0000%22:true",
    ] {
        assert_eq!(app.get(&format!("/api/customers/%7B{operator}%7D")).await.status(), 404, "{operator}");
    }
}
