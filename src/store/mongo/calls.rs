//! The two collections of calls, asked and written for many at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::{Collection, Database};

use super::batch::Batch;
use super::dismissals::DISMISSALS;
use super::document::{bson_id, from_document, to_document};
use crate::call::Call;
use crate::store::Result;
use crate::store::advance::{Change, Held, Place};

/// Ended calls of a session that are looked at: one, or several that turn out to be one. People repeat the session ids of
/// the guide's body without end, and of those only the newest matters.
const MOST_ENDED: usize = 8;
/// What MongoDB calls a second document of the same id or session.
const DUPLICATE: i32 = 11000;

/// Whether everything still was as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it is done.
    All,
    /// The call that goes on is written; what became part of it changed meanwhile, or may have.
    Kept,
    /// Somebody else was first, or may have been.
    Nothing,
}

/// `active_calls` and `call_history`. Cheap to clone.
#[derive(Clone)]
pub(super) struct Calls {
    looks: Batch<Vec<String>, Vec<Held>>,
    active: Writes,
    history: Writes,
    by_id: Batch<String, Option<Call>>,
    dismissals: Batch<Document, bool>,
}

/// The writes of one collection.
#[derive(Clone)]
struct Writes {
    inserts: Batch<Document, bool>,
    updates: Batch<Document, bool>,
    deletes: Batch<Document, bool>,
}

impl Calls {
    pub(super) fn new(active: &Collection<Document>, history: &Collection<Document>, database: &Database) -> Self {
        let places = (active.clone(), history.name().to_owned());
        let looks = Batch::start(move |asked| look_together(places.clone(), asked));
        let table = active.clone();
        let by_id = Batch::start(move |ids| find_together(table.clone(), ids));
        let table: Collection<Document> = database.collection(DISMISSALS);
        let dismissals = Batch::start(move |documents| insert_together(table.clone(), documents));
        let (active, history) = (Writes::to(active, database), Writes::to(history, database));
        Self { looks, active, history, by_id, dismissals }
    }

    /// An active call by its id; one read for all who ask at once.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Call>> {
        self.by_id.ask(id.to_owned()).await
    }

    /// Inserts a dismissal; `false` when it is there already.
    pub(super) async fn dismiss(&self, dismissal: Document) -> Result<bool> {
        self.dismissals.ask(dismissal).await
    }

    /// Every call that these sessions lead to, and of those that ended the newest.
    pub(super) async fn look(&self, names: &BTreeSet<String>) -> Result<Vec<Held>> {
        self.looks.ask(names.iter().cloned().collect()).await
    }

    /// Writes a change if everything still is as it was. The call that goes on is written before what became part of it is
    /// removed, and stands in the history before it leaves the active calls: whoever stops halfway leaves it twice, which
    /// the next to look at it mends, and never not at all.
    pub(super) async fn write(&self, change: &Change) -> Result<Written> {
        let call = &change.call;
        let (place, other) = match Place::of(call) {
            Place::Active => (Place::Active, Place::History),
            Place::History => (Place::History, Place::Active),
        };
        let mut document = to_document(call)?;
        let kept = match change.rev_in(place) {
            Some(rev) => {
                // Another program's own fields in the document stay as they are.
                document.remove("_id");
                let update = doc! { "q": by_rev(&call.id, rev), "u": { "$set": document } };
                self.at(place).updates.ask(update).await?
            }
            None => self.at(place).inserts.ask(document).await?,
        };
        if !kept {
            return Ok(Written::Nothing);
        }
        let copy = change.rev_in(other).map(|rev| (other, &call.id, rev));
        let gone = change.gone.iter().map(|it| (it.place, &it.call.id, it.call.rev));
        for (place, id, rev) in copy.into_iter().chain(gone) {
            let delete = doc! { "q": by_rev(id, rev), "limit": 1 };
            if !self.at(place).deletes.ask(delete).await? {
                return Ok(Written::Kept);
            }
        }
        Ok(Written::All)
    }

    fn at(&self, place: Place) -> &Writes {
        match place {
            Place::Active => &self.active,
            Place::History => &self.history,
        }
    }
}

impl Writes {
    fn to(collection: &Collection<Document>, database: &Database) -> Self {
        let table = collection.clone();
        let inserts = Batch::start(move |documents| insert_together(table.clone(), documents));
        let together = |command: &'static str, list: &'static str| {
            let (database, table) = (database.clone(), collection.name().to_owned());
            Batch::start(move |statements| write_together(database.clone(), command, list, table.clone(), statements))
        };
        Self { inserts, updates: together("update", "updates"), deletes: together("delete", "deletes") }
    }
}

