//! Just enough SQL to take the literals out of a statement, to tell statements of one form from others,
//! and to name what a statement does to which table.

mod fingerprint;
mod lexer;
mod mask;
mod shape;
mod statements;

pub use fingerprint::fingerprint;
pub use mask::{mask_embedded, mask_literals, mask_prose};
pub use shape::{Shape, shape};
pub use statements::{Known, Statements};

#[cfg(test)]
mod tests;
