//! The web layer.

mod proxies;

pub use proxies::{NetworkError, TrustedProxies};
