//! Other servers, for comparison; each is the main function of a process.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use futures_util::{Stream, TryStreamExt, stream};
use mongodb::bson::{Document, doc};
use rusqlite::Connection;
use tokio::sync::broadcast;
use tokio::time::{MissedTickBehavior, interval};

use crate::publisher::EVENT;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\nconnection: close\r\n\r\n";
/// The guide's pace.
const POLL: Duration = Duration::from_secs(2);

/// Two threads that only write.
pub fn floor() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    println!("{}", listener.local_addr().expect("a bound socket has an address"));
    let halves: Arc<[Half; 2]> = Arc::new([Half::start(), Half::start()]);
    for (number, socket) in listener.incoming().map_while(Result::ok).enumerate() {
        let halves = halves.clone();
        // The publisher says nothing for a while after it has connected, and nobody else is to wait for that.
        thread::spawn(move || welcome(socket, &halves[..], number % 2));
    }
}

fn welcome(socket: TcpStream, halves: &[Half], which: usize) {
    let mut request = BufReader::new(socket);
    let mut line = String::new();
    request.read_line(&mut line).expect("whoever connects asks for something");
    if line.starts_with("POST") {
        return take_posts(request, halves);
    }
    while line.len() > 2 {
        line.clear();
        request.read_line(&mut line).expect("a head ends");
    }
    let mut socket = request.into_inner();
    let _ = socket.set_nodelay(true);
    socket.write_all(HEAD).expect("a new socket takes a head");
    socket.set_nonblocking(true).expect("a socket takes options");
    halves[which].sockets.lock().expect("no thread panics").push(socket);
}

type Frame = Arc<[u8]>;

/// One thread and its sockets.
struct Half {
    frames: mpsc::Sender<Frame>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Half {
    fn start() -> Self {
        let (frames, told) = mpsc::channel::<Frame>();
        let sockets = Arc::new(Mutex::new(Vec::<TcpStream>::new()));
        let mine = sockets.clone();
        thread::spawn(move || {
            for frame in told {
                for mut socket in mine.lock().expect("no thread panics").iter() {
                    let _ = socket.write(&frame);
                }
            }
        });
        Self { frames, sockets }
    }
}

/// The rest of a connection whose first line was read.
fn take_posts(mut requests: BufReader<TcpStream>, halves: &[Half]) {
    let mut line = String::new();
    let mut length = 0;
    while requests.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length is a number");
        }
        if line == "\r\n" {
            let mut body = vec![0; length];
            requests.read_exact(&mut body).expect("the whole body");
            let frame: Frame = body.into();
            halves.iter().for_each(|half| half.frames.send(frame.clone()).expect("the threads live"));
            requests.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("the publisher reads");
        }
        line.clear();
    }
}

/// axum's own server-sent events over tokio's broadcast channel.
#[tokio::main]
pub async fn axum() {
    let (sender, _) = broadcast::channel::<Told>(1_024);
    let router = Router::new().route("/stream", get(follow)).route("/publish", post(tell)).with_state(sender);
    serve(router).await;
}

/// An event's number, name and data.
type Told = (u64, String, String);

