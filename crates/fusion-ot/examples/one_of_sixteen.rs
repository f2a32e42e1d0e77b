//! 1-of-16 OT between two processes over TCP: the second one, which the first starts, gets one of
//! sixteen letters six times. The first learns nothing of its choices, the second no other letter.

use std::net::{TcpListener, TcpStream};

use fusion_ot::functionality::{ChoiceBits, RandomOtReceiver, RandomOtSender};
use fusion_ot::{Role, session::Session, silent};
use fusion_ring::channel::{Channel, StreamChannel};

const LETTERS: [u8; 16] = *b"0123456789abcdef";
const CHOICES: [u8; 6] = [12, 0, 15, 15, 14, 14];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (session, m, n) = (Session::new(b"example one_of_sixteen"), ChoiceBits::FOUR, CHOICES.len());
    if let Some(address) = std::env::args().nth(1) {
        let mut channel = StreamChannel::tcp(TcpStream::connect(address)?)?;
        let (_, mut receiver) = silent::setup(&session, Role::Second, &mut channel, &mut rand::rng())?;
        let ots = receiver.random_ot(&mut channel, m, n)?;
        // From random choices to ours: the differences say nothing of either.
        channel.send(&std::array::from_fn::<u8, 6, _>(|i| CHOICES[i] ^ ots.choices()[i]))?;
        let masked = channel.recv_vec(16 * n)?;
        let letter = |i: usize| char::from(masked[16 * i + usize::from(CHOICES[i])] ^ ots.pads()[i] as u8);
        let word: String = (0..n).map(letter).collect();
        println!("received {word}");
        return if word == "c0ffee" { Ok(()) } else { Err("these are not the chosen letters".into()) };
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut second = std::process::Command::new(std::env::current_exe()?).arg(listener.local_addr()?.to_string()).spawn()?;
    let mut channel = StreamChannel::tcp(listener.accept()?.0)?;
    let (mut sender, _) = silent::setup(&session, Role::First, &mut channel, &mut rand::rng())?;
    let ots = sender.random_ot(&mut channel, m, n)?;
    for (i, difference) in channel.recv_vec(n)?.into_iter().enumerate() {
        let pad = |x: usize| ots.pad(i, x ^ usize::from(difference & 15)) as u8;
        channel.send(&std::array::from_fn::<u8, 16, _>(|x| LETTERS[x] ^ pad(x)))?;
    }
    channel.flush()?;
    if second.wait()?.success() { Ok(()) } else { Err("the second process failed".into()) }
}
