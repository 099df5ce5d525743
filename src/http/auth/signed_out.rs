//! Sessions that their viewers ended: after "Sign out" a copied cookie is worth nothing, on any instance.
//!
//! The few of the last hours are known in memory, so no request waits for the store. It keeps all of them under one name;
//! every instance reads them as often as it polls and writes back what is missing there, so that two instances that write
//! at once lose nothing for long.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::store::{Store, StoreError};

/// Under this name the store keeps them.
const KEY: &str = "signed_out";
/// A large office signs out twice in half a day. Of more, those are forgotten that end first.
const MOST: usize = 2_000;

/// The ids of sessions that ended early, each with its own end, after which nobody has to know. Cheap to clone.
#[derive(Clone)]
pub struct SignedOut(Arc<Inner>);

struct Inner {
    store: Store,
    ends: RwLock<Ends>,
}

type Ends = HashMap<String, DateTime<Utc>>;

/// The session that somebody came with. What they opened ends with it.
#[derive(Clone)]
pub struct Visit {
    /// The session's id. It opens nothing by itself.
    pub id: String,
    /// Where it will stand when it is over.
    pub signed_out: SignedOut,
}

impl SignedOut {
    /// None are known yet.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Inner { store, ends: RwLock::default() }))
    }

    /// Whether this session was ended.
    pub fn contains(&self, id: &str) -> bool {
        self.0.ends.read().unwrap_or_else(|poisoned| poisoned.into_inner()).contains_key(id)
    }

    /// From now on this session is over: here at once, elsewhere when it was shared.
    pub fn add(&self, id: String, until: DateTime<Utc>) {
        self.0.ends.write().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(id, until);
    }

    /// Learns what other instances know, and tells them the rest.
    pub async fn share(&self) -> Result<(), StoreError> {
        let stored = self.0.store.setting(KEY).await?;
        let stored: Ends = stored.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let news = {
            let mut ends = self.0.ends.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            ends.extend(stored.iter().map(|(id, until)| (id.clone(), *until)));
            forget(&mut ends, Utc::now());
            ends.keys().any(|id| !stored.contains_key(id)).then(|| json!(*ends).to_string())
        };
        match news {
            Some(text) => self.0.store.put_setting(KEY, &text).await,
            None => Ok(()),
        }
    }
}

impl Visit {
    /// Whether the viewer has signed out.
    pub fn is_over(&self) -> bool {
        self.signed_out.contains(&self.id)
    }
}

fn forget(ends: &mut Ends, now: DateTime<Utc>) {
    ends.retain(|_, until| *until > now);
    let mut kept: Vec<DateTime<Utc>> = ends.values().copied().collect();
    if let Some(surplus) = kept.len().checked_sub(MOST).filter(|surplus| *surplus > 0) {
        kept.sort();
        ends.retain(|_, until| *until >= kept[surplus]);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn what_ended_by_itself_is_forgotten_and_of_too_many_those_that_end_first() {
        let now = Utc::now();
        let mut ends: Ends = (-5..MOST as i64 + 10).map(|n| (n.to_string(), now + TimeDelta::seconds(n))).collect();
        forget(&mut ends, now);
        assert_eq!(ends.len(), MOST);
        assert!(!ends.contains_key("9") && ends.contains_key("10") && ends.contains_key("2009"));
    }
}
