//! Coming back, without a database: two hubs stand for two instances, and what the change stream would tell is said here.

mod journey;

use serde_json::Value;

use super::state::{LOG_LENGTH, REMEMBERED_ENDS};
use super::*;
use crate::call::Status;
use crate::viewer::Scope;

fn hub() -> Hub {
    Hub::new(Arc::default())
}

fn admin() -> Viewer {
    Viewer { id: "admin".into(), scope: Scope::All, until: None }
}

fn agent(extension: &str) -> Viewer {
    Viewer { id: extension.into(), scope: Scope::Extensions(vec![extension.into()]), until: None }
}

fn call(id: &str, rev: i64, status: Status) -> Call {
    Call { rev, status, ..Call::new(id.into(), format!("session of {id}"), DateTime::UNIX_EPOCH) }
}

fn rings(id: &str, rev: i64) -> Call {
    call(id, rev, Status::Ringing)
}

fn ended(id: &str, rev: i64) -> Call {
    let mut call = call(id, rev, Status::Ended);
    call.facts.over = true;
    call
}

/// The change stream tells that a call got this `rev`.
fn echo(hub: &Hub, call: Call, at: u64) {
    let (id, rev) = (call.id.clone(), if call.is_over() { None } else { Some(call.rev) });
    hub.publish(call, None);
    hub.acknowledge(&id, rev, at);
}

/// What a viewer reads: the data of each event, and the last id.
fn read(bytes: &[u8]) -> (Vec<Value>, Option<String>) {
    let text = std::str::from_utf8(bytes).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let id = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back();
    (data.map(|data| serde_json::from_str(data).unwrap()).collect(), id.map(str::to_owned))
}

/// Opens a stream: whether it resumes, and what is told then, each as its kind, call and `rev`.
fn open(hub: &Hub, viewer: Viewer, id: &str) -> (bool, Vec<String>) {
    let (_, frames) = hub.open(viewer, EventNames::Typed, Some(id)).unwrap();
    let (events, _) = read(&frames.concat());
    let told = |event: &Value| format!("{} {} {}", event["type"], event["call"]["id"], event["call"]["rev"]);
    let told = events[1..].iter().map(|event| told(event).replace('"', "")).collect();
    (events[0]["resumed"] == true, told)
}

/// The id of somebody who has been told everything here.
fn id_of(hub: &Hub) -> String {
    hub.read().id()
}

#[test]
fn who_comes_from_another_instance_is_told_what_changed_since() {
    let (here, there) = (hub(), hub());
    for hub in [&here, &there] {
        hub.set_watermark_source(5);
        echo(hub, rings("changes", 1), 10);
        echo(hub, rings("ends", 1), 11);
        echo(hub, rings("stays", 1), 12);
        echo(hub, rings("last", 1), 20);
    }
    let id = id_of(&here);
    echo(&there, call("changes", 2, Status::Connected), 30);
    echo(&there, ended("ends", 2), 31);
    there.publish(rings("no echo yet", 1), None);
    let (resumed, told) = open(&there, admin(), &id);
    assert!(resumed);
    // Several changes may share a time, so those at the mark itself are told again.
    assert_eq!(told, ["call last 1", "call_updated changes 2", "call_ended ends 2", "call no echo yet 1"]);
}

#[test]
fn a_mark_from_before_the_change_stream_was_followed_is_not_enough() {
    let (here, there) = (hub(), hub());
    here.set_watermark_source(5);
    echo(&here, rings("a", 1), 10);
    let id = id_of(&here);
    echo(&there, rings("a", 1), 10);
    assert!(!open(&there, admin(), &id).0, "nothing was covered there");
    there.set_watermark_source(11);
    assert!(!open(&there, admin(), &id).0, "what happened between 10 and 11 is not known there");
    echo(&here, rings("b", 1), 12);
    echo(&there, rings("b", 1), 12);
    assert!(open(&there, admin(), &id_of(&here)).0);
    there.clear_watermark_source();
    assert!(!open(&there, admin(), &id_of(&here)).0, "the change stream is lost");
    assert!(open(&there, admin(), &id_of(&there)).0, "the log still holds everything");
}

#[test]
fn who_breaks_off_while_they_start_over_starts_over_again() {
    let (here, there) = (hub(), hub());
    here.publish(rings("known here only", 1), None);
    let (_, frames) = there.open(admin(), EventNames::Typed, Some(&id_of(&here))).unwrap();
    let bytes = frames.concat();
    let connected = bytes.windows(2).position(|two| two == b"\n\n").unwrap();
    let position = read(&bytes[..connected]).1.unwrap();
    assert!(!open(&here, admin(), &position).0, "they dropped that call, and it would not be told again");
}

