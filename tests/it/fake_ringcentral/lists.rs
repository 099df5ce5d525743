//! Extensions, phone numbers, presence and live calls.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::oauth::{Person, permits};
use super::{ACCOUNT, FakeRingCentral, OWNER, Platform, Recorded, error, json_answer};

/// The real one gives up to 1,000; a small page makes every list a paged one.
const LARGEST_PAGE: usize = 2;

pub struct Lists {
    extensions: Vec<Value>,
    numbers: Vec<Value>,
    presence: Vec<Value>,
    sessions: Vec<Value>,
    /// Call queues and their members.
    queues: Vec<(&'static str, &'static str)>,
}

impl Default for Lists {
    fn default() -> Self {
        let extension = |id: &str, number: &str, kind: &str, name: &str| {
            let id: u64 = id.parse().expect("ids are numbers");
            json!({ "id": id, "extensionNumber": number, "type": kind, "name": name, "status": "Enabled" })
        };
        let number = |number: &str| json!({ "phoneNumber": number, "usageType": "DirectNumber", "status": "Normal" });
        Self {
            extensions: vec![
                extension(OWNER, "100", "User", "Service User"),
                extension("297277020", "101", "User", "Agent One"),
                extension("297278020", "102", "User", "Agent Two"),
                extension("411753183", "200", "Department", "Sales"),
                extension("411753184", "1001", "IvrMenu", "Main Menu"),
            ],
            numbers: vec![number("+15879876543"), number("+15879876544"), number("+18005550100")],
            presence: Vec::new(),
            sessions: Vec::new(),
            queues: vec![("411753183", "297277020"), ("411753185", "297278020"), ("411753186", "297277020")],
        }
    }
}

impl FakeRingCentral {
    /// Who is on the phone: presence as the REST answer words it, with `extension.id`.
    pub fn set_presence(&self, records: Vec<Value>) {
        self.platform.world().lists.presence = records;
    }

    /// The calls that are live, each with its `id`.
    pub fn set_sessions(&self, sessions: Vec<Value>) {
        self.platform.world().lists.sessions = sessions;
    }
}

pub fn answer(platform: &Platform, request: &Recorded, path: &[&str], person: &Person) -> Response {
    let needed = match path {
        ["presence"] => "ReadPresence",
        ["telephony", ..] => "CallControl",
        ["extension", _] => "",
        _ => "ReadAccounts",
    };
    if !needed.is_empty() && !permits(platform, needed) {
        let message = format!("In order to call this API endpoint, application needs to have [{needed}] permission");
        return error(StatusCode::FORBIDDEN, "CMN-401", &message);
    }
    let world = platform.world();
    match path {
        ["extension"] => page(request, &world.lists.extensions),
        ["phone-number"] => page(request, &world.lists.numbers),
        ["presence"] => page(request, &world.lists.presence),
        ["call-queues"] => {
            let member = request.query.iter().find(|(name, _)| name == "memberExtensionId").map(|(_, id)| id.as_str());
            let theirs = world.lists.queues.iter().filter(|(_, of)| member.is_none_or(|member| member == *of));
            page(request, &theirs.map(|(id, _)| json!({ "id": id, "name": "Queue" })).collect::<Vec<_>>())
        }
        ["extension", "~"] => json_answer(StatusCode::OK, &extension_of(person)),
        ["telephony", "sessions", id] => match world.lists.sessions.iter().find(|session| session["id"] == **id) {
            Some(session) => json_answer(StatusCode::OK, session),
            None => error(StatusCode::NOT_FOUND, "TAS-109", "Call session is not found"),
        },
        _ => error(StatusCode::NOT_FOUND, "CMN-102", "Resource not found"),
    }
}

fn page(request: &Recorded, all: &[Value]) -> Response {
    let asked = |name: &str| request.query.iter().find(|(known, _)| known == name).and_then(|(_, n)| n.parse().ok());
    let (page, per_page): (usize, usize) = (asked("page").unwrap_or(1), asked("perPage").unwrap_or(100));
    let size = per_page.min(LARGEST_PAGE);
    let records: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
    let paging =
        json!({ "page": page, "perPage": size, "totalPages": all.len().div_ceil(size), "totalElements": all.len() });
    json_answer(StatusCode::OK, &json!({ "records": records, "paging": paging, "navigation": {} }))
}

fn extension_of(person: &Person) -> Value {
    let id: u64 = person.extension_id.parse().expect("ids are numbers");
    json!({
        "id": id,
        "account": { "id": if person.account_id.is_empty() { ACCOUNT } else { &person.account_id } },
        "name": person.name,
        "type": "User",
        "status": "Enabled",
        "permissions": { "admin": { "enabled": person.is_admin } },
    })
}
