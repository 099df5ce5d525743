//! Revoked sessions: after "Sign out" a copied cookie is worth nothing, on any instance.
//!
//! Every revocation that has not expired is held in memory, so no request waits for the store. The store has a record of
//! each; instances read the new ones as often as they poll. A revocation that the store cannot take now holds here, waits
//! on disk beside the spool, and is recorded later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tracing::warn;

use crate::app::App;
use crate::store::{LONGEST_SESSION, NewSession, Revocation, SessionLimits, Spool, Store, StoreError, sources};

/// Where earlier versions kept revoked sessions, all of them in one setting.
const LEGACY: &str = "signed_out";
/// A record may become visible after one with a later mark: a slow write, a secondary that lags. Until the newest mark is
/// this old, the same stretch before it is read again.
const OVERLAP: Duration = Duration::from_secs(15);
/// How often that stretch is read. In between, a shorter one is: after a rush it may hold thousands of records.
const READ_OVERLAP: Duration = Duration::from_secs(5);
const SHORT_OVERLAP: Duration = Duration::from_secs(1);
/// How often everything is read again: a new primary's clock may be behind the old one's, and instances of a version
/// before still write [`LEGACY`].
const READ_ALL: Duration = Duration::from_secs(300);
/// How often expired revocations are dropped from memory.
const FORGET: Duration = Duration::from_secs(60);
/// Longer than MongoDB looks for a primary. A person waits for this answer.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// What must be recorded later is held in memory up to this number; all of it is on disk.
const MOST_PENDING: usize = 100_000;
/// A person's browsers, tabs share one.
const MOST_OF_A_PERSON: SessionLimits = SessionLimits { open: 50, revoked: 20_000 };
/// A large office whose dashboards share one API token.
const MOST_OF_A_TOKEN: SessionLimits = SessionLimits { open: 2_000, revoked: 20_000 };

/// The revoked sessions. Cheap to clone.
#[derive(Clone)]
pub struct RevokedSessions(Arc<Inner>);

struct Inner {
    store: Store,
    /// Beside MongoDB: where a revocation waits while that is away, and the database's name there.
    spool: Option<(Spool, String)>,
    revoked: RwLock<Revoked>,
    pending: Mutex<Vec<Revocation>>,
    /// How far the store's records were read. Readers take turns.
    read: tokio::sync::Mutex<Progress>,
}

/// A few dozen bytes for each session.
#[derive(Default)]
struct Revoked {
    /// When each ends by itself, in Unix seconds.
    sessions: HashMap<u128, i64>,
    /// Up to when each viewer's sessions are revoked, in Unix microseconds.
    viewers: HashMap<String, i64>,
}

#[derive(Default)]
struct Progress {
    /// The highest mark seen, and when it was new.
    mark: Option<(i64, Instant)>,
    read_overlap_at: Option<Instant>,
    read_all_at: Option<Instant>,
    forgot_at: Option<Instant>,
    /// The last attempt failed.
    failed: bool,
}

/// The session that a viewer came with. What they opened ends with it.
#[derive(Clone)]
pub struct SessionHandle {
    /// The session.
    pub session: Arc<NewSession>,
    key: u128,
    revoked_sessions: RevokedSessions,
}

impl RevokedSessions {
    /// None are known yet.
    pub fn new(app: &App) -> Self {
        let database = app.config().mongodb.as_ref().map(|mongodb| mongodb.database.clone());
        Self(Arc::new(Inner {
            store: app.store().clone(),
            spool: app.spool().cloned().zip(database),
            revoked: RwLock::default(),
            pending: Mutex::default(),
            read: tokio::sync::Mutex::default(),
        }))
    }

    /// Whether this session was revoked.
    pub fn contains(&self, session: &NewSession) -> bool {
        self.revoked().contains(key(&session.id), session)
    }

    /// A handle of this session.
    pub fn session_handle(&self, session: NewSession) -> SessionHandle {
        SessionHandle { key: key(&session.id), session: Arc::new(session), revoked_sessions: self.clone() }
    }

