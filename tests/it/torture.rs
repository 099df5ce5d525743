//! Viewers whose lines are cut at random and who come back to any instance, while calls come in through all of them, the
//! primary steps down, the oplog is overrun behind an instance that stands still, and an instance is restarted. In the end
//! everyone knows what the store knows, and nobody missed anything without being told so. A line tells each change once;
//! who goes on elsewhere may be told one again, and if that is not the same to the letter, because an instance showed it
//! from memory, a newer one follows. `CHAOS=1` plays the full length.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::support::cluster::Cluster;
use crate::support::{ADMIN_TOKEN, Frame, Setup, Store, TestApp, Viewer, eventually, flat, token, within};

/// A load balancer gives up on an instance that does not answer, and tries another.
const UNANSWERED: Duration = Duration::from_secs(1);
/// RingCentral waits so long for an answer and delivers again.
const UNDELIVERED: Duration = Duration::from_secs(3);
/// What everyone needs to agree once nothing happens any more: the poll, a lost change stream, a slow machine.
const SETTLED: Duration = Duration::from_secs(60);
/// One that stays on the line, of so many.
const STAYS: u32 = 12;
/// One viewer of so many is the agent of extension 101, the others are admins.
const AGENTS: u64 = 6;
const ADMIN: &str = ADMIN_TOKEN;

