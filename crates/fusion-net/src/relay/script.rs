//! What goes wrong on a link, and when.

use std::time::Duration;

use crate::error::NetError;

/// One of the two directions of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ClientToServer,
    /// From the server to the client.
    ServerToClient,
}

/// Where in one direction of one connection a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Before the byte with this offset.
    Byte(u64),
    /// At the HTTP/2 DATA frame with this number, counted from 0, over plaintext. Other frames pass
    /// untouched, so what arrives is HTTP/2 still, and the fault meets the layers above.
    Message(u64),
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Loses this many bytes; at a message, the message, whatever the number.
    Drop(u64),
    /// Holds everything from here on for this long; `None` is for ever.
    Stall(Option<Duration>),
    /// Ends the stream here in order, and loses the rest. At a message, half of it still passes.
    Truncate,
    /// Inverts one byte; at a message, its last.
    Corrupt,
    /// Swaps the next two blocks of this many bytes; at a message, it and the next message.
    Reorder(u64),
    /// Cuts the connection in both directions.
    Disconnect,
    /// Puts a zero in the place of the byte; at a message, of all bytes of its content.
    Zero,
    /// Puts another byte in the place of the byte; at a message, noise in the place of its content.
    Noise,
    /// Loses the byte; at a message, the second half of its content.
    Shorten,
    /// Adds a byte of noise before the byte; at a message, some after its content.
    Lengthen,
    /// Sends the byte, or the message, twice.
    Repeat,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which connection through the relay, counted from 0 in the order of their arrival.
    pub connection: u64,
    /// In which direction.
    pub direction: Direction,
    /// Where.
    pub position: Position,
    /// What.
    pub action: Action,
}

/// Faults of a link. The empty script is a link without faults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// In any order. At most one fault acts on one message.
    pub faults: Vec<Fault>,
}

impl Script {
    /// Reads faults separated by `;`, each of the form
    ///
    /// ```text
    /// CONNECTION c2s|s2c byte|message K ACTION
    /// ACTION: drop [BYTES] | stall [MS] | truncate | corrupt | reorder [BYTES] | disconnect
    ///         | zero | noise | shorten | lengthen | repeat
    /// ```
    ///
    /// ```
    /// use fusion_net::relay::Script;
    /// let script = Script::parse("1 c2s message 3 corrupt; 0 s2c byte 1000 stall 250")?;
    /// assert_eq!(script.faults.len(), 2);
    /// # Ok::<(), fusion_net::NetError>(())
    /// ```
    ///
    /// # Errors
    /// [`NetError::Settings`] with the fault that cannot be read.
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let faults = text.split(';').map(str::trim).filter(|fault| !fault.is_empty());
        let read = faults.map(|fault| read_fault(fault).ok_or_else(|| NetError::Settings(format!("no such fault: {fault:?}"))));
        Ok(Self { faults: read.collect::<Result<_, _>>()? })
    }

    pub(super) fn of(&self, connection: u64, direction: Direction) -> Vec<Fault> {
        self.faults.iter().filter(|fault| fault.connection == connection && fault.direction == direction).copied().collect()
    }
}

fn read_fault(text: &str) -> Option<Fault> {
    let mut words = text.split_whitespace();
    let connection = words.next()?.parse().ok()?;
    let direction = match words.next()? {
        "c2s" => Direction::ClientToServer,
        "s2c" => Direction::ServerToClient,
        _ => return None,
    };
    let unit = words.next()?;
    let at = words.next()?.parse().ok()?;
    let position = match unit {
        "byte" => Position::Byte(at),
        "message" => Position::Message(at),
        _ => return None,
    };
    let name = words.next()?;
    let number = words.next().map(str::parse::<u64>).transpose().ok()?;
    if words.next().is_some() {
        return None;
    }
    let action = match (name, number) {
        ("drop", n) => Action::Drop(n.unwrap_or(1)),
        ("stall", ms) => Action::Stall(ms.map(Duration::from_millis)),
        ("truncate", None) => Action::Truncate,
        ("corrupt", None) => Action::Corrupt,
        ("reorder", n) => Action::Reorder(n.unwrap_or(1)),
        ("disconnect", None) => Action::Disconnect,
        ("zero", None) => Action::Zero,
        ("noise", None) => Action::Noise,
        ("shorten", None) => Action::Shorten,
        ("lengthen", None) => Action::Lengthen,
        ("repeat", None) => Action::Repeat,
        _ => return None,
    };
    Some(Fault { connection, direction, position, action })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_nonsense_is_named() {
        let script = Script::parse(" 2 s2c byte 7 drop 3 ;0 c2s message 1 stall; 0 c2s byte 0 disconnect;").unwrap();
        let expected = Fault { connection: 2, direction: Direction::ServerToClient, position: Position::Byte(7), action: Action::Drop(3) };
        assert_eq!(script.faults[0], expected);
        assert_eq!(script.faults[1].action, Action::Stall(None));
        assert_eq!(script.of(0, Direction::ClientToServer).len(), 2);
        for bad in
            ["c2s byte 1 drop", "0 up byte 1 drop", "0 c2s bit 1 drop", "0 c2s byte x drop", "0 c2s byte 1", "0 c2s byte 1 corrupt 5 6"]
        {
            let message = Script::parse(bad).unwrap_err().to_string();
            assert!(message.contains(bad), "{message}");
        }
    }
}
