//! Unit tests.
pub fn unit_tests() {}
