//! Comparisons of digits by a look-up in a masked truth table: what the party with the table
//! computes ([`sender`]), and what the party with the index computes ([`receiver`]).

pub mod receiver;
pub mod sender;
