//! Writes of one collection, many at once. One that is refused leaves the others as they are.
//!
//! Documents and statements are encoded once, before they wait for a command: a command that is refused is then sent again in
//! parts without a copy of each document.

use mongodb::bson::raw::{CStr, RawArrayBuf, RawDocumentBuf};
use mongodb::bson::{Bson, Document, cstr, rawdoc};
use mongodb::error::{Error, ErrorKind};
use mongodb::{Collection, Database};

use super::batch::{Batch, Pace};
use super::refusal::{DUPLICATE, refusal, write_refusal};

/// What came of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is on disk.
    Done,
    /// The document is no longer as it was read, or may not be.
    Stale,
    /// Another document is in the way.
    Duplicate,
    /// This document cannot be written, says MongoDB with this code.
    Refused(i32),
}

/// The writes of one collection.
#[derive(Clone)]
pub(super) struct Writes {
    pub inserts: Batch<RawDocumentBuf, Outcome>,
    pub updates: Batch<RawDocumentBuf, Outcome>,
    pub deletes: Batch<RawDocumentBuf, Outcome>,
}

/// A command of many statements.
#[derive(Clone, Copy)]
struct Order {
    command: &'static CStr,
    list: &'static CStr,
}

type Answer = Result<Vec<Outcome>, Error>;

impl Outcome {
    /// What an error code of this one write means; `None` when it is the database that does not work.
    fn of(code: i32) -> Option<Self> {
        if code == DUPLICATE { Some(Self::Duplicate) } else { write_refusal(code).map(Self::Refused) }
    }
}

impl Writes {
    pub(super) fn to(collection: &Collection<Document>, database: &Database, pace: Pace) -> Self {
        let table = collection.clone_with_type();
        let inserts = Batch::start(pace, move |documents| insert_together(table.clone(), documents));
        let together = |command: &'static CStr, list: &'static CStr| {
            let (database, table) = (database.clone(), collection.name().to_owned());
            let order = Order { command, list };
            Batch::start(pace, move |statements| write_together(database.clone(), order, table.clone(), statements))
        };
        Self {
            inserts,
            updates: together(cstr!("update"), cstr!("updates")),
            deletes: together(cstr!("delete"), cstr!("deletes")),
        }
    }
}

/// Inserts what is not there yet.
async fn insert_together(collection: Collection<RawDocumentBuf>, documents: Vec<RawDocumentBuf>) -> Answer {
    match insert(&collection, &documents).await {
        // One document spoils the command for all: each goes alone.
        Err(error) if refusal(&error).is_some() => {
            let mut outcomes = Vec::with_capacity(documents.len());
            for document in &documents {
                outcomes.push(alone(insert(&collection, std::slice::from_ref(document)).await)?);
            }
            Ok(outcomes)
        }
        answer => answer,
    }
}

async fn insert(collection: &Collection<RawDocumentBuf>, documents: &[RawDocumentBuf]) -> Answer {
    let mut outcomes = vec![Outcome::Done; documents.len()];
    let Err(error) = collection.insert_many(documents).ordered(false).await else { return Ok(outcomes) };
    let ErrorKind::InsertMany(partly) = &*error.kind else { return Err(error) };
    if partly.write_concern_error.is_some() {
        return Err(error);
    }
    for refused in partly.write_errors.as_deref().unwrap_or_default() {
        let Some(outcome) = Outcome::of(refused.code) else { return Err(error) };
        outcomes[refused.index] = outcome;
    }
    Ok(outcomes)
}

/// Writes where `q` still finds a document.
async fn write_together(
    database: Database,
    order: Order,
    collection: String,
    statements: Vec<RawDocumentBuf>,
) -> Answer {
    match write(&database, order, &collection, &statements).await {
        Err(error) if refusal(&error).is_some() => {
            let mut outcomes = Vec::with_capacity(statements.len());
            for statement in &statements {
                let one = std::slice::from_ref(statement);
                outcomes.push(alone(write(&database, order, &collection, one).await)?);
            }
            Ok(outcomes)
        }
        answer => answer,
    }
}

/// The answer only counts the statements that found their document. When one did not, all that were not refused are
/// [`Outcome::Stale`]: their callers read again and find what was written.
async fn write(database: &Database, order: Order, collection: &str, statements: &[RawDocumentBuf]) -> Answer {
    let mut list = RawArrayBuf::new();
    statements.iter().for_each(|statement| list.push(statement));
    let mut command = RawDocumentBuf::new();
    command.append(order.command, collection);
    command.append(order.list, list);
    command.append(cstr!("ordered"), false);
    command.append(cstr!("writeConcern"), rawdoc! { "w": "majority", "j": true });
    let answer = database.run_raw_command(command).await?;
    let failed = || Error::custom("a write was not acknowledged");
    if answer.contains_key("writeConcernError") {
        return Err(failed());
    }
    let mut outcomes = vec![Outcome::Done; statements.len()];
    let refused = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    for error in refused.iter().filter_map(Bson::as_document) {
        let outcome = error.get_i32("code").ok().and_then(Outcome::of).ok_or_else(failed)?;
        let index = error.get_i32("index").map_err(|_| failed())?;
        *outcomes.get_mut(index as usize).ok_or_else(failed)? = outcome;
    }
    let written = outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count();
    if answer.get_i32("n").map_err(|_| failed())? as usize != written {
        let unsure = outcomes.iter_mut().filter(|outcome| **outcome == Outcome::Done);
        unsure.for_each(|outcome| *outcome = Outcome::Stale);
    }
    Ok(outcomes)
}

/// What came of a command of one document.
fn alone(answer: Answer) -> Result<Outcome, Error> {
    match answer {
        Ok(outcomes) => Ok(outcomes.first().copied().unwrap_or(Outcome::Stale)),
        Err(error) => match refusal(&error) {
            Some(DUPLICATE) => Ok(Outcome::Duplicate),
            Some(code) => Ok(Outcome::Refused(code)),
            None => Err(error),
        },
    }
}