async fn follow(State(sender): State<broadcast::Sender<Told>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold(sender.subscribe(), |mut events| async {
        loop {
            match events.recv().await {
                Ok((number, name, data)) => {
                    let event = Event::default().id(format!("19c0ffee000-{number}")).event(name).data(data);
                    return Some((Ok(event), events));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn tell(State(sender): State<broadcast::Sender<Told>>, headers: HeaderMap, data: String) {
    let _ = sender.send((number(), name(&headers), data));
}

/// The next event's.
fn number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

fn name(headers: &HeaderMap) -> String {
    String::from_utf8_lossy(headers[EVENT].as_bytes()).into_owned()
}

async fn serve(router: Router) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    println!("{}", listener.local_addr().expect("a bound socket has an address"));
    let listener = listener.tap_io(|socket| socket.set_nodelay(true).expect("a socket takes options"));
    axum::serve(listener, router).await.expect("the listener works");
}

/// The guide's design: a task a viewer, which asks the database every two seconds for what is newer than it knows.
#[tokio::main]
pub async fn poll() {
    let table = Table::open().await;
    let router = Router::new().route("/stream", get(ask_again)).route("/publish", post(insert)).with_state(table);
    serve(router).await;
}

/// Where events stand: MongoDB where there is one, SQLite in memory otherwise.
#[derive(Clone)]
enum Table {
    Mongo(mongodb::Collection<Document>),
    Sqlite(Arc<Mutex<Connection>>),
}

impl Table {
    async fn open() -> Self {
        if let Ok(uri) = std::env::var("MONGODB_TEST_URI") {
            let client = mongodb::Client::with_uri_str(uri).await.expect("MONGODB_TEST_URI is a connection string");
            let table = client.database("caller_popup_bench").collection("polled");
            table.drop().await.expect("MongoDB answers");
            table
                .create_index(mongodb::IndexModel::builder().keys(doc! { "number": 1 }).build())
                .await
                .expect("an index");
            return Self::Mongo(table);
        }
        let connection = Connection::open_in_memory().expect("SQLite needs only memory");
        connection
            .execute_batch("CREATE TABLE events (number INTEGER PRIMARY KEY, name TEXT, data TEXT)")
            .expect("a table");
        Self::Sqlite(Arc::new(Mutex::new(connection)))
    }

    async fn insert(&self, name: String, data: String) {
        let number = number() as i64;
        match self {
            Self::Mongo(table) => {
                table.insert_one(doc! { "number": number, "name": name, "data": data }).await.expect("MongoDB answers");
            }
            Self::Sqlite(connection) => {
                let connection = connection.lock().expect("no thread panics");
                connection.execute("INSERT INTO events VALUES (?1, ?2, ?3)", (number, name, data)).expect("a row");
            }
        }
    }

    async fn since(&self, number: i64) -> Vec<Told> {
        match self {
            Self::Mongo(table) => {
                let newer = table.find(doc! { "number": { "$gt": number } }).sort(doc! { "number": 1 });
                let rows: Vec<Document> = newer.await.expect("MongoDB answers").try_collect().await.expect("all rows");
                let text = |row: &Document, field| row.get_str(field).map(str::to_owned).ok();
                let row =
                    |row: &Document| Some((row.get_i64("number").ok()? as u64, text(row, "name")?, text(row, "data")?));
                rows.iter().filter_map(row).collect()
            }
            Self::Sqlite(connection) => {
                let connection = connection.clone();
                let read = move || {
                    let connection = connection.lock().expect("no thread panics");
                    let mut newer = connection.prepare_cached("SELECT * FROM events WHERE number > ?1")?;
                    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?, row.get(2)?));
                    newer.query_map([number], row)?.collect::<rusqlite::Result<_>>()
                };
                tokio::task::spawn_blocking(read).await.expect("reading does not panic").expect("all rows")
            }
        }
    }
}

async fn insert(State(table): State<Table>, headers: HeaderMap, data: String) {
    table.insert(name(&headers), data).await;
}

async fn ask_again(State(table): State<Table>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut clock = interval(POLL);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let rounds = stream::unfold((table, clock, 0), |(table, mut clock, known)| async move {
        clock.tick().await;
        let rows = table.since(known).await;
        let newest = rows.last().map_or(known, |(number, ..)| *number as i64);
        let events = rows
            .into_iter()
            .map(|(number, name, data)| Ok(Event::default().id(number.to_string()).event(name).data(data)));
        // A first word at once, and the guide's heartbeat when there is nothing else.
        let events: Vec<_> =
            if newest == known { vec![Ok(Event::default().event("heartbeat").data("{}"))] } else { events.collect() };
        Some((stream::iter(events), (table, clock, newest)))
    });
    Sse::new(futures_util::StreamExt::flatten(rounds))
}
