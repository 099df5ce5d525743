//! Sessions in MongoDB, in the collection of tickets: a role that grants no more than earlier versions needed still does.
//! Both expire by `until`.
//!
//! The mark of a revocation is the time at the primary (`$$NOW`), so that instances need not agree on the time. A write
//! may become visible after one with a later mark; readers look some way back (`http::auth::signed_out`).

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, TryStreamExt};
use mongodb::IndexModel;
use mongodb::bson::{DateTime as BsonDateTime, Document, doc};
use mongodb::options::IndexOptions;

use super::{Mongo, is_duplicate};
use crate::store::Result;
use crate::store::sessions::{
    CLOCK_DIFFERENCE, NewSession, Revocation, Revocations, SessionLimits, State, longest_end, up_to_id,
};

/// How long a record is kept after its session has expired: an instance whose clock is behind MongoDB's still needs it.
const KEPT_AFTER_END: TimeDelta = TimeDelta::hours(1);

impl Mongo {
    pub(super) async fn prepare_sessions(&self) -> Result<()> {
        let index = |keys: Document, field: &str| {
            let with_field = doc! { field: { "$exists": true } };
            let options = IndexOptions::builder().partial_filter_expression(with_field).build();
            IndexModel::builder().keys(keys).options(options).build()
        };
        let by_viewer = index(doc! { "viewer": 1, "revoked": 1, "begun": -1 }, "viewer");
        // Open sessions have no mark.
        let by_mark = index(doc! { "mark": 1 }, "mark");
        self.tickets().create_indexes([by_viewer, by_mark]).await?;
        Ok(())
    }

    pub async fn begin_session(&self, session: &NewSession, limits: SessionLimits) -> Result<Option<i64>> {
        let NewSession { id, viewer, begun, until } = session;
        let record = doc! {
            "_id": id, "viewer": viewer, "begun": begun, "until": kept_until(*until), "revoked": State::Open as i64,
        };
        self.tickets().insert_one(record).await?;
        let open = self.nth_newest(viewer, State::Open, limits.open).await?;
        Ok(open.max(self.nth_newest(viewer, State::Revoked, limits.revoked).await?))
    }

    pub async fn revoke(&self, revocation: &Revocation) -> Result<()> {
        match revocation {
            Revocation::Session(session) => {
                let NewSession { id, viewer, begun, until } = session;
                let end = doc! {
                    "viewer": { "$literal": viewer }, "begun": begun, "until": kept_until(*until),
                    "revoked": State::Revoked as i64, "mark": "$$NOW",
                };
                self.tickets().update_one(doc! { "_id": id }, vec![doc! { "$set": end }]).upsert(true).await?;
                Ok(())
            }
            Revocation::UpTo { viewer, begun } => self.up_to(viewer, *begun).await,
            Revocation::Everywhere { viewer, begun } => {
                self.up_to(viewer, *begun).await?;
                let soon = begun + CLOCK_DIFFERENCE.num_microseconds().unwrap_or_default();
                let open = doc! { "viewer": viewer, "revoked": State::Open as i64, "begun": { "$lte": soon } };
                let end = doc! { "$set": { "revoked": State::Revoked as i64, "mark": "$$NOW" } };
                self.tickets().update_many(open, vec![end]).await?;
                Ok(())
            }
        }
    }

    /// Revokes what the viewer began up to this moment. The one record stands for all of theirs, which are deleted.
    async fn up_to(&self, viewer: &str, begun: i64) -> Result<()> {
        let later = |field: &str, value: mongodb::bson::Bson| doc! { "$max": [format!("${field}"), value] };
        let moment = doc! {
            "viewer": { "$literal": viewer }, "begun": later("begun", begun.into()),
            "until": later("until", kept_until(longest_end(begun)).into()),
            "revoked": State::UpTo as i64, "mark": "$$NOW",
        };
        let id = doc! { "_id": up_to_id(viewer) };
        self.tickets().update_one(id, vec![doc! { "$set": moment }]).upsert(true).await?;
        let sessions = doc! { "$in": [State::Open as i64, State::Revoked as i64] };
        self.tickets().delete_many(doc! { "viewer": viewer, "revoked": sessions, "begun": { "$lte": begun } }).await?;
        Ok(())
    }

    pub async fn revocations(&self, after: i64) -> Result<Revocations> {
        let filter = doc! { "mark": { "$gt": BsonDateTime::from_millis(after) } };
        let mut documents = self.tickets().find(filter).await?.into_stream();
        let mut read = Revocations { mark: after.max(0), ..Revocations::default() };
        while let Some(document) = documents.next().await {
            let document = document?;
            let mark = document.get_datetime("mark").map_or(0, |mark| mark.timestamp_millis());
            read.mark = read.mark.max(mark);
            read.found.extend(read_session(&document).and_then(|(session, state)| session.revocation(state)));
        }
        Ok(read)
    }

    pub async fn use_once(&self, id: &str, until: DateTime<Utc>) -> Result<bool> {
        match self.tickets().insert_one(doc! { "_id": id, "until": bson_time(until) }).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn peek_ticket(&self, id: &str, now: DateTime<Utc>) -> Result<Option<String>> {
        let ticket = self.tickets().find_one(doc! { "_id": id, "until": { "$gt": bson_time(now) } }).await?;
        Ok(ticket.and_then(|ticket| ticket.get_str("value").ok().map(str::to_owned)))
    }

    /// When the newest of the viewer's sessions beyond the first `n` began.
    async fn nth_newest(&self, viewer: &str, state: State, n: u32) -> Result<Option<i64>> {
        let theirs = doc! { "viewer": viewer, "revoked": state as i64 };
        let sessions = self.tickets();
        let found = sessions.find(theirs).sort(doc! { "begun": -1 }).skip(n.into()).limit(1);
        let found = found.projection(doc! { "_id": 0, "begun": 1 }).await?.try_next().await?;
        Ok(found.and_then(|session| session.get_i64("begun").ok()))
    }
}

fn read_session(document: &Document) -> Option<(NewSession, i64)> {
    let until = document.get_datetime("until").ok()?;
    let session = NewSession {
        id: document.get_str("_id").ok()?.to_owned(),
        viewer: document.get_str("viewer").ok()?.to_owned(),
        begun: document.get_i64("begun").ok()?,
        until: DateTime::from_timestamp_millis(until.timestamp_millis())? - KEPT_AFTER_END,
    };
    Some((session, document.get_i64("revoked").ok()?))
}

fn kept_until(end: DateTime<Utc>) -> BsonDateTime {
    bson_time(end + KEPT_AFTER_END)
}

fn bson_time(at: DateTime<Utc>) -> BsonDateTime {
    BsonDateTime::from_millis(at.timestamp_millis())
}
