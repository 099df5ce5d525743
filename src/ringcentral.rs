//! RingCentral: what it sends and what it is asked. Only this room knows its field names.

pub mod notification;