#[tokio::test]
async fn viewers_who_are_cut_and_sent_elsewhere_miss_nothing() {
    let long = std::env::var("CHAOS").is_ok_and(|it| it == "1");
    let (viewers, callers, cuts, nodes) = if long { (24, 24, 600, 3) } else { (6, 4, 20, 1) };
    let cluster = Cluster::forgetful(nodes).await;
    let uri = cluster.uri();
    let mut first = Setup::on(Store::Sqlite)
        .with("MONGODB_URI", &uri)
        .with("MONGODB_DATABASE", "torture")
        .with("POLL_INTERVAL_MS", "500")
        .with("API_TOKENS", ADMIN)
        .with("JWT_SECRET", token::SECRET)
        .start()
        .await;
    let access = [("POLL_INTERVAL_MS", "500"), ("API_TOKENS", ADMIN), ("JWT_SECRET", token::SECRET)];
    let mut second = first.second_instance_with(&access).await;
    (first.client, second.client) = (client_of(ADMIN), client_of(ADMIN));
    for app in [&first, &second] {
        until_changes(app, "at_once").await;
    }

    // Two that stay on the line of the agent's extension, one of them to be put away.
    let put_away = "101-put-away";
    for session in ["101-kept", put_away] {
        first.ring_at("101", session).await;
    }
    let world = Arc::new(World {
        admin: first.client.clone(),
        agent: client_of(&token::agent("agent", &["101"])),
        addresses: [first.address.clone(), second.address.clone()],
        rang: Mutex::default(),
        cuts: AtomicUsize::new(0),
    });
    let (stop, stopped) = watch::channel(false);
    let watching: Vec<_> =
        (0..viewers).map(|seed| tokio::spawn(watch_calls(world.clone(), stopped.clone(), seed))).collect();
    let (hang_up, hung_up) = watch::channel(false);
    let calling: Vec<_> =
        (0..callers).map(|number| tokio::spawn(call(world.clone(), hung_up.clone(), number))).collect();

    // A quarter of the cuts each: while all is well, after the oplog was lost, after the primary was, after a restart.
    world.until_cuts(cuts / 4).await;
    let mut steady = second.viewer().await;
    second.signal("STOP").await;
    cluster.overrun_oplog().await;
    second.signal("CONT").await;
    until_changes(&second, "polled").await;
    let lost = |frame: &Frame| frame.kind() == "error" && frame.data["error"]["code"] == "changes_delayed";
    steady.find("word of the loss", lost).await;
    steady.wait_for("resync").await;
    until_changes(&second, "at_once").await;
    let after_overrun = world.cuts.load(Ordering::Relaxed);
    world.until_cuts(after_overrun + cuts / 4).await;
    let step_downs = if long { 3 } else { 1 };
    for _ in 0..step_downs {
        cluster.step_down().await;
        let after = world.cuts.load(Ordering::Relaxed);
        world.until_cuts(after + cuts / 4 / step_downs).await;
    }

    let id = eventually("the call to be put away", async || {
        let call = second.active_calls().await.into_iter().find(|call| call["session_id"] == put_away)?;
        Some(call["id"].as_str().unwrap().to_owned())
    })
    .await;
    let dismiss = format!("http://{}/api/ringcentral/calls/{id}/dismiss", second.address);
    eventually("it is put away", async || {
        world.agent.post(&dismiss).send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
    })
    .await;

    // A new version is rolled out.
    first.signal("TERM").await;
    assert!(first.exit().await.success());
    first.restart_at_the_same_address().await;
    let after = world.cuts.load(Ordering::Relaxed);
    world.until_cuts(after + cuts / 4).await;

    hang_up.send_replace(true);
    join_all(calling).await.into_iter().for_each(Result::unwrap);
    stop.send_replace(true);
    let mut watchers: Vec<Watcher> = join_all(watching).await.into_iter().map(Result::unwrap).collect();
    let database = cluster.client().await.database("torture");
    let active = database.collection::<Document>("active_calls");
    // Facts may still be on their way from an instance's own disk.
    let (stored, agents) = within(SETTLED, "both instances know what the store knows", async || {
        let (all, agents) = (stored(&active, doc! {}).await?, stored(&active, of_the_agent(&database).await?).await?);
        for app in [&first, &second] {
            let (by_admin, by_agent) = (listed(app, &world.admin).await?, listed(app, &world.agent).await?);
            (by_admin == all && by_agent == agents).then_some(())?;
        }
        Some((all, agents))
    })
    .await;
    assert!(stored.contains_key(&id) && !agents.contains_key(&id), "the agent put it away, and nobody else did");
    assert!(!agents.is_empty(), "the agent has the other one");
    let rang = world.rang.lock().unwrap().clone();
    for (number, watcher) in watchers.iter_mut().enumerate() {
        let stored = if watcher.is_agent { &agents } else { &stored };
        let settled = timeout(SETTLED, async {
            while watcher.live() != *stored || !watcher.reader.hidden().is_empty() {
                watcher.listen(Duration::from_millis(100)).await;
            }
        });
        let agrees = settled.await.is_ok();
        let (live, hidden) = (watcher.live(), watcher.reader.hidden());
        assert!(agrees, "viewer {number} knows {live:?}, the store {stored:?}; dropped {hidden:?}");
        let missed: Vec<_> = rang
            .iter()
            .filter(|(session, _)| !watcher.is_agent || session.starts_with("101-"))
            .filter(|(session, at)| **at > watcher.unbroken_since && !watcher.seen.contains(*session))
            .collect();
        assert!(missed.is_empty(), "viewer {number} missed {} calls without a word: {missed:?}", missed.len());
    }
    let sum = |what: fn(&Watcher) -> usize| watchers.iter().map(what).sum::<usize>();
    let (resumed, anew, resyncs, troubles) =
        (sum(|w| w.resumed), sum(|w| w.anew), sum(|w| w.resyncs), sum(|w| w.troubles));
    eprintln!(
        "{} calls, {} still active, {} cuts: {resumed} times resumed ({} elsewhere), {anew} times anew; {resyncs} \
         resyncs, {troubles} errors, {} frames told again",
        rang.len(),
        stored.len(),
        world.cuts.load(Ordering::Relaxed),
        sum(|w| w.resumed_elsewhere),
        sum(|w| w.again),
    );
    assert!(sum(|w| w.resumed_elsewhere) > 0, "nobody ever resumed at another instance");
    assert!(resyncs + anew > watchers.len(), "the lost oplog was told to nobody");
}

/// What viewers and callers share.
struct World {
    admin: reqwest::Client,
    agent: reqwest::Client,
    addresses: [String; 2],
    /// When each session was first told to ring.
    rang: Mutex<HashMap<String, Instant>>,
    cuts: AtomicUsize,
}

impl World {
    async fn until_cuts(&self, cuts: usize) {
        let enough = async || (self.cuts.load(Ordering::Relaxed) >= cuts).then_some(());
        within(SETTLED * 2, format!("{cuts} cuts"), enough).await;
    }

    /// Delivers to any instance, again and again until it is taken.
    async fn deliver(&self, notification: &Value, dice: &mut SmallRng) {
        loop {
            let address = &self.addresses[dice.random_range(0..2)];
            let post = self.admin.post(format!("http://{address}/api/webhooks/ringcentral"));
            let answer = post.json(notification).timeout(UNDELIVERED).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
        }
    }
}

