//! Calls that look like incoming ones and are none: a RingOut told by telephony events, a fax.

use serde_json::{Value, json};

use crate::support::{Store, TestApp, fixture};

on_both_stores! {
    a_ringout_whose_parties_are_all_inbound_is_our_outbound_call,
    a_fax_is_no_missed_call,
}

async fn a_ringout_whose_parties_are_all_inbound_is_our_outbound_call(store: Store) {
    let app = TestApp::start(store).await;
    let in_order = fixture("ringout-both-parties-inbound");
    let reversed: Vec<Value> = in_order.iter().rev().cloned().collect();
    let interleaved: Vec<Value> = [3, 0, 2, 5, 1, 4].iter().map(|place| in_order[*place].clone()).collect();
    for (n, order) in [in_order, reversed, interleaved].into_iter().enumerate() {
        for (variant, change) in CHANGES.iter().enumerate() {
            let session = format!("8001125{n}{variant}16");
            for mut notification in order.clone() {
                let body = &mut notification["body"];
                body["sessionId"] = json!(session);
                body["telephonySessionId"] = json!(format!("s-{session}"));
                change(body);
                app.deliver(&notification).await;
                assert_eq!(app.active_calls().await, Vec::<Value>::new(), "{session}: {notification}");
            }
            let row = app.ended_call(&session).await;
            let seen = ["direction", "from_number", "to_number", "result"].map(|field| &row[field]);
            assert_eq!(seen, ["Outbound", "+15875550100", "+14165550150", "answered"], "{session}");
            assert_eq!(row["extension_ids"], json!(["900101016"]), "{session}");
        }
    }
}

/// As captured; as a RingMe; with the role on one party only; without any; with a role and no origin; and the owner
/// only within an object.
const CHANGES: [fn(&mut Value); 6] = [
    |_| {},
    |body| {
        body["origin"]["type"] = "RingMe".into();
        rename_role(body, Some("ringMeRole"));
    },
    |body| {
        if body["parties"][0]["ringOutRole"] == "Initiator" {
            rename_role(body, None);
        }
    },
    |body| rename_role(body, None),
    |body| body["origin"] = Value::Null,
    |body| body["parties"][0]["extensionId"] = Value::Null,
];

fn rename_role(body: &mut Value, name: Option<&str>) {
    let party = body["parties"][0].as_object_mut().unwrap();
    let role = party.remove("ringOutRole").unwrap();
    if let Some(name) = name {
        party.insert(name.into(), role);
    }
}

async fn a_fax_is_no_missed_call(store: Store) {
    let app = TestApp::start(store).await;
    for (n, word) in ["FaxReceive", "FAXRECEIVE"].into_iter().enumerate() {
        let session = format!("92010{n}");
        for mut notification in fixture("fax-received") {
            let body = &mut notification["body"];
            body["sessionId"] = json!(session);
            body["telephonySessionId"] = json!(format!("s-{session}"));
            let is_fax = body["parties"][0]["status"]["code"] == "FaxReceive";
            if is_fax {
                body["parties"][0]["status"]["code"] = word.into();
            }
            app.deliver(&notification).await;
            assert!(!is_fax || app.active_call(&session).await.is_none(), "nobody has to take a fax");
        }
        let row = app.ended_call(&session).await;
        let seen = ["result", "answered_by", "answered_at"].map(|field| &row[field]);
        assert_eq!(seen, [&json!("answered"), &Value::Null, &Value::Null], "{word}");
    }
}
