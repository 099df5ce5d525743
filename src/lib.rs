//! Caller Popup: shows who is calling on every dashboard the moment RingCentral says a phone rings.
//!
//! # The sentence
//!
//! A notification comes in, becomes facts in our words, changes one call in the store, and the changed call goes out to
//! the people it concerns:
//!
//! ```text
//! webhook → Notification::parse → App::ingest → Store::apply_to → Hub::publish → stream
//! ```
//!
//! # The map
//!
//! Dependencies point one way, and this is also the order to read in:
//!
//! ```text
//! call, phone, customer, metrics  ←  ringcentral, store, hub  ←  app  ←  http  ←  cli
//!        words                           in      keep   tell      sentence  edges   wiring
//! ```
//!
//! | room | what it is | what it must not know |
//! |---|---|---|
//! | [`call`] | a call and how what is told changes it | I/O, clocks |
//! | [`phone`], [`customer`] | numbers and customers | where they are kept |
//! | [`metrics`] | what operators measure | what it means |
//! | [`secret`] | new secrets, and digests of them | what they protect |
//! | [`ringcentral`] | their JSON, their API | our store and viewers |
//! | [`store`] | MongoDB and SQLite behind one enum | RingCentral's words |
//! | [`hub`] | the log that viewers read | HTTP |
//! | [`app`] | the sentence | BSON, SQL, axum |
//! | [`http`] | routes, who may come in, the accept loop | the databases |
//! | [`doctor`] | every step from a ringing phone to the popup, with the cure | viewers |
//! | [`import`] | customers from a CSV file, in whatever form programs export it | how they are stored |
//! | [`simulator`] | calls that never were, for people and tests | how they are delivered |
//! | [`config`] | settings | everything else |
//! | `cli` (of the binary) | a file for each command; `serve` starts all of the above | how any of it works |
//!
//! # A call arrives
//!
//! 1. [`http`] checks the verification token and hands the body to `Notification::parse`. `Body::read` keeps what is used of the
//!    JSON, within bounds; `Notification::of` turns that into [`call::CallEvent`]s: facts about legs, not states of calls.
//! 2. In [`app::App::ingest`] facts wait their turn: those of one call, whichever of its sessions they name, are taken in
//!    one after the other. Facts about an erased person are dropped there.
//! 3. While [`store::Store::load`] asks for every call that the sessions lead to, the caller is looked up, for at most
//!    25 ms; a name that takes longer follows. A call that nobody can have told before is not looked for.
//! 4. [`store::Store::apply_to`] lets [`call::Call::apply`] derive the next call and writes it if nobody else did
//!    meanwhile. Two calls that turn out to be one are joined whenever they are met together.
//! 5. As soon as it is on disk, [`hub::Hub::publish`] appends the call to a log if its `rev` is news. Each viewer is a
//!    cursor into that log. When nothing is left to do, RingCentral gets its 200.
//! 6. Two seconds later at most, the poll of `active_calls` would have found it too: what other programs and instances
//!    write comes in that way.
//!
//! # Invariants
//!
//! * Facts may come twice and in any order; the call they make is the same.
//! * A call that is over never opens again. `rev` only grows, and readers drop what is not newer.
//! * A 200 to RingCentral means the fact is on disk.
//! * For whom a route is stands in [`http::ROUTES`], which builds the router: none is open by oversight.
//! * Nobody is sent a call that does not concern them; recipients are chosen on the server.
//! * Everything has a bound: bodies, queues, logs, retries, waits.

pub mod call;
pub mod customer;
pub mod metrics;
pub mod phone;
pub mod secret;
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