/// Calls one after the other: rings, is answered, hangs up, each through any instance.
async fn call(world: Arc<World>, stop: watch::Receiver<bool>, number: u64) {
    let mut dice = SmallRng::seed_from_u64(number);
    for round in 0.. {
        if *stop.borrow() {
            return;
        }
        let extension = if number.is_multiple_of(2) { "101" } else { "102" };
        let session = format!("{extension}-{number}-{round}");
        world.rang.lock().unwrap().insert(session.clone(), Instant::now());
        let stays = dice.random_ratio(1, STAYS);
        for status in ["Ringing", "CallConnected", "Disconnected"] {
            if status != "Disconnected" || !stays {
                let mut body = flat(&session, status, json!({ "phoneNumber": "+14165551234" }));
                body["event"] = format!("/restapi/v1.0/account/~/extension/{extension}/presence").into();
                world.deliver(&body, &mut dice).await;
                sleep(Duration::from_millis(dice.random_range(0..150))).await;
            }
        }
    }
}

/// A viewer who keeps the contract.
#[derive(Default)]
struct Reader {
    /// The highest `rev` of each call, and whether it is off the screen.
    calls: HashMap<String, (i64, bool)>,
    /// What each `rev` of each call was, since they last started over.
    told: HashMap<(String, i64), Value>,
    /// Those told on this line, and whether only to leave the screen: what a viewer dismisses ends under the `rev` it had.
    on_this_line: HashSet<((String, i64), bool)>,
    /// What came under a `rev` that was known already, and was not the same.
    hidden: HashSet<(String, i64)>,
}

impl Reader {
    /// A reader drops what has no higher `rev`, so nothing may hide behind one that was told before.
    fn check(&mut self, call: &Value, over: bool) {
        let what = (call["id"].as_str().unwrap().to_owned(), call["rev"].as_i64().unwrap());
        let leaves = over && call["status"] != "ended";
        assert!(self.on_this_line.insert((what.clone(), leaves)), "one line told it twice: {call}");
        let before = self.told.entry(what.clone()).or_insert_with(|| call.clone());
        // Of two ends the reader needs one.
        if before != call && (before["status"] != "ended" || call["status"] != "ended") {
            self.hidden.insert(what);
        }
    }

    /// What hides behind a `rev` that is still the newest.
    fn hidden(&self) -> Vec<&(String, i64)> {
        self.hidden.iter().filter(|(id, rev)| self.calls[id].0 <= *rev).collect()
    }
}

/// A viewer's whole evening.
struct Watcher {
    is_agent: bool,
    viewer: Option<Viewer>,
    reader: Reader,
    position: Option<String>,
    /// Since then they were told everything, as the service has it.
    unbroken_since: Instant,
    /// Every session they ever heard of.
    seen: HashSet<String>,
    resumed: usize,
    resumed_elsewhere: usize,
    anew: usize,
    resyncs: usize,
    troubles: usize,
    again: usize,
}