/// One look for everyone, or one for each where the answer would be too long.
async fn look_together(
    (active, history): (Collection<Document>, String),
    asked: Vec<Vec<String>>,
) -> std::result::Result<Vec<Vec<Held>>, Error> {
    let found = look(&active, &history, asked.concat(), MOST_ENDED * asked.len()).await?;
    if found.iter().filter(|it| it.place == Place::History).count() < MOST_ENDED * asked.len() {
        let theirs = |names: &Vec<String>, it: &&Held| it.call.sessions().any(|session| names.contains(session));
        return Ok(asked.iter().map(|names| found.iter().filter(|it| theirs(names, it)).cloned().collect()).collect());
    }
    let mut answers = Vec::new();
    for names in asked {
        answers.push(look(&active, &history, names, MOST_ENDED).await?);
    }
    Ok(answers)
}

async fn look(
    active: &Collection<Document>,
    history: &str,
    names: Vec<String>,
    most_ended: usize,
) -> std::result::Result<Vec<Held>, Error> {
    let filter = doc! { "$or": [{ "session_id": { "$in": &names } }, { "ledger.linked": { "$in": names } }] };
    // A call that is moving stands in the history before it leaves the active calls, so it is seen when they are asked in
    // the other order, as a union does.
    let newest = vec![
        doc! { "$match": filter.clone() },
        doc! { "$sort": { "timestamp": -1, "_id": -1 } },
        doc! { "$limit": most_ended as i64 },
        // An active call has an `_id` and no wrapping.
        doc! { "$replaceWith": { "ended": "$$ROOT" } },
    ];
    let union = doc! { "$unionWith": { "coll": history, "pipeline": newest } };
    let found: Vec<_> = active.aggregate([doc! { "$match": filter }, union]).await?.try_collect().await?;
    let held = |mut document: Document| {
        let (place, document) = match document.remove("ended") {
            Some(Bson::Document(ended)) if !document.contains_key("_id") => (Place::History, ended),
            _ => (Place::Active, document),
        };
        Some(Held { place, call: Arc::new(from_document(document)?) })
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
    let calls: Vec<Call> = found.into_iter().filter_map(from_document).collect();
    Ok(ids.iter().map(|id| calls.iter().find(|call| call.id == *id).cloned()).collect())
}

/// Inserts what is not there yet.
async fn insert_together(
    collection: Collection<Document>,
    documents: Vec<Document>,
) -> std::result::Result<Vec<bool>, Error> {
    let mut inserted = vec![true; documents.len()];
    let Err(error) = collection.insert_many(documents).ordered(false).await else { return Ok(inserted) };
    let ErrorKind::InsertMany(partly) = &*error.kind else { return Err(error) };
    let refused = partly.write_errors.as_deref().unwrap_or_default();
    if partly.write_concern_error.is_some() || refused.iter().any(|refused| refused.code != DUPLICATE) {
        return Err(error);
    }
    refused.iter().for_each(|refused| inserted[refused.index] = false);
    Ok(inserted)
}

/// Writes where `q` still finds a document. The answer only counts those that did, so when one is missing nobody is told
/// that theirs was written: they look again, and find it.
async fn write_together(
    database: Database,
    command: &'static str,
    list: &'static str,
    collection: String,
    statements: Vec<Document>,
) -> std::result::Result<Vec<bool>, Error> {
    let count = statements.len();
    let statements: Vec<Bson> = statements.into_iter().map(Bson::Document).collect();
    let safely = doc! { "w": "majority", "j": true };
    let order = doc! { command: collection, list: statements, "ordered": false, "writeConcern": safely };
    let answer = database.run_command(order).await?;
    let refused = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let duplicate =
        |error: &Bson| error.as_document().is_some_and(|error| error.get_i32("code").is_ok_and(|it| it == DUPLICATE));
    if answer.contains_key("writeConcernError") || !refused.iter().all(duplicate) {
        return Err(Error::custom("a write was not acknowledged"));
    }
    let written = answer.get_i32("n").is_ok_and(|written| written as usize == count);
    Ok(vec![written; count])
}

/// The document with this id, while nobody has changed it.
pub(super) fn by_rev(id: &str, rev: i64) -> Document {
    let rev = if rev == 0 {
        doc! { "$in": [null, 0] }
    } else {
        doc! { "$eq": rev }
    };
    doc! { "_id": bson_id(id), "rev": rev }
}

/// The calls as they are found, for who cannot say what of it was theirs.
pub(super) fn as_found(held: Vec<Held>) -> Vec<Call> {
    held.into_iter().map(|it| Arc::unwrap_or_clone(it.call)).collect()
}
