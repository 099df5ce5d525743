//! Readers who go from instance to instance while a database changes, in random order.

use std::collections::HashMap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// A reader who keeps the contract: the highest `rev` of a call wins, and who starts over drops what is not active.
#[derive(Default)]
struct Reader {
    calls: HashMap<String, (i64, bool)>,
    id: String,
}

impl Reader {
    fn hear(&mut self, bytes: &[u8]) {
        let (events, id) = read(bytes);
        self.id = id.unwrap_or(std::mem::take(&mut self.id));
        for event in events {
            if event["resumed"] == false || event["type"] == "resync" {
                let active: Vec<_> =
                    event["active"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
                self.calls.retain(|id, (_, over)| *over || active.contains(&&**id));
            }
            let Some(id) = event["call"]["id"].as_str() else { continue };
            let (rev, over) = (event["call"]["rev"].as_i64().unwrap(), event["type"] == "call_ended");
            let known = self.calls.entry(id.into()).or_default();
            *known = (*known).max((rev, over));
        }
    }

    fn live(&self) -> Vec<(&str, i64)> {
        let live = self.calls.iter().filter(|(_, (_, over))| !over);
        let mut live: Vec<_> = live.map(|(id, (rev, _))| (&**id, *rev)).collect();
        live.sort();
        live
    }
}

/// What a change stream tells: an insert carries its document, an update the one of now, a deletion none.
#[derive(Default)]
struct Database {
    calls: HashMap<String, Call>,
    changes: Vec<Call>,
}

impl Database {
    fn change(&mut self, dice: &mut SmallRng) -> Option<Call> {
        let id = dice.random_range(0..12).to_string();
        let next = match self.calls.get(&id) {
            None => rings(&id, 1),
            Some(call) if call.is_over() => return None,
            Some(call) if dice.random_bool(0.3) => ended(&id, call.rev + 1),
            Some(call) => rings(&id, call.rev + 1),
        };
        self.calls.insert(id, next.clone());
        self.changes.push(next.clone());
        Some(next)
    }

    /// Takes the change with this number in, if there is one.
    fn echo(&self, number: &mut usize, hub: &Hub) {
        let Some(change) = self.changes.get(*number) else { return };
        *number += 1;
        let now = &self.calls[&change.id];
        let looked_up =
            if change.rev == 1 || change.is_over() { Some(change) } else { Some(now).filter(|now| !now.is_over()) };
        if let Some(seen) = looked_up {
            hub.publish(seen.clone(), None);
            hub.acknowledge(&change.id, (!change.is_over()).then_some(change.rev), 10 + *number as u64);
        }
    }

    fn live(&self) -> Vec<(&str, i64)> {
        let mut live: Vec<_> =
            self.calls.values().filter(|call| !call.is_over()).map(|call| (&*call.id, call.rev)).collect();
        live.sort();
        live
    }
}

/// Two instances that take the same changes in, each at its own pace, and a viewer who goes from one to the other and
/// back at any moment, also with news unread.
#[test]
fn whoever_goes_from_instance_to_instance_ends_with_what_the_store_has() {
    for seed in 0..200 {
        let mut dice = SmallRng::seed_from_u64(seed);
        let hubs = [hub(), hub()];
        hubs.iter().for_each(|hub| hub.set_watermark_source(1));
        let (mut database, mut echoed, mut reader) = (Database::default(), [0; 2], Reader::default());
        let (mut cursor, frames) = hubs[0].open(admin(), EventNames::Typed, None).unwrap();
        reader.hear(&frames.concat());
        let mut at = 0;
        for _ in 0..200 {
            let some = dice.random_range(0..2);
            match dice.random_range(0..10) {
                0..3 => {
                    // Whoever wrote it tells at once, or the change stream is quicker.
                    let told = database.change(&mut dice).filter(|_| dice.random_bool(0.7));
                    told.into_iter().for_each(|call| hubs[some].publish(call, None));
                }
                3..6 => database.echo(&mut echoed[some], &hubs[some]),
                6..8 => hubs[at].pending_frames([&mut cursor].into_iter(), &mut FrameCache::default(), |_, frames| {
                    reader.hear(&frames)
                }),
                8 => reader.hear(&hubs[at].heartbeat().of(&cursor)),
                _ => {
                    at = some;
                    let (next, frames) = hubs[at].open(admin(), EventNames::Typed, Some(&reader.id)).unwrap();
                    let bytes = frames.concat();
                    assert_eq!(read(&bytes).0[0]["resumed"], true, "nothing is unknown to anyone here");
                    cursor = next;
                    reader.hear(&bytes);
                }
            }
        }
        for (hub, echoed) in hubs.iter().zip(&mut echoed) {
            (0..database.changes.len()).for_each(|_| database.echo(echoed, hub));
        }
        hubs[at]
            .pending_frames([&mut cursor].into_iter(), &mut FrameCache::default(), |_, frames| reader.hear(&frames));
        assert_eq!(reader.live(), database.live(), "seed {seed}");
    }
}