#[test]
fn without_a_change_stream_only_the_same_run_resumes() {
    let (here, there) = (hub(), hub());
    for hub in [&here, &there] {
        hub.publish(rings("a", 1), None);
    }
    assert_eq!(id_of(&here).matches('-').count(), 1);
    assert!(open(&here, admin(), &id_of(&here)).0);
    assert!(!open(&there, admin(), &id_of(&here)).0);
}

#[test]
fn the_mark_follows_what_was_told_and_never_leads() {
    let hub = hub();
    hub.set_watermark_source(5);
    let (mut cursor, _) = hub.open(admin(), EventNames::Typed, None).unwrap();
    hub.publish(rings("a", 1), None);
    let mut told = None;
    hub.pending_frames([&mut cursor].into_iter(), &mut FrameCache::default(), |_, frames| told = read(&frames).1);
    let watermark = |id: Option<String>| event_id::EventId::parse(&id.unwrap()).unwrap().watermark;
    assert_eq!(watermark(told), Some(5), "a call's own frame cannot know the time of its echo");
    hub.acknowledge("a", Some(1), 10);
    assert_eq!(watermark(read(&hub.heartbeat().of(&cursor)).1), Some(10));
    hub.publish(rings("b", 1), None);
    assert_eq!(read(&hub.heartbeat().of(&cursor)).1, None, "there is something to be told first");
}

#[test]
fn the_echo_of_an_older_change_confirms_no_newer_one() {
    let hub = hub();
    hub.set_watermark_source(5);
    hub.publish(rings("a", 2), None);
    hub.acknowledge("a", Some(1), 10);
    hub.acknowledge("b", Some(1), 20);
    let id = id_of(&hub);
    let elsewhere = format!("elsewhere-1-{}", id.rsplit('-').next().unwrap());
    assert_eq!(open(&hub, admin(), &elsewhere), (true, vec!["call a 2".to_owned()]));
    hub.acknowledge("a", Some(2), 15);
    assert_eq!(open(&hub, admin(), &elsewhere), (true, vec![]));
}

#[test]
fn ends_that_are_forgotten_make_older_marks_useless() {
    let hub = hub();
    hub.set_watermark_source(1);
    for n in 0..=REMEMBERED_ENDS as u64 {
        let id = n.to_string();
        hub.publish(rings(&id, 1), None);
        echo(&hub, ended(&id, 2), 10 + n);
    }
    assert!(!open(&hub, admin(), "elsewhere-1-9").0, "the end at 10 is forgotten");
    assert!(hub.read().changed_since(9).is_none());
    assert_eq!(hub.read().changed_since(10).map(|changes| changes.len()), Some(REMEMBERED_ENDS));
    assert!(!open(&hub, admin(), "elsewhere-1-a").0, "so many are not told one by one");
    let newest = 10 + REMEMBERED_ENDS as u64 - LOG_LENGTH as u64;
    let (resumed, told) = open(&hub, admin(), &format!("elsewhere-1-{:x}", newest + 1));
    assert!(resumed && told.len() == LOG_LENGTH, "{}", told.len());
    assert!(!open(&hub, admin(), &format!("elsewhere-1-{newest:x}")).0);
    // Nobody knows which call this was.
    hub.acknowledge("never seen", None, 100_000);
    assert!(!open(&hub, admin(), "elsewhere-1-186").0);
}

#[test]
fn a_session_is_new_where_nothing_is_known_of_it_and_nothing_can_have_been_missed() {
    let hub = hub();
    let at = |seconds| DateTime::from_timestamp_secs(seconds).unwrap();
    let is_new = |name: &str, seconds| hub.is_new(&format!("session of {name}"), at(seconds));
    assert!(!is_new("a", 2_000), "another instance may have begun it");
    hub.set_watermark_source(1_000 << 32 | 7);
    assert!(is_new("a", 2_000));
    assert!(!is_new("a", 1_001), "clocks differ, and it may have been over before");
    let mut linked = rings("a", 1);
    linked.facts.linked.push("session of b".into());
    hub.publish(linked.clone(), None);
    assert!(!is_new("a", 2_000) && !is_new("b", 2_000));
    hub.publish(Call { rev: 2, status: Status::Ended, ..linked }, None);
    hub.acknowledge("a", None, 3_000 << 32);
    assert!(!is_new("a", 2_000) && !is_new("b", 2_000), "it is over");
    for n in 0..REMEMBERED_ENDS as u64 {
        hub.publish(ended(&n.to_string(), 2), None);
    }
    assert!(!is_new("b", 3_001), "that end is remembered no longer");
    assert!(is_new("b", 3_002));
    hub.clear_watermark_source();
    assert!(!is_new("b", 3_002));
}

