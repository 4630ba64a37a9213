//! Traces: what spans become outside. Services write a span as a line when it ends; the archive keeps it, and
//! trace-forwarder sends it on.
//!
//! [`span`] reads such a line, [`xray`] makes segment documents of spans and [`otlp`] messages of OpenTelemetry's
//! protocol; [`refused`] keeps what could not be read or was not taken; [`tree`] shows a trace to people.

pub mod otlp;
pub mod refused;
pub mod span;
pub mod tree;
pub mod xray;

#[cfg(test)]
mod testing;

pub use span::Span;

/// Where spans go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// AWS X-Ray.
    XRay,
    /// A collector of OpenTelemetry's protocol: Jaeger, or any other.
    Otlp,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 2] = [Target::XRay, Target::Otlp];

    /// Its name in keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Target::XRay => "xray",
            Target::Otlp => "otlp",
        }
    }

    /// Reads its name.
    pub fn parse(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.as_str() == name)
    }
}
