//! The company's own numbers and extensions: to tell our own outbound calls from callers, and to name agents.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{Client, Error};
use crate::phone::{PhoneNumber, Region};

/// People and numbers come and go by the day; two requests an hour, one of them heavy, cost nothing.
pub const REFRESH_EVERY: Duration = Duration::from_secs(3_600);

/// One extension of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// RingCentral's id.
    pub id: String,
    /// What people dial inside the company.
    pub number: Option<String>,
    /// As RingCentral shows it.
    pub name: Option<String>,
    /// Who or what answers there.
    pub kind: ExtensionKind,
    /// Disabled and never activated extensions do not ring.
    pub enabled: bool,
}

/// Who or what answers an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtensionKind {
    /// A person, or a phone that people share.
    User,
    /// A call queue.
    Queue,
    /// An IVR menu.
    Menu,
    /// Anything else, by RingCentral's word.
    Unknown(String),
}

/// What is known of the account; empty until the first refresh. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    listing: RwLock<Listing>,
    /// The first refresh is over, whether it worked or not.
    tried: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Listing {
    extensions: HashMap<String, DirectoryEntry>,
    numbers: HashSet<PhoneNumber>,
}

impl Directory {
    /// Reads the account again. Without the permission to read the numbers the names are still worth having; what
    /// could not be read stays as it was.
    pub async fn refresh(&self, client: &Client, region: Region) -> Result<(), Error> {
        let extensions = client.extensions().await?;
        let numbers = client.phone_numbers().await;
        let mut listing = self.0.listing.write().expect("listing does not panic");
        listing.extensions = extensions.into_iter().map(|entry| (entry.id.clone(), entry)).collect();
        match numbers {
            Ok(numbers) => {
                listing.numbers = numbers.iter().filter_map(|number| PhoneNumber::parse(number, region)).collect();
            }
            Err(error) => warn!(%error, "the account's phone numbers could not be read"),
        }
        info!(extensions = listing.extensions.len(), numbers = listing.numbers.len(), "directory read");
        Ok(())
    }

    /// Refreshes at once and then every hour, for ever. What fails is tried again an hour later: nothing but names
    /// depends on it.
    pub async fn keep(self, client: Client, region: Region) {
        loop {
            if let Err(error) = self.refresh(&client, region).await {
                warn!(%error, "the account's extensions could not be read");
            }
            self.0.tried.send_replace(true);
            tokio::time::sleep(REFRESH_EVERY).await;
        }
    }

    /// Whether `number` is one of the company's own.
    pub fn is_ours(&self, number: &PhoneNumber) -> bool {
        self.read().numbers.contains(number)
    }

    /// An extension by its id.
    pub fn extension(&self, id: &str) -> Option<DirectoryEntry> {
        self.read().extensions.get(id).cloned()
    }

    /// Waits until the account was read, or could not be.
    pub async fn tried(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.tried.subscribe().wait_for(|tried| *tried).await;
    }

    /// The id of the extension that a person outside names by its id or by its number. What is neither stays as it is: there
    /// may be an extension of that id tomorrow.
    pub fn id_of(&self, named: &str) -> String {
        let listing = self.read();
        let by_number = || listing.extensions.values().find(|entry| entry.number.as_deref() == Some(named));
        listing.extensions.get(named).or_else(by_number).map_or_else(|| named.to_owned(), |entry| entry.id.clone())
    }

    /// The ids of everyone whose phone may ring, in a lasting order.
    pub fn user_ids(&self) -> Vec<String> {
        let listing = self.read();
        let users = listing.extensions.values().filter(|entry| entry.enabled && entry.kind == ExtensionKind::User);
        let mut ids: Vec<String> = users.map(|entry| entry.id.clone()).collect();
        ids.sort();
        ids
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Listing> {
        self.0.listing.read().expect("listing does not panic")
    }
}

impl DirectoryEntry {
    pub(super) fn read(json: &Value) -> Option<Self> {
        Some(Self {
            id: id(&json["id"])?,
            number: id(&json["extensionNumber"]),
            name: name(json),
            kind: ExtensionKind::from_word(json["type"].as_str().unwrap_or_default()),
            enabled: json["status"] == "Enabled",
        })
    }
}

impl ExtensionKind {
    fn from_word(word: &str) -> Self {
        match word {
            "User" | "DigitalUser" | "FlexibleUser" | "VirtualUser" | "FaxUser" | "Limited" => Self::User,
            "Department" => Self::Queue,
            "IvrMenu" => Self::Menu,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// Ids are strings in some answers and integers in others.
pub(super) fn id(json: &Value) -> Option<String> {
    match json {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The name of an extension; of a person without one, first and last name.
pub(super) fn name(json: &Value) -> Option<String> {
    let contact = &json["contact"];
    let full = [&contact["firstName"], &contact["lastName"]].map(|part| part.as_str().unwrap_or_default()).join(" ");
    let name = json["name"].as_str().unwrap_or(&full).trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn extensions_are_read_with_either_kind_of_id_and_any_type() {
        let queue =
            json!({"id": 203, "extensionNumber": "203", "name": "Sales", "type": "Department", "status": "Enabled"});
        let entry = DirectoryEntry::read(&queue).unwrap();
        assert_eq!((entry.id.as_str(), entry.kind, entry.enabled), ("203", ExtensionKind::Queue, true));
        let new = json!({"id": "7", "type": "Hologram", "contact": {"firstName": "Ann", "lastName": "Lee"}});
        let entry = DirectoryEntry::read(&new).unwrap();
        assert_eq!((entry.name.as_deref(), entry.kind), (Some("Ann Lee"), ExtensionKind::Unknown("Hologram".into())));
        assert!(DirectoryEntry::read(&json!({"name": "nobody"})).is_none());
    }
}
