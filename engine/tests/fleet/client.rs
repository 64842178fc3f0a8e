//! A core of a proxy, as far as a test needs one: a link, asks and their answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use memtide_link::{Bounds, Introduction, Outbox};
use memtide_testkit::PATIENCE;
use memtide_topology::{Answer, CacheId, Epoch, HashSeed, KeyHash};
use memtide_wire::{
    Ask, Frame, Greeting, Peer, Preface, Reach, Versions, decode_reply, encode_ask,
};
use tokio::runtime::{Builder, LocalOptions};

use crate::tls::{Tls, node_name};

const FRAME_BYTES_MAX: usize = 4 << 20;

pub type Reply = (u64, Answer<Vec<u8>>);

/// A link to one node.
pub struct Client {
    frames: tokio::sync::mpsc::UnboundedSender<Vec<u8>>,
    replies: Receiver<Reply>,
    /// Replies that came before they were asked for.
    early: BTreeMap<u64, Answer<Vec<u8>>>,
    last: u64,
}

/// An ask that is like most.
pub fn ask(number: u64, hash: KeyHash, epoch: Epoch, command: &[u8]) -> Ask<'_> {
    let reach = Reach::Primary;
    let (round, seen, answered) = (0, 0, 0);
    Ask { number, reach, hash, epoch, round, seen, answered, is_retry: false, command }
}

/// Of the proxy core with this number, which is of this fleet; 0 where it does not say.
pub fn introduction(client: u64, versions: Versions, fleet: u64) -> Introduction {
    let preface = Preface::new(Peer::Proxy(client), CacheId::default(), versions);
    Introduction { preface, greeting: Greeting { fleet } }
}

impl Client {
    /// Links to a node as the proxy core with this number.
    pub fn connect(tls: &Tls, address: SocketAddr, client: u64) -> Self {
        Self::connect_as(tls, address, introduction(client, Versions::KNOWN, 0))
    }

    /// The same, as this one.
    pub fn connect_as(tls: &Tls, address: SocketAddr, me: Introduction) -> Self {
        let (frames, to_send) = tokio::sync::mpsc::unbounded_channel();
        let (heard, replies) = mpsc::channel();
        let tls = tls.clone();
        std::thread::spawn(move || {
            let mut runtime = Builder::new_current_thread();
            let runtime = runtime.enable_all().build_local(LocalOptions::default()).unwrap();
            runtime.block_on(run(tls, address, me, to_send, heard));
        });
        Self { frames, replies, early: BTreeMap::new(), last: 0 }
    }

    pub fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub fn send(&self, ask: &Ask<'_>) {
        let mut frame = Vec::new();
        encode_ask(&mut frame, ask);
        self.send_bytes(frame);
    }

    pub fn send_bytes(&self, bytes: Vec<u8>) {
        // A link that has ended is seen by who waits for an answer.
        let _ = self.frames.send(bytes);
    }

    /// The answer to an ask; `None` where the link has ended, or that takes longer than `patience`.
    pub fn answer_within(&mut self, number: u64, patience: Duration) -> Option<Answer<Vec<u8>>> {
        loop {
            if let Some(answer) = self.early.remove(&number) {
                return Some(answer);
            }
            let (number, answer) = self.replies.recv_timeout(patience).ok()?;
            self.early.insert(number, answer);
        }
    }

    pub fn answer(&mut self, number: u64) -> Answer<Vec<u8>> {
        self.answer_within(number, PATIENCE).unwrap()
    }

    /// Whether the link ends by itself.
    pub fn has_ended(&self) -> bool {
        loop {
            match self.replies.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(error) => return error == mpsc::RecvTimeoutError::Disconnected,
            }
        }
    }

    /// Does a command and returns what it answers.
    pub fn run(&mut self, seed: HashSeed, epoch: Epoch, key: &str, command: &str) -> String {
        let number = self.number();
        self.send(&ask(number, seed.hash(key.as_bytes()), epoch, command.as_bytes()));
        match self.answer(number) {
            Answer::Done { outcome, .. } => String::from_utf8(outcome).unwrap(),
            other => format!("{other:?}"),
        }
    }
}

async fn run(
    tls: Tls,
    address: SocketAddr,
    me: Introduction,
    mut to_send: tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>,
    heard: Sender<Reply>,
) {
    let Ok(stream) = tokio::net::TcpStream::connect(address).await else { return };
    let link = memtide_link::connect(stream, tls.proxy, node_name(), &me).await;
    let Ok(link) = link else { return };
    let outbox = Outbox::new(usize::MAX);
    let forward = async {
        while let Some(frame) = to_send.recv().await {
            outbox.push(|out| out.extend_from_slice(&frame));
        }
        outbox.finish();
        std::future::pending::<()>().await;
    };
    let bounds = Bounds { frame_bytes_max: FRAME_BYTES_MAX, unsent_bytes_max: usize::MAX };
    let take = |bytes: &[u8]| {
        let mut rest = bytes;
        while let Some((frame, after)) = Frame::split(rest, FRAME_BYTES_MAX)? {
            let reply = decode_reply(&frame)?;
            let answer = match reply.answer {
                Answer::Done { outcome, version } => {
                    Answer::Done { outcome: outcome.to_vec(), version }
                }
                Answer::Moved { epoch, primary, may_be_done } => {
                    Answer::Moved { epoch, primary, may_be_done }
                }
                Answer::Unknown => Answer::Unknown,
            };
            // Who asked may have lost interest.
            let _ = heard.send((reply.number, answer));
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    };
    tokio::select! {
        () = forward => {}
        _ = link.run(bounds, &outbox, take) => {}
    }
}
