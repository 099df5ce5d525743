//! Changes of customers after a pass.

use std::time::{Duration, Instant};

use mongodb::Collection;
use mongodb::bson::{Bson, Document};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::{ChangeStreamEvent, ResumeToken};
use mongodb::options::FullDocumentType;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

use super::{State, Use};
use crate::fatal_panic;
use crate::store::Result;
use crate::store::customer_watch::asked_for;
use crate::store::mongo::change_stream::NO_REPLICA_SET;
use crate::store::mongo::{Mongo, command_code, is_unauthorized};

/// Changes that are written together.
const MOST_AT_ONCE: usize = 500;
/// Changes that are read ahead of those that are written.
const READ_AHEAD: usize = 1_000;
/// How often the position is stored, the lease renewed and completeness confirmed.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);
/// A change this recent says that all before it are read.
const RECENT: Duration = Duration::from_secs(2);
/// How often the number of customers is read where changes cannot be followed.
const COUNT_EVERY: Duration = Duration::from_secs(1);

type Changes = ChangeStream<ChangeStreamEvent<Document>>;

/// How long customers are indexed for searches before changes are written again.
const SEARCH_TURN: Duration = Duration::from_millis(300);

/// The code of a position that is older than the database's log.
const HISTORY_LOST: i32 = 286;

/// What a change stream's reader hands on.
enum Read {
    Change(Box<ChangeStreamEvent<Document>>),
    /// There is nothing more for now; the position of that.
    End(Option<ResumeToken>),
}

impl Mongo {
    /// Writes every change of customers into the index, until the lease or the stream's history is lost.
    pub(super) async fn follow_customers_into_index(&self, state: State) -> Result<()> {
        // On a connection of its own, which it holds for as long as it lives.
        let client = mongodb::Client::with_options(self.options.as_ref().clone())?;
        let customers = client.database(self.database.name()).collection::<Document>(self.customers.name());
        match self.watch_from(&customers, &state).await {
            Ok(changes) => self.index_changes(changes, state).await,
            Err(error) if is_unauthorized(&error) || command_code(&error) == Some(NO_REPLICA_SET) => {
                self.repeat_passes(state).await
            }
            // With the position it may be the position that MongoDB does not take; without one the error would come again.
            Err(error) => match command_code(&error) {
                Some(code) if state.token.is_some() || code == HISTORY_LOST => {
                    warn!(
                        code,
                        "changes of customers can no longer be read from the stored position: a new pass begins"
                    );
                    self.begin_index().await.map(drop)
                }
                _ => Err(error.into()),
            },
        }
    }

    async fn watch_from(&self, customers: &Collection<Document>, state: &State) -> mongodb::error::Result<Changes> {
        let token =
            state.token.clone().and_then(|token| mongodb::bson::deserialize_from_bson::<ResumeToken>(token).ok());
        let watch = customers.watch().pipeline([asked_for(self.searched_fields())]);
        let watch = watch.full_document(FullDocumentType::UpdateLookup);
        match (token, state.since) {
            (Some(token), _) => watch.resume_after(token).await,
            (None, Some(since)) => watch.start_at_operation_time(since).await,
            (None, None) => watch.await,
        }
    }

