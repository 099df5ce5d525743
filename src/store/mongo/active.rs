//! Everything in `active_calls`, whichever program wrote it: what can be a call is one, the rest is set aside.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};

use super::Mongo;
use super::document::{by_rev, changes, fields, from_document, is_ours};
use super::id::{log_name, raw_id, rename};
use super::refusal::refusal;
use crate::call::Call;
use crate::store::Result;
use crate::store::aside::{Why, hash};
use crate::store::call_merge::WritePlan;

/// A document and how it is remembered if it is set aside.
struct Found {
    call: Call,
    key: u64,
    content: u64,
    name: String,
    /// Its session is in the form that the unique index knows.
    indexed: bool,
}

impl Mongo {
    pub async fn active(&self) -> Result<Vec<Call>> {
        let documents: Vec<Document> =
            self.active.find(doc! {}).projection(read_as_a_call()?).await?.try_collect().await?;
        let mut there = HashSet::with_capacity(documents.len());
        let mut found = Vec::with_capacity(documents.len());
        for document in documents {
            let id = document.get("_id").cloned().unwrap_or(Bson::Null);
            there.insert(key_hash(&id));
            found.extend(self.read(id, document));
        }
        self.asides.retain(&there);
        let mut calls = self.one_a_session(found);
        one_an_id(&mut calls);
        Ok(calls)
    }

    fn read(&self, id: Bson, document: Document) -> Option<Found> {
        let (key, ours) = (key_hash(&id), is_ours(&document));
        let known = self.asides.knows(key);
        let content = if ours && !known { 0 } else { content_hash(&document) };
        // What this service has written to is shown, although a later write was refused.
        if known && !ours && self.asides.rests(key, content) {
            return None;
        }
        let indexed = matches!(document.get("session_id"), Some(Bson::String(_)));
        match from_document(document) {
            Ok(call) => Some(Found { call, key, content, name: log_name(&id), indexed }),
            Err(why) => {
                self.asides.note(key, content, &log_name(&id), Why::Unreadable(why));
                None
            }
        }
    }

    /// Two documents may have one session, in forms that the unique index takes for two. One of them is the call: the one
    /// that was one already, else the one that webhooks find.
    fn one_a_session(&self, mut found: Vec<Found>) -> Vec<Call> {
        found.sort_by(|a, b| {
            let rank = |it: &Found| (it.call.rev == 0, !it.indexed);
            rank(a).cmp(&rank(b)).then_with(|| a.call.id.cmp(&b.call.id))
        });
        let mut sessions = HashSet::new();
        let alone = |it: Found| {
            if sessions.insert(it.call.session_id.clone()) {
                // What was never written to is forgotten when it is.
                if it.call.rev > 0 {
                    self.asides.forget_unless_refused(it.key, it.content);
                }
                return Some(it.call);
            }
            let content = hash(&it.call.session_id);
            self.asides.note(it.key, content, &it.name, Why::Unreadable("another document has its session_id"));
            None
        };
        found.into_iter().filter_map(alone).collect()
    }

    /// Stores what is ours of `next` in the document that was read as `found`; the other program's fields stay as they are.
    pub async fn adopt(&self, found: Call, next: Call) -> Result<Option<Call>> {
        let update = doc! { "$set": changes(&found, &next)? };
        match self.active.update_one(by_rev(&found), update).await {
            Ok(adopted) if adopted.matched_count == 1 => {
                self.asides.forget(key_hash(&raw_id(&found)));
                Ok(Some(next))
            }
            Ok(_) => Ok(None),
            Err(error) => match refusal(&error) {
                Some(code) => self.set_aside(&found, code).await.map(|()| None),
                None => Err(error.into()),
            },
        }
    }

    /// Sets the document of a call aside, because MongoDB refuses to change it.
    pub(super) async fn set_aside(&self, call: &Call, code: i32) -> Result<()> {
        let id = raw_id(call);
        // The content that was refused, as the next poll will read it.
        if let Some(document) = self.active.find_one(doc! { "_id": id.clone() }).projection(read_as_a_call()?).await? {
            self.asides.note(key_hash(&id), content_hash(&document), &log_name(&id), Why::Refused(code));
        }
        Ok(())
    }

    /// Stores a call in the history that `active_calls` did not take.
    pub async fn keep_ended(&self, call: Call) -> Result<()> {
        self.calls.write(&WritePlan { call, was: Vec::new(), gone: Vec::new(), news: Vec::new() }).await.map(drop)
    }

    /// Documents that are set aside now, and since the start.
    pub fn documents_set_aside(&self) -> (usize, u64) {
        self.asides.count()
    }
}

/// Two documents may have ids that are written alike. The second goes by a longer form of its own.
fn one_an_id(calls: &mut [Call]) {
    // Those that this service has stored keep the name they have.
    calls.sort_by_key(|call| (call.rev == 0, call.key.is_some()));
    let mut names = HashSet::with_capacity(calls.len());
    for call in calls {
        if !names.insert(call.id.clone()) {
            rename(call);
            names.insert(call.id.clone());
        }
    }
}

/// The fields of a call, and the size of the whole: most changes of the other fields, which may be megabytes, change that.
fn read_as_a_call() -> Result<Document> {
    let mut read: Document = fields()?.into_iter().map(|field| (field, Bson::Int32(1))).collect();
    read.insert("caller_popup_size", doc! { "$bsonSize": "$$ROOT" });
    Ok(read)
}

fn key_hash(id: &Bson) -> u64 {
    content_hash(&doc! { "_id": id.clone() })
}

fn content_hash(document: &Document) -> u64 {
    // What cannot be written as BSON did not come from there.
    document.to_vec().map_or(0, hash)
}
