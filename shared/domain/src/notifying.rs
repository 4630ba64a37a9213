//! What people are told, and in which words.
//!
//! One notification becomes one publication with a body for each protocol: plain text for e-mail, a
//! JSON [`document::AlertDocument`] for programs, among them slack-notifier, which makes it blocks.
//! What is found about the alerts comes along as [`evidence`]. Examples of all: `docs/messages.md`.

pub mod document;

pub mod evidence;

pub mod addresses;

pub mod chart;

pub mod email;

pub mod amazon_q;

pub mod message;

pub mod slack;

pub mod links;

mod wording;

#[cfg(test)]
mod testing;