/// Watches until told to stop; then the line is open, and no more cut.
async fn watch_calls(world: Arc<World>, stop: watch::Receiver<bool>, seed: u64) -> Watcher {
    let mut dice = SmallRng::seed_from_u64(1_000 + seed);
    let is_agent = seed.is_multiple_of(AGENTS);
    let client = if is_agent { &world.agent } else { &world.admin };
    let mut watcher = Watcher {
        is_agent,
        viewer: None,
        reader: Reader::default(),
        position: None,
        unbroken_since: Instant::now(),
        seen: HashSet::new(),
        resumed: 0,
        resumed_elsewhere: 0,
        anew: 0,
        resyncs: 0,
        troubles: 0,
        again: 0,
    };
    let mut last_at = 0;
    loop {
        let at = dice.random_range(0..2);
        let mut request = client.get(format!("http://{}/api/ringcentral/call-stream", world.addresses[at]));
        // As a browser does it that came back by itself, or as a page does it.
        if let Some(position) = &watcher.position {
            request = match dice.random_bool(0.5) {
                true => request.header("Last-Event-ID", position),
                false => request.query(&[("last_event_id", position)]),
            };
        }
        let last_stay = *stop.borrow();
        let Ok(Ok(answer)) = timeout(UNANSWERED, request.send()).await else {
            // The other one, or this one when it is back.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        watcher.viewer = Some(Viewer::of(answer));
        let resumed = watcher.resumed;
        // Some are cut before they have read everything they are told at first.
        let stay = if dice.random_bool(0.2) { 0..20 } else { 20..1_500 };
        watcher.listen(Duration::from_millis(dice.random_range(stay))).await;
        watcher.resumed_elsewhere += if at == last_at { 0 } else { watcher.resumed - resumed };
        last_at = at;
        if last_stay {
            return watcher;
        }
        watcher.viewer = None;
        world.cuts.fetch_add(1, Ordering::Relaxed);
    }
}

impl Watcher {
    async fn listen(&mut self, time: Duration) {
        let Some(mut viewer) = self.viewer.take() else { return };
        for frame in viewer.listen_for(time).await {
            self.hear(&frame);
        }
        self.position = viewer.position.clone().or(self.position.take());
        self.viewer = Some(viewer);
    }

    fn hear(&mut self, frame: &Frame) {
        match frame.kind() {
            "connected" if frame.data["resumed"] == true => {
                self.resumed += 1;
                self.reader.on_this_line.clear();
            }
            "connected" => {
                self.anew += 1;
                self.start_over(frame);
            }
            "resync" => {
                self.resyncs += 1;
                self.start_over(frame);
            }
            "error" => self.troubles += 1,
            "heartbeat" => {}
            kind => {
                let call = frame.call();
                let (rev, over) = (call["rev"].as_i64().unwrap(), kind == "call_ended");
                self.reader.check(call, over);
                self.seen.insert(call["session_id"].as_str().unwrap().to_owned());
                let known = self.reader.calls.entry(call["id"].as_str().unwrap().to_owned()).or_default();
                self.again += usize::from(rev <= known.0);
                // What leaves this viewer's screen only has the `rev` it had.
                let put_away = over && call["status"] != "ended" && rev == known.0;
                if rev > known.0 || put_away {
                    *known = (rev, over);
                }
            }
        }
    }

    fn start_over(&mut self, frame: &Frame) {
        self.unbroken_since = Instant::now();
        let active: Vec<_> = frame.data["active"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let reader = &mut self.reader;
        (reader.told, reader.on_this_line, reader.hidden) = Default::default();
        reader.calls.retain(|id, (_, over)| *over || active.contains(&&**id));
        // The state is dropped, and what follows is taken whatever its `rev`.
        reader.calls.values_mut().filter(|(_, over)| !over).for_each(|(rev, _)| *rev = 0);
    }

    /// The calls on the screen.
    fn live(&self) -> BTreeMap<String, i64> {
        let live = self.reader.calls.iter().filter(|(_, (_, over))| !over);
        live.map(|(id, (rev, _))| (id.clone(), *rev)).collect()
    }
}

/// Whoever sends this token with every request.
fn client_of(token: &str) -> reqwest::Client {
    let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
    reqwest::Client::builder().default_headers(headers).build().unwrap()
}

/// What is on the agent's screens.
async fn of_the_agent(database: &mongodb::Database) -> Option<Document> {
    let dismissals = database.collection::<Document>("caller_popup_dismissals");
    let dismissed = dismissals.distinct("call", doc! { "viewer": "user-agent" }).await.ok()?;
    let ids: Vec<_> = dismissed.iter().map(|id| ObjectId::parse_str(id.as_str().unwrap()).unwrap()).collect();
    Some(doc! { "extension_ids": "101", "_id": { "$nin": ids } })
}

async fn stored(active: &mongodb::Collection<Document>, which: Document) -> Option<BTreeMap<String, i64>> {
    let found: Vec<_> = active.find(which).await.ok()?.collect().await;
    found
        .into_iter()
        .map(|call| call.ok().map(|it| (it.get_object_id("_id").unwrap().to_hex(), it.get_i64("rev").unwrap())))
        .collect()
}

async fn listed(app: &TestApp, client: &reqwest::Client) -> Option<BTreeMap<String, i64>> {
    let answer = client.get(app.url("/api/ringcentral/active-calls?dismissed=false")).send().await.ok()?;
    let answer: Value = answer.json().await.ok()?;
    let of = |call: &Value| Some((call["id"].as_str()?.to_owned(), call["rev"].as_i64()?));
    answer["calls"].as_array()?.iter().map(of).collect()
}

/// Waits until an instance says that it learns of changes in this way.
async fn until_changes(app: &TestApp, how: &str) {
    eventually(format!("changes are {how}"), async || {
        // One that stood still may have closed an idle connection just when it is used again.
        let health: Value = app.request(Method::GET, "/health/ready").send().await.ok()?.json().await.ok()?;
        (health["changes"] == how).then_some(())
    })
    .await;
}
