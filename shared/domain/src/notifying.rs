//! What people are told, and in which words.
//!
//! One notification becomes one publication with a body for each protocol: plain text for e-mail, a
//! JSON [`document::AlertDocument`] for programs, among them slack-notifier, which makes it blocks.

pub mod document;

pub mod email;

pub mod message;

pub mod slack;

mod wording;

#[cfg(test)]
mod testing;
