//! The two collections of calls, asked and written for many at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use mongodb::{Collection, Database};

use super::batch::{Batch, Pace};
use super::dismissals::DISMISSALS;
use super::document::{by_rev, changes, from_document, to_document};
use super::id::{bson_id, raw_id};
use super::writes::{Outcome, Writes};
use crate::call::Call;
use crate::store::call_merge::{StoredCall, Table, WritePlan};
use crate::store::{Result, StoreError};

/// Ended calls of a session that are looked at: one, or several that turn out to be one. People repeat the session ids of
/// the guide's body without end, and of those only the newest matters.
const MOST_ENDED: usize = 8;

/// Whether everything still was as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it is done.
    All,
    /// The call that goes on is written; what became part of it changed meanwhile, or may have.
    Kept,
    /// Another writer was first, or may have been.
    Nothing,
    /// A document is in the way: of the same id or session, or of whatever else another program made unique.
    Duplicate,
}

/// Bytes of the largest document that shares a command with others. A call has about one kilobyte, and one for each three parties.
const MOST_BYTES_TOGETHER: usize = 64 * 1024;
/// The same for a look at more sessions.
const MOST_SESSIONS_TOGETHER: usize = 16;

/// `active_calls` and `call_history`.
pub(super) struct Calls {
    looks: Batch<Vec<String>, Vec<StoredCall>>,
    looks_in_brief: Batch<Vec<String>, Vec<StoredCall>>,
    active: Writes,
    history: Writes,
    ended: Collection<Document>,
    by_id: Batch<String, Option<Call>>,
    dismissals: Writes,
}

impl Calls {
    pub(super) fn new(
        active: &Collection<Document>,
        history: &Collection<Document>,
        database: &Database,
        pace: Pace,
    ) -> Self {
        let looks = |left_out: &'static [&'static str]| {
            let tables = Tables { active: active.clone(), history: history.name().to_owned(), left_out };
            Batch::start(pace, move |asked| look_together(tables.clone(), asked))
        };
        let (looks, looks_in_brief) = (looks(&[]), looks(&["ledger.parties"]));
        let table = active.clone();
        let by_id = Batch::start(pace, move |ids| find_together(table.clone(), ids));
        let dismissals = Writes::to(&database.collection(DISMISSALS), database, pace);
        let (active, ended) = (Writes::to(active, database, pace), history.clone());
        Self { looks, looks_in_brief, active, history: Writes::to(history, database, pace), ended, by_id, dismissals }
    }

    /// An active call by its id; one read for all who ask at once.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Call>> {
        self.by_id.ask(id.to_owned()).await
    }

    /// Inserts a dismissal; `false` when it is there already.
    pub(super) async fn dismiss(&self, dismissal: Document) -> Result<bool> {
        match self.dismissals.inserts.ask(encode(&dismissal)?).await? {
            Outcome::Done => Ok(true),
            Outcome::Stale | Outcome::Duplicate => Ok(false),
            Outcome::Refused(code) => Err(StoreError::Refused { code, id: None }),
        }
    }

    /// Every call that these sessions lead to, and of those that ended the newest.
    pub(super) async fn load(&self, names: &BTreeSet<String>) -> Result<Vec<StoredCall>> {
        look(&self.looks, names).await
    }

    /// The same without the parties of each call, which are nearly all of it.
    pub(super) async fn load_in_brief(&self, names: &BTreeSet<String>) -> Result<Vec<StoredCall>> {
        look(&self.looks_in_brief, names).await
    }

    /// Writes a change if everything still is as it was. The call that goes on is written before what became part of it is
    /// removed, and stands in the history before it leaves the active calls: a process that stops halfway leaves it twice, which
    /// the next to look at it mends, and never not at all.
    pub(super) async fn write(&self, change: &WritePlan) -> Result<Written> {
        let call = &change.call;
        let (place, other) = match Table::of(call) {
            Table::Active => (Table::Active, Table::History),
            Table::History => (Table::History, Table::Active),
        };
        let outcome = match change.held_in(place) {
            // Another program's own fields in the document stay as they are.
            Some(before) => {
                let update = doc! { "q": by_rev(before), "u": { "$set": changes(before, call)? } };
                ask(&self.at(place).updates, &update).await?
            }
            None => self.insert(place, call).await?,
        };
        match outcome {
            Outcome::Done => {}
            Outcome::Stale => return Ok(Written::Nothing),
            Outcome::Duplicate => return Ok(Written::Duplicate),
            Outcome::Refused(code) => {
                let id = change.held_in(place).map(|before| before.id.clone());
                return Err(StoreError::Refused { code, id });
            }
        }
        let gone = change.gone.iter().map(|it| (it.place, &it.call));
        for (place, before) in change.held_in(other).map(|before| (other, before)).into_iter().chain(gone) {
            let delete = doc! { "q": by_rev(before), "limit": 1 };
            if self.at(place).deletes.ask(encode(&delete)?).await? != Outcome::Done {
                return Ok(Written::Kept);
            }
        }
        Ok(Written::All)
    }

    async fn insert(&self, place: Table, call: &Call) -> Result<Outcome> {
        let outcome = ask(&self.at(place).inserts, &to_document(call)?).await?;
        if (place, outcome) != (Table::History, Outcome::Duplicate) {
            return Ok(outcome);
        }
        // Another instance moved this call, or another program uses an `_id` again for the next call, which then has a row of
        // its own.
        let there = self.ended.find_one(doc! { "_id": raw_id(call) }).await?.map(from_document);
        let same = |ended: Call| ended.sessions().any(|name| call.sessions().any(|mine| mine == name));
        if there.is_none_or(|there| there.is_ok_and(same)) {
            return Ok(outcome);
        }
        let mut document = to_document(call)?;
        document.insert("_id", ObjectId::new());
        ask(&self.at(place).inserts, &document).await
    }

    fn at(&self, place: Table) -> &Writes {
        match place {
            Table::Active => &self.active,
            Table::History => &self.history,
        }
    }
}

