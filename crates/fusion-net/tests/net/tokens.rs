//! Whoever guesses tokens.

use crate::support::*;
use fusion_net::{Client, ClientSecurity, ClientSettings, LimitName, NetError, Server, ServerSecurity, Token};

const RIGHT: &str = "0123456789abcdef";

fn present(server: &Server, token: &str) -> Result<(), NetError> {
    let security = ClientSecurity { token: Some(Token::new(token).unwrap()), ..Default::default() };
    Client::connect(ClientSettings { security, ..settings(server.local_addr()) })?.describe().map(drop)
}

fn server() -> Server {
    serve_securely(ServerSecurity { token: Some(Token::new(RIGHT).unwrap()), ..Default::default() })
}

fn is_blocked(outcome: Result<(), NetError>) -> bool {
    matches!(outcome, Err(NetError::Limit { limit: LimitName::WrongTokens, retry_after: Some(_) }))
}

#[test]
fn a_guesser_is_stopped_before_the_right_token_is_looked_at() {
    let server = server();
    for n in 0..10 {
        assert_eq!(present(&server, &format!("guess-number-{n:05}")), Err(NetError::Unauthenticated));
    }
    assert!(is_blocked(present(&server, "guess-number-00011")));
    assert!(is_blocked(present(&server, RIGHT)), "whoever guesses right after many guesses learns nothing");
    let counters = server.counters();
    assert_eq!((counters.wrong_tokens, counters.refusals[&LimitName::WrongTokens]), (10, 2));
}

#[test]
fn a_guesser_locks_nobody_out_who_has_been_in() {
    let server = server();
    present(&server, RIGHT).unwrap();
    for n in 0..20 {
        let guess = present(&server, &format!("guess-number-{n:05}"));
        if n < 10 {
            assert_eq!(guess, Err(NetError::Unauthenticated));
        } else {
            assert!(is_blocked(guess));
        }
    }
    assert_eq!(server.counters().wrong_tokens, 20);
    present(&server, RIGHT).unwrap();
}
