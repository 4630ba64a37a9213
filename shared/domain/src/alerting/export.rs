//! Our rules and our policy in the words of others, for whoever runs those.

pub mod alertmanager;