    /// A session for this viewer from now on. Where they have too many, the oldest are revoked. While the store is away the
    /// session is good all the same, and not counted.
    pub async fn begin(&self, id: String, viewer: &str, until: DateTime<Utc>) -> NewSession {
        let earliest = self.revoked().viewers.get(viewer).map_or(i64::MIN, |revoked| revoked + 1);
        let begun = Utc::now().timestamp_micros().max(earliest);
        let session = NewSession { id, viewer: viewer.to_owned(), begun, until };
        let limits = if viewer.starts_with("token-") { MOST_OF_A_TOKEN } else { MOST_OF_A_PERSON };
        match timeout(PATIENCE, self.0.store.begin_session(&session, limits)).await.unwrap_or(Err(StoreError::Slow)) {
            Ok(Some(begun)) => self.revoke(Revocation::UpTo { viewer: viewer.to_owned(), begun }).await,
            Ok(None) => {}
            Err(cause) => warn!(error = %cause, error.sources = sources(&cause), "a session could not be recorded"),
        }
        session
    }

    /// Revokes: here at once, elsewhere as soon as it was recorded.
    pub async fn revoke(&self, revocation: Revocation) {
        self.write().add(&revocation);
        let recorded = timeout(PATIENCE, self.0.store.revoke(&revocation)).await.unwrap_or(Err(StoreError::Slow));
        let Err(cause) = recorded else { return };
        warn!(error = %cause, error.sources = sources(&cause), "a sign-out could not be recorded and is recorded later");
        // What is open when the store is back was not open now.
        let revocation = match revocation {
            Revocation::Everywhere { viewer, begun } => Revocation::UpTo { viewer, begun },
            other => other,
        };
        if let Some((spool, database)) = &self.0.spool
            && let Err(cause) = spool.keep_revocation(database, &revocation).await
        {
            warn!(error = %cause, error.sources = sources(&cause), "a sign-out could not be kept on disk");
        }
        let mut pending = self.pending();
        if pending.len() < MOST_PENDING {
            pending.push(revocation);
        }
    }

    /// Records what is pending, and learns what other instances recorded.
    pub async fn share(&self) -> Result<(), StoreError> {
        let mut progress = self.0.read.lock().await;
        if progress.read_all_at.is_none()
            && let Some((spool, database)) = &self.0.spool
        {
            let waiting = spool.revocations(database).await?;
            waiting.iter().for_each(|revocation| self.write().add(revocation));
            let mut pending = self.pending();
            let news: Vec<_> = waiting.into_iter().filter(|one| !pending.contains(one)).collect();
            pending.extend(news);
        }
        let shared = async {
            self.record_pending().await?;
            self.learn(&mut progress).await
        };
        let shared = shared.await;
        progress.failed = shared.is_err();
        shared
    }

    async fn record_pending(&self) -> Result<(), StoreError> {
        loop {
            let Some(next) = self.pending().first().cloned() else { return Ok(()) };
            self.0.store.revoke(&next).await?;
            if let Some((spool, database)) = &self.0.spool {
                spool.forget_revocation(database, &next).await?;
            }
            // Others only add at the end.
            self.pending().swap_remove(0);
        }
    }

