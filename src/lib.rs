//! Caller Popup: shows who is calling on every dashboard the moment RingCentral says a phone rings.

pub mod call;
pub mod config;
pub mod customer;
pub mod phone;
pub mod ringcentral;
