//! Caller Popup: shows who is calling on every dashboard the moment RingCentral says a phone rings.
//!
//! # Data flow
//!
//! A notification is read as events, the events change one call in the store, and the changed call is sent to the viewers it
//! concerns:
//!
//! ```text
//! webhook → Notification → App::ingest → Store::apply_to → Hub::publish → stream
//! ```
//!
//! # Modules
//!
//! Dependencies point one way, and this is also the order to read in:
//!
//! ```text
//! call, phone, customer, viewer, metrics  ←  ringcentral, store, hub  ←  app  ←  http  ←  cli
//!             domain                          in,  storage, out        service   HTTP   process
//! ```
//!
//! | module | what it is | what it must not know |
//! |---|---|---|
//! | [`call`] | a call and how events change it | I/O, clocks |
//! | [`phone`], [`customer`] | numbers and customers | where they are stored |
//! | [`viewer`] | who is signed in, and which calls they may read | how they signed in |
//! | [`metrics`] | what operators measure | what it means |
//! | [`secret`] | new secrets, and digests of them | what they protect |
//! | [`fatal_panic`] | ends the process when a part that it needs panics | what the part does |
//! | [`trace`] | spans of requests for OpenTelemetry | where they are sent |
//! | [`ringcentral`] | RingCentral's JSON and API | our store and viewers |
//! | [`store`] | MongoDB and SQLite behind one enum | RingCentral's formats |
//! | [`api`] | what of a call leaves the program | how it is stored |
//! | [`hub`] | the live calls, and the log of changes that viewers read | HTTP |
//! | [`app`] | the service, in parts that each own their lock | BSON, SQL, axum |
//! | [`http`] | routes, authentication, the accept loop, the stream writers | the databases |
//! | [`doctor`] | every step from a ringing phone to the popup, with the cure | viewers |
//! | [`import`] | customers from a CSV file or vCards, in whatever form programs export them | how they are stored |
//! | [`simulator`] | simulated calls, for people and tests | how they are delivered |
//! | [`config`] | settings | everything else |
//! | `cli` (of the binary) | a file for each command; `serve` starts all of the above | how any of it works |
//!
//! # A call arrives
//!
//! 1. [`http`] checks the verification token and reads the body once (`webhook::delivery`). `Body::read` keeps the JSON within
//!    bounds; `Notification::of` turns it into [`call::CallEvent`]s: changes of parties, not states of calls.
//! 2. [`app::App::ingest`] locks the sessions that the events name, so that events of one call are applied one after the other.
//!    Events about an erased person are dropped there.
//! 3. While [`store::Store::load`] reads every call that the sessions lead to, the caller is looked up in an index of customers'
//!    numbers, for at most 25 ms; a name that takes longer follows as an update. A session that cannot be in the store yet is not
//!    read. The embedded store writes that index with each customer; in MongoDB one instance follows the host's collection
//!    ([`store::Store::keep_number_index`]).
//! 4. [`store::Store::apply_to`] derives the next call with [`call::Call::apply`] and writes it if its `rev` is still the one read.
//!    Two calls that turn out to be one are merged whenever they are loaded together.
//! 5. As soon as it is on disk, [`hub::Hub::publish`] appends the call to a log if its `rev` is new. Each viewer is a cursor into
//!    that log. When nothing is left to do, RingCentral gets its 200.
//! 6. The change stream, or the poll of `active_calls` every two seconds, brings in what other programs and instances write.
//! 7. Events that MongoDB does not take are spooled in `DATA_DIR` and stored later; what no disk takes is held in memory and answered
//!    503. In both cases the calls are shown from memory.
//!
//! # Invariants
//!
//! * Events may come twice and in any order; the resulting call is the same.
//! * A call that is over never opens again. `rev` only grows, and readers drop what is not newer.
//! * A 200 to RingCentral means the event is on disk.
//! * Who may use a route is in [`http::ROUTES`], which also builds the router: none is open by oversight.
//! * A viewer is sent only calls that concern them; recipients are chosen on the server.
//! * Everything has a bound: bodies, queues, logs, retries, waits.

pub mod call;
pub mod customer;
pub mod fatal_panic;
pub mod metrics;
pub mod phone;
pub mod secret;
pub mod trace;
pub mod viewer;

pub mod api;
pub mod hub;
pub mod import;
pub mod ringcentral;
pub mod simulator;
pub mod store;

pub mod app;

pub mod doctor;
pub mod http;

pub mod config;
