//! What the service remembers beside calls: settings, tickets, leases.

use chrono::{DateTime, Utc};
use mongodb::Collection;
use mongodb::bson::{DateTime as BsonDateTime, Document, doc};
use mongodb::options::ReturnDocument;

use super::{Mongo, is_duplicate};
use crate::store::Result;

impl Mongo {
    pub async fn setting(&self, key: &str) -> Result<Option<String>> {
        let setting = self.settings().find_one(doc! { "_id": key }).await?;
        Ok(setting.and_then(|setting| setting.get_str("value").ok().map(str::to_owned)))
    }

    pub async fn set_setting(&self, key: &str, value: &str) -> Result<()> {
        self.settings().replace_one(doc! { "_id": key }, doc! { "value": value }).upsert(true).await?;
        Ok(())
    }

    pub async fn get_or_insert_setting(&self, key: &str, value: &str) -> Result<String> {
        let settings = self.settings();
        let keep = || {
            let ours = doc! { "$setOnInsert": { "value": value } };
            let update = settings.find_one_and_update(doc! { "_id": key }, ours);
            update.upsert(true).return_document(ReturnDocument::After)
        };
        let kept = match keep().await {
            // Another instance was first by a hair; now there is one to be found.
            Err(error) if is_duplicate(&error) => keep().await?,
            kept => kept?,
        };
        Ok(kept.and_then(|setting| setting.get_str("value").ok().map(str::to_owned)).unwrap_or_default())
    }

    pub async fn put_ticket(&self, id: &str, value: &str, until: DateTime<Utc>) -> Result<()> {
        let until = BsonDateTime::from_millis(until.timestamp_millis());
        self.tickets().insert_one(doc! { "_id": id, "value": value, "until": until }).await?;
        Ok(())
    }

    pub async fn take_ticket(&self, id: &str, now: DateTime<Utc>) -> Result<Option<String>> {
        let now = BsonDateTime::from_millis(now.timestamp_millis());
        let taken = self.tickets().find_one_and_delete(doc! { "_id": id, "until": { "$gt": now } }).await?;
        Ok(taken.and_then(|ticket| ticket.get_str("value").ok().map(str::to_owned)))
    }

    pub async fn lease(&self, name: &str, holder: &str, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool> {
        let time = |at: DateTime<Utc>| BsonDateTime::from_millis(at.timestamp_millis());
        let free =
            doc! { "_id": format!("lease:{name}"), "$or": [{ "holder": holder }, { "until": { "$lt": time(now) } }] };
        let taken = doc! { "$set": { "holder": holder, "until": time(until) } };
        match self.settings().update_one(free, taken).upsert(true).await {
            Ok(_) => Ok(true),
            // The lease exists and is another instance's: the upsert runs into its own id.
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn settings(&self) -> Collection<Document> {
        self.database.collection("caller_popup_settings")
    }

    pub(super) fn tickets(&self) -> Collection<Document> {
        self.database.collection("caller_popup_tickets")
    }
}
