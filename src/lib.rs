//! Caller Popup: shows who is calling on every dashboard the moment RingCentral says a phone rings.

pub mod app;
pub mod call;
pub mod config;
pub mod customer;
pub mod http;
pub mod hub;
pub mod phone;
pub mod ringcentral;
pub mod store;
