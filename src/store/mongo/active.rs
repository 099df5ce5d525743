//! Everything in `active_calls`, whichever program wrote it: what can be a call is one, the rest is set aside.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::TryStreamExt;
use mongodb::bson::raw::{RawBsonRef, RawDocumentBuf};
use mongodb::bson::{Bson, Document, doc};

use super::Mongo;
use super::document::{by_rev, changes, fields, from_document, is_ours};
use super::id::{log_name, raw_id, rename};
use super::refusal::refusal;
use crate::call::Call;
use crate::store::Result;
use crate::store::aside::{Why, hash};
use crate::store::call_merge::WritePlan;
use crate::store::unchanged::CallsAtHand;

/// Documents that are read in full with one command.
const READ_AT_ONCE: usize = 500;

/// A document and how it is remembered if it is set aside.
struct Found {
    call: Arc<Call>,
    key: u64,
    content: u64,
    name: String,
    /// Its session is in the form that the unique index knows.
    indexed: bool,
}

/// A document that was read without what is ours alone.
struct Brief {
    id: Bson,
    key: u64,
    content: u64,
}

impl Mongo {
    pub async fn active(&self, at_hand: &CallsAtHand) -> Result<Vec<Arc<Call>>> {
        let (mut found, changed) = self.unchanged(at_hand).await?;
        for some in changed.chunks(READ_AT_ONCE) {
            let ids: Vec<Bson> = some.iter().map(|brief| brief.id.clone()).collect();
            let whole = self.active.find(doc! { "_id": { "$in": ids } }).projection(read_as_a_call()?).await?;
            let documents: Vec<Document> = whole.try_collect().await?;
            for document in documents {
                let id = document.get("_id").cloned().unwrap_or(Bson::Null);
                let key = key_hash(&id);
                let Some(read) = self.read(id, document) else { continue };
                if let Some(brief) = some.iter().find(|brief| brief.key == key) {
                    self.unchanged.note(key, brief.content, &read.call, at_hand);
                }
                found.push(read);
            }
        }
        let mut calls = self.one_a_session(found);
        one_an_id(&mut calls);
        Ok(calls)
    }

    /// The calls at hand that the database has like this, and what else there is.
    async fn unchanged(&self, at_hand: &CallsAtHand) -> Result<(Vec<Found>, Vec<Brief>)> {
        let brief = self.active.clone_with_type::<RawDocumentBuf>();
        let documents: Vec<_> = brief.find(doc! {}).projection(read_in_brief()?).await?.try_collect().await?;
        let (mut found, mut changed) = (Vec::new(), Vec::new());
        for document in &documents {
            let id = document.get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok()).unwrap_or(Bson::Null);
            let (key, content) = (key_hash(&id), hash(document.as_bytes()));
            // What is set aside is remembered by its whole content.
            match self.unchanged.find(key, content, at_hand).filter(|_| !self.asides.knows(key)) {
                Some(call) => {
                    let indexed = matches!(document.get("session_id"), Ok(Some(RawBsonRef::String(_))));
                    found.push(Found { call, key, content: 0, name: log_name(&id), indexed });
                }
                None => changed.push(Brief { id, key, content }),
            }
        }
        let there = found.iter().map(|it| it.key).chain(changed.iter().map(|it| it.key)).collect();
        self.unchanged.retain(&there);
        self.asides.retain(&there);
        Ok((found, changed))
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
            Ok(call) => Some(Found { call: Arc::new(call), key, content, name: log_name(&id), indexed }),
            Err(why) => {
                self.asides.note(key, content, &log_name(&id), Why::Unreadable(why));
                None
            }
        }
    }

    /// Two documents may have one session, in forms that the unique index takes for two. One of them is the call: the one
    /// that was one already, else the one that webhooks find.
    fn one_a_session(&self, mut found: Vec<Found>) -> Vec<Arc<Call>> {
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
fn one_an_id(calls: &mut [Arc<Call>]) {
    // Those that this service has stored keep the name they have.
    calls.sort_by_key(|call| (call.rev == 0, call.key.is_some()));
    let mut names = HashSet::with_capacity(calls.len());
    for call in calls {
        if !names.insert(call.id.clone()) {
            rename(Arc::make_mut(call));
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

/// The same without what this service alone writes, which changes with `rev`.
fn read_in_brief() -> Result<Document> {
    let mut read = read_as_a_call()?;
    read.insert("ledger", doc! { "heard_at": 1 });
    Ok(read)
}

fn key_hash(id: &Bson) -> u64 {
    content_hash(&doc! { "_id": id.clone() })
}

fn content_hash(document: &Document) -> u64 {
    // What cannot be written as BSON did not come from there.
    document.to_vec().map_or(0, hash)
}