    async fn learn(&self, progress: &mut Progress) -> Result<(), StoreError> {
        let all = progress.failed || progress.read_all_at.is_none_or(|at| at.elapsed() > READ_ALL);
        let whole = progress.read_overlap_at.is_none_or(|at| at.elapsed() > READ_OVERLAP);
        let overlap = if whole { OVERLAP } else { SHORT_OVERLAP };
        let after = match progress.mark.filter(|_| !all) {
            None => i64::MIN,
            Some((mark, at)) if at.elapsed() < 2 * OVERLAP => mark - overlap.as_millis() as i64,
            Some((mark, _)) => mark,
        };
        let read = self.0.store.revocations(after).await?;
        {
            let mut revoked = self.write();
            read.found.iter().for_each(|revocation| revoked.add(revocation));
        }
        if whole {
            progress.read_overlap_at = Some(Instant::now());
        }
        if progress.mark.is_none_or(|(mark, _)| read.mark > mark) {
            progress.mark = Some((read.mark, Instant::now()));
        }
        if all {
            self.migrate().await?;
            progress.read_all_at = Some(Instant::now());
        }
        if progress.forgot_at.is_none_or(|at| at.elapsed() > FORGET) {
            self.write().forget(Utc::now());
            progress.forgot_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Records what a version before revoked.
    async fn migrate(&self) -> Result<(), StoreError> {
        let legacy = self.0.store.setting(LEGACY).await?;
        let legacy: HashMap<String, DateTime<Utc>> =
            legacy.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        for (id, until) in legacy {
            let session = NewSession { begun: earliest_begin(until), viewer: String::new(), id, until };
            if until > Utc::now() && !self.contains(&session) {
                let revocation = Revocation::Session(session);
                self.write().add(&revocation);
                self.0.store.revoke(&revocation).await?;
            }
        }
        Ok(())
    }

    fn revoked(&self) -> RwLockReadGuard<'_, Revoked> {
        self.0.revoked.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Revoked> {
        self.0.revoked.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn pending(&self) -> MutexGuard<'_, Vec<Revocation>> {
        self.0.pending.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl SessionHandle {
    /// Whether the viewer has signed out.
    pub fn is_over(&self) -> bool {
        self.revoked_sessions.revoked().contains(self.key, &self.session)
    }
}

impl Revoked {
    fn contains(&self, key: u128, session: &NewSession) -> bool {
        self.sessions.contains_key(&key)
            || self.viewers.get(&session.viewer).is_some_and(|up_to| session.begun <= *up_to)
    }

    fn add(&mut self, revocation: &Revocation) {
        match revocation {
            Revocation::Session(session) => drop(self.sessions.insert(key(&session.id), session.until.timestamp())),
            Revocation::UpTo { viewer, begun } | Revocation::Everywhere { viewer, begun } => {
                let up_to = self.viewers.entry(viewer.clone()).or_insert(*begun);
                *up_to = (*up_to).max(*begun);
            }
        }
    }

    /// Drops what has expired: none of those sessions is good any more.
    fn forget(&mut self, now: DateTime<Utc>) {
        self.sessions.retain(|_, until| *until >= now.timestamp());
        let oldest = (now - LONGEST_SESSION - TimeDelta::hours(1)).timestamp_micros();
        self.viewers.retain(|_, up_to| *up_to > oldest);
        self.sessions.shrink_to(self.sessions.len() * 2);
    }
}

/// When a session of a version before began at the earliest; its cookie does not say.
pub(super) fn earliest_begin(until: DateTime<Utc>) -> i64 {
    (until - LONGEST_SESSION).timestamp_micros()
}

/// Ids are random: half of one is enough to tell them apart.
fn key(id: &str) -> u128 {
    let half = id.get(..32).and_then(|half| u128::from_str_radix(half, 16).ok());
    half.unwrap_or_else(|| {
        let digest: [u8; 32] = Sha256::digest(id).into();
        digest.iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: u128, viewer: &str, begun: i64, until: DateTime<Utc>) -> NewSession {
        NewSession { id: format!("{id:032x}{id:032x}"), viewer: viewer.into(), begun, until }
    }

    #[test]
    fn a_revoked_session_is_known_until_it_expires_however_many_others_are_revoked() {
        let (now, mut revoked) = (Utc::now(), Revoked::default());
        let all: Vec<_> = (0..100_000).map(|n| session(n, "user-a", 0, now + TimeDelta::seconds(n as i64))).collect();
        all.iter().for_each(|one| revoked.add(&Revocation::Session(one.clone())));
        revoked.forget(now + TimeDelta::seconds(10));
        let known = all.iter().filter(|one| revoked.contains(key(&one.id), one)).count();
        assert_eq!(known, 99_990);
    }

    #[test]
    fn a_moment_revokes_what_the_viewer_began_before_it_and_nothing_else() {
        let (now, mut revoked) = (Utc::now(), Revoked::default());
        let begun = now.timestamp_micros();
        for begun in [begun - 5, begun, begun - 9] {
            revoked.add(&Revocation::UpTo { viewer: "user-a".into(), begun });
        }
        revoked.forget(now + LONGEST_SESSION);
        let until = now + LONGEST_SESSION;
        for (viewer, at, over) in [("user-a", begun, true), ("user-a", begun + 1, false), ("user-b", begun, false)] {
            assert_eq!(revoked.contains(1, &session(1, viewer, at, until)), over, "{viewer} at {at}");
        }
    }
}
