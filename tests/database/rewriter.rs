//! Stands before MariaDB, and says some statements otherwise.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A statement as a client says it, and as the server hears it.
type Rewritten = (&'static str, &'static str);

/// The command of a packet that is a statement as text: COM_QUERY,
/// <https://mariadb.com/kb/en/com_query/>.
const QUERY: u8 = 3;

pub struct Rewriter {
    pub at: SocketAddr,
    /// Statements that were said otherwise.
    said: Arc<AtomicUsize>,
}

impl Rewriter {
    /// Passes on to the server at this address until the test program ends.
    pub fn before(server: String, rewritten: &'static [Rewritten]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, said) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = said.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut answers, &mut back));
                let counted = counted.clone();
                thread::spawn(move || while pass(&mut client, &mut server, rewritten, &counted).is_ok() {});
            }
        });
        Self { at, said }
    }

    pub fn said(&self) -> usize {
        self.said.load(Ordering::Relaxed)
    }
}

/// Passes on one packet: three bytes of length, one of its number, and what it holds.
fn pass(
    client: &mut TcpStream,
    server: &mut TcpStream,
    rewritten: &[Rewritten],
    said: &AtomicUsize,
) -> std::io::Result<()> {
    let mut head = [0; 4];
    if let Err(error) = client.read_exact(&mut head) {
        server.shutdown(std::net::Shutdown::Both).ok();
        return Err(error);
    }
    let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
    let mut held = vec![0; length];
    client.read_exact(&mut held)?;
    let other = rewritten.iter().find(|(from, _)| held.split_first() == Some((&QUERY, from.as_bytes())));
    if let Some((_, other)) = other {
        held = [&[QUERY], other.as_bytes()].concat();
        head[..3].copy_from_slice(&(held.len() as u32).to_le_bytes()[..3]);
        said.fetch_add(1, Ordering::Relaxed);
    }
    server.write_all(&[&head[..], &held].concat())
}