#[test]
fn a_session_that_had_two_calls_is_remembered_for_the_second_one() {
    let hub = hub();
    let of_one_session = |call: Call| Call { session_id: "repeated".into(), ..call };
    for id in ["first", "second"] {
        hub.publish(of_one_session(rings(id, 1)), None);
        assert!(!hub.has_ended("repeated"), "{id} goes on");
        hub.publish(of_one_session(ended(id, 2)), None);
        assert!(hub.has_ended("repeated") && hub.call_of_session("repeated").is_none());
    }
    // An end that is told again while another call of that session goes on.
    hub.publish(of_one_session(rings("third", 1)), None);
    hub.publish(of_one_session(ended("second", 3)), None);
    assert_eq!(hub.call_of_session("repeated").map(|call| call.id.clone()).as_deref(), Some("third"));
    for n in 0..REMEMBERED_ENDS as u64 {
        hub.publish(ended(&n.to_string(), 2), None);
    }
    assert!(!hub.has_ended("repeated"), "it goes on, whatever is forgotten");
    hub.publish(of_one_session(ended("third", 2)), None);
    assert!(hub.has_ended("repeated"));
}

#[test]
fn who_saw_a_call_that_is_not_stored_yet_begins_anew_elsewhere() {
    let (here, there) = (hub(), hub());
    for hub in [&here, &there] {
        hub.set_watermark_source(5);
        echo(hub, rings("before", 1), 10);
    }
    // The store is slow, and each takes its own notification of one session in.
    here.publish_from(Origin::Memory, rings("shown here", 1), None);
    there.publish_from(Origin::Memory, rings("shown there", 1), None);
    assert!(!open(&there, admin(), &id_of(&here)).0, "nobody would tell them that what was shown here is over");
    assert!(open(&here, admin(), &id_of(&here)).0, "here it is told");
    // The store takes one of them, and the other is over.
    for hub in [&here, &there] {
        echo(hub, rings("shown there", 2), 20);
    }
    assert!(!open(&there, admin(), &id_of(&here)).0, "its end is still to be told here");
    assert!(open(&here, admin(), &id_of(&there)).0, "what was shown there is stored");
    here.publish(ended("shown here", 2), None);
    let (resumed, told) = open(&there, admin(), &id_of(&here));
    assert!(resumed && told == ["call shown there 2"], "{told:?}");
}

#[test]
fn a_call_that_is_ahead_of_the_store_is_not_stored_before_the_store_catches_up() {
    let (here, there) = (hub(), hub());
    for hub in [&here, &there] {
        hub.set_watermark_source(5);
        echo(hub, rings("a", 1), 10);
    }
    here.publish_from(Origin::Memory, call("a", 2, Status::Connected), None);
    echo(&here, rings("a", 1), 11);
    assert!(!open(&there, admin(), &id_of(&here)).0);
    echo(&here, rings("a", 2), 12);
    assert!(!open(&there, admin(), &id_of(&here)).0, "the same rev, and not the same");
    echo(&here, call("a", 2, Status::Connected), 13);
    assert!(open(&there, admin(), &id_of(&here)).0);
    here.publish_from(Origin::Memory, ended("a", 3), None);
    here.publish_from(Origin::Memory, rings("a", 2), None);
    assert!(open(&there, admin(), &id_of(&here)).0, "what is over and told is nobody's ghost");
}

#[test]
fn an_agent_is_told_of_their_own_calls_only_and_of_what_they_dismissed() {
    let hub = hub();
    hub.set_watermark_source(1);
    let of = |id: &str, extension: &str| Call { extension_ids: vec![extension.into()], ..rings(id, 1) };
    hub.publish(of("mine", "101"), None);
    hub.publish(of("other", "102"), None);
    let mut dismissed = of("dismissed", "101");
    dismissed.facts.dismissed_by.push("101".into());
    hub.publish(dismissed, None);
    hub.publish(Call { extension_ids: vec!["101".into()], ..call("never shown", 1, Status::Setup) }, None);
    let (_, told) = open(&hub, agent("101"), "elsewhere-1-5");
    assert_eq!(told, ["call mine 1", "call_ended dismissed 1"]);
}

