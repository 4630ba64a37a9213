//! Just enough SQL to take the literals out of a statement, to tell statements of one form from others,
//! and to name what a statement does to which table.

mod fingerprint;
mod lexer;
mod mask;
mod shape;

pub use fingerprint::fingerprint;
pub use mask::{mask_embedded, mask_literals, mask_prose};
pub use shape::{Shape, shape};

#[cfg(test)]
mod tests;
