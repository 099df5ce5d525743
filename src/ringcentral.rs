//! RingCentral: what it sends and what it is asked. Only this room knows its field names.

pub mod client;
pub mod directory;
mod error;
mod limits;
pub mod notification;
mod oauth;
pub mod subscription;

pub use client::Client;
pub use error::{Error, Refusal};
pub use oauth::{Person, Pkce};