#[test]
fn admins_who_are_behind_by_the_same_share_the_bytes_unless_somebody_dismissed_a_call() {
    let hub = hub();
    let viewer = |id: &str| Viewer { id: id.into(), ..admin() };
    let mut cursors = ["one", "other"].map(|id| hub.open(viewer(id), EventNames::Typed, None).unwrap().0);
    let mut news = |hub: &Hub| {
        let mut all = Vec::new();
        hub.pending_frames(cursors.iter_mut(), &mut FrameCache::default(), |_, frames| all.push(frames));
        all
    };
    hub.publish(rings("a", 1), None);
    hub.publish(rings("b", 1), None);
    let told = news(&hub);
    assert!(read(&told[0]).0.len() == 2 && std::ptr::eq(&raw const *told[0], &raw const *told[1]));
    hub.resync();
    let told = news(&hub);
    assert!(read(&told[0]).0.len() == 3 && std::ptr::eq(&raw const *told[0], &raw const *told[1]));
    hub.publish(rings("a", 2), None);
    hub.dismiss("a", "one");
    hub.publish(rings("b", 2), None);
    let kinds = |told: &Bytes| read(told).0.iter().map(|event| event["type"].to_string()).collect::<Vec<_>>();
    let told = news(&hub);
    assert_eq!(kinds(&told[0]), [r#""call_updated""#, r#""call_ended""#]);
    assert_eq!(kinds(&told[1]), [r#""call_updated""#, r#""call_updated""#]);
}

#[test]
fn a_call_that_left_the_screen_before_it_ended_ends_all_the_same() {
    let hub = hub();
    let (mut cursor, _) = hub.open(admin(), EventNames::Typed, None).unwrap();
    let mut told = |call: Call| {
        hub.publish(call, None);
        let mut events = Vec::new();
        hub.pending_frames([&mut cursor].into_iter(), &mut FrameCache::default(), |_, frames| {
            events.extend(read(&frames).0)
        });
        events.iter().map(|event| format!("{} {}", event["type"], event["call"]["status"]).replace('"', "")).collect()
    };
    let mut history: Vec<Vec<String>> = vec![told(rings("a", 1)), told(call("a", 2, Status::Setup))];
    history.extend([told(call("a", 3, Status::Setup)), told(ended("a", 4)), told(ended("a", 5))]);
    history.extend([told(call("b", 1, Status::Setup)), told(ended("b", 2))]);
    let said: Vec<String> = history.concat();
    assert_eq!(said, ["call ringing", "call_ended setup", "call_ended ended", "call_ended ended"], "and is amended");
}

#[test]
fn admins_who_start_over_share_one_copy_whenever_they_fell_behind() {
    let hub = hub();
    let open = |id: &str| hub.open(Viewer { id: id.into(), ..admin() }, EventNames::Typed, None).unwrap();
    let mut dismissed = rings("put away", 1);
    dismissed.facts.dismissed_by.push("dismisser".into());
    hub.publish(dismissed, None);
    let (mut early, _) = open("early");
    let (mut dismisser, _) = open("dismisser");
    hub.publish(rings("a", 1), None);
    let (mut late, _) = open("late");
    let (mut steady, _) = open("steady");
    let mut told = FrameCache::default();
    let mut news = |cursor: &mut Cursor| {
        let mut frames = Bytes::new();
        hub.pending_frames([cursor].into_iter(), &mut told, |_, told| frames = told);
        frames
    };
    for rev in 2..=LOG_LENGTH as i64 + 1 {
        hub.publish(rings("a", rev), None);
    }
    assert_eq!(read(&news(&mut steady)).0.len(), LOG_LENGTH, "so far the log reaches");
    hub.publish(rings("a", 1_000), None);
    let [early, late, dismisser] = [&mut early, &mut late, &mut dismisser].map(news);
    assert_eq!(read(&early).0.iter().map(|event| &event["type"]).collect::<Vec<_>>(), ["resync", "call", "call"]);
    assert!(std::ptr::eq(&raw const *early, &raw const *late));
    assert_eq!(read(&dismisser).0.len(), 2, "what they put away stays away");
    let (_, [own, shared]) = open("comes now");
    assert_eq!(read(&own).0[0]["active"], read(&early).0[0]["active"]);
    assert!(early.as_ptr_range().contains(&shared.as_ptr()) && early.ends_with(&shared));
}

#[test]
fn what_is_wrong_is_told_until_it_is_over() {
    let hub = hub();
    let told = |hub: &Hub| open(hub, admin(), "").1.len();
    assert_eq!(told(&hub), 0);
    hub.begin_incident(Incident::StoreLost);
    hub.begin_incident(Incident::ChangesDelayed);
    assert_eq!(told(&hub), 2);
    hub.end_incident(Incident::StoreLost);
    assert_eq!(told(&hub), 1);
    hub.end_incident(Incident::ChangesDelayed);
    assert_eq!(told(&hub), 0);
}
