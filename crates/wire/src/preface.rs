use memtide_topology::{CacheId, NodeId};

use crate::error::{PrefaceError, WireError};
use crate::reader::Reader;
use crate::versions::Versions;

/// No preface is longer.
pub const PREFACE_BYTES_MAX: usize = FIXED_LEN + u8::MAX as usize;

const MAGIC: &[u8; 8] = b"memtide\n";
const FIXED_LEN: usize = MAGIC.len() + 2 + 2 + 1 + 8 + 1 + 1;
const ROLE_PROXY: u8 = 1;
const ROLE_NODE: u8 = 2;

/// How each side of a connection introduces itself. This form holds for all versions:
///
/// ```text
/// 8 bytes  "memtide\n"
/// u16      the oldest version that the sender speaks
/// u16      the newest
/// u8       1 proxy, 2 node
/// u64      the proxy core's client number, or the node's id
/// u8       1 where the sender's socket needs no TLS from here on, otherwise 0
/// u8       length of the cache's name, and the name
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preface {
    /// What the sender speaks.
    pub versions: Versions,
    /// Who it is.
    pub peer: Peer,
    /// Of which cache.
    pub cache: CacheId,
    /// Nobody can come between the ends of its socket: it leaves TLS if the other side says so too.
    pub leaves_tls: bool,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A core of a proxy, with the client number of its request ids.
    Proxy(u64),
    /// A node.
    Node(NodeId),
}

impl Preface {
    /// Of one whose socket needs TLS.
    #[must_use]
    pub const fn new(peer: Peer, cache: CacheId, versions: Versions) -> Self {
        Self { versions, peer, cache, leaves_tls: false }
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (role, id) = match self.peer {
            Peer::Proxy(client) => (ROLE_PROXY, client),
            Peer::Node(node) => (ROLE_NODE, node.number()),
        };
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.versions.min.to_le_bytes());
        out.extend_from_slice(&self.versions.max.to_le_bytes());
        out.push(role);
        out.extend_from_slice(&id.to_le_bytes());
        out.push(u8::from(self.leaves_tls));
        let name = self.cache.name();
        out.push(u8::try_from(name.len()).expect("a cache's name is short"));
        out.extend_from_slice(name.as_bytes());
    }

    /// Takes the preface at the start of `bytes`, once it is there whole; and its length.
    ///
    /// # Errors
    /// As soon as what is there cannot become one. The versions are for [`Versions::agree`] to judge.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, PrefaceError> {
        let magic = &bytes[..bytes.len().min(MAGIC.len())];
        if !MAGIC.starts_with(magic) {
            return Err(PrefaceError::Foreign);
        }
        let Some((fixed, rest)) = bytes.split_at_checked(FIXED_LEN) else { return Ok(None) };
        let (mut preface, name_len) = fixed_part(&fixed[MAGIC.len()..])?;
        let Some(name) = rest.get(..name_len) else { return Ok(None) };
        let name = core::str::from_utf8(name).map_err(|_| PrefaceError::Cache)?;
        preface.cache = CacheId::new(name).ok_or(PrefaceError::Cache)?;
        Ok(Some((preface, FIXED_LEN + name_len)))
    }
}

/// A preface without its cache's name, and how long that is.
fn fixed_part(bytes: &[u8]) -> Result<(Preface, usize), PrefaceError> {
    let read = || -> Result<(Versions, u8, u64, bool, u8), WireError> {
        let mut reader = Reader::new(bytes);
        let versions = Versions { min: reader.u16("versions")?, max: reader.u16("versions")? };
        let (role, id) = (reader.u8("the role")?, reader.u64("the id")?);
        let leaves_tls = reader.u8("whether TLS is left")? != 0;
        Ok((versions, role, id, leaves_tls, reader.u8("the cache's name")?))
    };
    let (versions, role, id, leaves_tls, name_len) = read().expect("the caller has split it");
    let peer = match role {
        ROLE_PROXY => Peer::Proxy(id),
        ROLE_NODE => Peer::Node(NodeId::new(id)),
        other => return Err(PrefaceError::Role(other)),
    };
    let cache = CacheId::default();
    let preface = Preface { versions, peer, cache, leaves_tls };
    Ok((preface, usize::from(name_len)))
}
