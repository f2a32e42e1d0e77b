//! Comparisons of digits by looking one entry of a masked truth table up: what the party with the
//! table computes ([`sender`]), and the party with the index ([`receiver`]).

pub mod receiver;
pub mod sender;