/// Writes a call together with others, or a large one alone.
async fn ask(writes: &Batch<RawDocumentBuf, Outcome>, statement: &Document) -> Result<Outcome> {
    let statement = encode(statement)?;
    let is_large = statement.as_bytes().len() > MOST_BYTES_TOGETHER;
    if is_large { writes.ask_alone(statement).await } else { writes.ask(statement).await }
}

fn encode(document: &Document) -> Result<RawDocumentBuf> {
    Ok(RawDocumentBuf::try_from(document).map_err(Error::from)?)
}

async fn look(looks: &Batch<Vec<String>, Vec<StoredCall>>, names: &BTreeSet<String>) -> Result<Vec<StoredCall>> {
    let asked = names.iter().cloned().collect();
    if names.len() > MOST_SESSIONS_TOGETHER { looks.ask_alone(asked).await } else { looks.ask(asked).await }
}

/// Where a look is had, and the fields that it leaves out.
#[derive(Clone)]
struct Tables {
    active: Collection<Document>,
    history: String,
    left_out: &'static [&'static str],
}

/// One look for everyone, or one for each where the answer would be too long.
async fn look_together(tables: Tables, asked: Vec<Vec<String>>) -> std::result::Result<Vec<Vec<StoredCall>>, Error> {
    let found = load(&tables, asked.concat(), MOST_ENDED * asked.len()).await?;
    if found.iter().filter(|it| it.place == Table::History).count() < MOST_ENDED * asked.len() {
        let mut places: HashMap<&String, Vec<usize>> = HashMap::new();
        for (place, it) in found.iter().enumerate() {
            it.call.sessions().for_each(|session| places.entry(session).or_default().push(place));
        }
        let theirs = |names: &Vec<String>| {
            let places: BTreeSet<_> = names.iter().filter_map(|name| places.get(name)).flatten().collect();
            places.into_iter().map(|place| found[*place].clone()).collect()
        };
        return Ok(asked.iter().map(theirs).collect());
    }
    let mut answers = Vec::new();
    for names in asked {
        answers.push(load(&tables, names, MOST_ENDED).await?);
    }
    Ok(answers)
}

async fn load(
    Tables { active, history, left_out }: &Tables,
    names: Vec<String>,
    most_ended: usize,
) -> std::result::Result<Vec<StoredCall>, Error> {
    let filter = doc! { "$or": [{ "session_id": { "$in": &names } }, { "ledger.linked": { "$in": names } }] };
    // A call that is moving stands in the history before it leaves the active calls, so it is seen when they are asked in
    // the other order, as a union does.
    let short = || left_out.iter().map(|field| doc! { "$unset": *field });
    let mut newest = vec![
        doc! { "$match": filter.clone() },
        doc! { "$sort": { "timestamp": -1, "_id": -1 } },
        doc! { "$limit": most_ended as i64 },
    ];
    newest.extend(short());
    // An active call has an `_id` and no wrapping.
    newest.push(doc! { "$replaceWith": { "ended": "$$ROOT" } });
    let union = doc! { "$unionWith": { "coll": history, "pipeline": newest } };
    let stages: Vec<_> = [doc! { "$match": filter }].into_iter().chain(short()).chain([union]).collect();
    let found: Vec<_> = active.aggregate(stages).await?.try_collect().await?;
    let held = |mut document: Document| {
        let (place, document) = match document.remove("ended") {
            Some(Bson::Document(ended)) if !document.contains_key("_id") => (Table::History, ended),
            _ => (Table::Active, document),
        };
        Some(StoredCall { place, call: Arc::new(from_document(document).ok()?) })
    };
    Ok(found.into_iter().filter_map(held).collect())
}

/// The active calls with these ids.
async fn find_together(
    active: Collection<Document>,
    ids: Vec<String>,
) -> std::result::Result<Vec<Option<Call>>, Error> {
    let wanted: Vec<Bson> = ids.iter().collect::<BTreeSet<_>>().into_iter().map(|id| bson_id(id)).collect();
    let found: Vec<Document> = active.find(doc! { "_id": { "$in": wanted } }).await?.try_collect().await?;
    let calls: Vec<Call> = found.into_iter().filter_map(|document| from_document(document).ok()).collect();
    Ok(ids.iter().map(|id| calls.iter().find(|call| call.id == *id).cloned()).collect())
}

/// The calls as they are found, for who cannot say what of it was theirs.
pub(super) fn as_found(held: Vec<StoredCall>) -> Vec<Call> {
    held.into_iter().map(|it| Arc::unwrap_or_clone(it.call)).collect()
}