    async fn index_changes(&self, changes: Changes, mut state: State) -> Result<()> {
        let (sender, mut read) = mpsc::channel(READ_AHEAD);
        // Ends with this set.
        let mut reader = JoinSet::new();
        reader.spawn(fatal_panic::task("reader of customers' changes", read_changes(changes, sender)));
        let (mut some, mut confirmed) = (Vec::new(), Instant::now());
        let mut current = false;
        loop {
            if !state.search.complete {
                self.index_next_for_search(&mut state, SEARCH_TURN).await?;
            }
            if !receive(&mut read, &mut some, state.search.complete).await {
                // The collection was dropped or renamed, which ends the stream.
                return self.begin_index().await.map(drop);
            }
            let mut changed: Vec<(Bson, Option<Document>)> = Vec::new();
            for item in some.drain(..) {
                let change = match item? {
                    Read::End(token) => {
                        current = true;
                        state.token = token.as_ref().and_then(encode).or(state.token);
                        continue;
                    }
                    Read::Change(change) => change,
                };
                state.token = encode(&change.id).or(state.token);
                let age = change.wall_time.and_then(|at| at.to_system_time().elapsed().ok());
                current |= age.is_some_and(|age| age < RECENT);
                let Some(id) = change.document_key.as_ref().and_then(|key| key.get("_id")).cloned() else {
                    // The collection itself was dropped or renamed.
                    return self.begin_index().await.map(drop);
                };
                changed.retain(|(other, _)| *other != id);
                changed.push((id, change.full_document));
            }
            for keys in [Use::Lookup, Use::Search] {
                self.write_keys_of(keys, &changed).await?;
            }
            if current {
                self.numbers.confirm(true);
            }
            if confirmed.elapsed() > CONFIRM_EVERY {
                confirmed = Instant::now();
                if !self.renew_index_lease().await? {
                    return Ok(());
                }
                state.current = current;
                self.store_index_state(&state).await?;
            }
        }
    }

    /// An update whose customer was removed meanwhile has no document, like a removal.
    async fn write_keys_of(&self, keys: Use, changed: &[(Bson, Option<Document>)]) -> Result<()> {
        let of = |document: &Option<Document>| document.as_ref().map(|it| self.keys_for(keys, it)).unwrap_or_default();
        self.write_keys(keys, changed.iter().map(|(id, document)| (id.clone(), of(document))).collect()).await
    }

    /// Where changes cannot be followed: a pass after each interval, and whenever the number of customers is another one. What is
    /// changed between two passes is found by the guide's lookup only if it changes that number.
    async fn repeat_passes(&self, mut state: State) -> Result<()> {
        loop {
            let (count, passed) = (self.count_customers().await?, Instant::now());
            state.current = true;
            self.store_index_state(&state).await?;
            while !self.index_next_for_search(&mut state, CONFIRM_EVERY).await? {
                self.numbers.confirm(true);
                if !self.renew_index_lease().await? {
                    return Ok(());
                }
                self.store_index_state(&state).await?;
            }
            while passed.elapsed() < self.fields.rescan && self.count_customers().await? == count {
                self.numbers.confirm(true);
                if !self.renew_index_lease().await? {
                    return Ok(());
                }
                sleep(COUNT_EVERY).await;
            }
            if self.count_customers().await? != count {
                self.numbers.confirm(false);
                state.current = false;
                self.store_index_state(&state).await?;
            }
            if !self.index_all(&mut state).await? {
                return Ok(());
            }
        }
    }
}

async fn read_changes(mut changes: Changes, sender: mpsc::Sender<Result<Read>>) {
    loop {
        let read = match changes.next_if_any().await {
            Ok(Some(change)) => Ok(Read::Change(Box::new(change))),
            Ok(None) if !changes.is_alive() => return,
            Ok(None) => Ok(Read::End(changes.resume_token())),
            Err(error) => Err(error.into()),
        };
        let failed = read.is_err();
        if sender.send(read).await.is_err() || failed {
            return;
        }
    }
}

/// Takes what was read; `false` at the end. Without `waits` it may be nothing.
async fn receive(read: &mut mpsc::Receiver<Result<Read>>, some: &mut Vec<Result<Read>>, waits: bool) -> bool {
    if waits {
        return read.recv_many(some, MOST_AT_ONCE).await > 0;
    }
    while some.len() < MOST_AT_ONCE {
        match read.try_recv() {
            Ok(item) => some.push(item),
            Err(error) => return !some.is_empty() || error == TryRecvError::Empty,
        }
    }
    true
}

fn encode(token: &ResumeToken) -> Option<Bson> {
    mongodb::bson::serialize_to_bson(token).ok()
}
