//! The program through its front door: the real binary as a child process, on a port of its own, on both stores; a real
//! mongod, a real Chromium. What a test needs stands in `support`; a test reads like the event it is about.

#![allow(clippy::unwrap_used)] // Right in tests, and this crate is nothing else.

#[macro_use]
mod support;

mod access;
mod accessibility;
mod backup;
mod browser;
mod busy_day;
mod busy_store;
mod calls;
mod chaos;
mod connections;
mod credentials;
mod customer_page;
mod customer_search;
mod customers;
mod disk;
mod dismissals;
mod durability;
mod embedding;
mod erasing;
mod fake_ringcentral;
mod files;
mod foreign_documents;
mod foreign_rows;
mod foreign_writers;
mod hanging;
mod hardening;
mod importing;
mod keeper;
mod large_body;
mod local_mode;
mod malformed_jwt;
mod monitoring;
mod nginx;
mod number_index;
mod one_viewer;
mod operating;
mod orders;
mod pages;
mod phone_numbers;
mod presence;
mod private_files;
mod properties;
mod ring_out;
mod ringcentral;
mod roles;
mod scenarios;
mod script;
mod search_load;
mod sessions;
mod set_aside;
mod settings;
mod shutdown;
mod sign_in;
mod spelling;
mod spool;
mod store;
mod stream;
mod supervisor;
mod token_stream;
mod torture;
mod traces;
mod unmatchable;
mod upgrade;
mod webhook;
mod widget;
