//! Alert rules, and what becomes of them minute by minute.

pub mod history;
