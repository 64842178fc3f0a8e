//! The keys of session tickets: this process's own, or those that a fleet's proxies share.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

use super::{TlsError, server};

/// Of what is shared. A shared key is replaced after six hours, and good for as long again.
pub const TICKET_SECRET_BYTES: usize = 32;

/// A ticket is good for so many seconds: for so long its key is known after it was replaced.
const LIFETIME_SECS: u32 = 6 * 60 * 60;

/// What a ticket begins with, to find its key by.
const NAME_BYTES: usize = 16;

const KEY_BYTES: usize = 32;

/// Encrypts with the newest shared key, and with its own where none is shared. Decrypts with any.
pub(super) struct Tickets {
    own: Arc<dyn ProducesTickets>,
    shared: ArcSwap<Vec<Key>>,
    /// The CA that clients are checked by: tickets of proxies with another one are none here.
    client_ca: Vec<u8>,
}

struct Key {
    name: [u8; NAME_BYTES],
    key: LessSafeKey,
}

impl Tickets {
    /// With keys of its own, random and replaced every six hours.
    pub(super) fn new(client_ca: Option<&[u8]>) -> Result<Self, TlsError> {
        let client_ca = client_ca.unwrap_or_default().to_vec();
        Ok(Self { own: server::ticketer()?, shared: ArcSwap::default(), client_ca })
    }

    /// From now on with these, the newest first.
    pub(super) fn share(&self, secrets: &[[u8; TICKET_SECRET_BYTES]]) -> Result<(), TlsError> {
        let keys = secrets.iter().map(|secret| Key::of(secret, &self.client_ca));
        self.shared.store(Arc::new(keys.collect::<Result<_, _>>()?));
        Ok(())
    }
}

impl Key {
    fn of(secret: &[u8; TICKET_SECRET_BYTES], client_ca: &[u8]) -> Result<Self, TlsError> {
        let failed = |_| TlsError::Crypto("failed to derive a key of session tickets".to_owned());
        let derived = Salt::new(HKDF_SHA256, b"memtide session tickets 1").extract(secret);
        let mut bytes = [0; NAME_BYTES + KEY_BYTES];
        derived
            .expand(&[client_ca], Length(bytes.len()))
            .and_then(|derived| derived.fill(&mut bytes))
            .map_err(failed)?;
        let (name, key) = bytes.split_at(NAME_BYTES);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(failed)?;
        let name = name.try_into().expect("it was split there");
        Ok(Self { name, key: LessSafeKey::new(key) })
    }

    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let name = Aad::from(self.name);
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce_used, name, &mut sealed).ok()?;
        Some([self.name.as_slice(), &nonce, &sealed].concat())
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = sealed.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(self.name), &mut bytes).ok()?;
        Some(plain.to_vec())
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.own.enabled()
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECS.min(self.own.lifetime())
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        match self.shared.load().first() {
            Some(key) => key.seal(plain),
            None => self.own.encrypt(plain),
        }
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let shared = self.shared.load();
        let named = ticket.split_at_checked(NAME_BYTES).and_then(|(name, sealed)| {
            shared.iter().find(|key| key.name == name).map(|key| key.open(sealed))
        });
        match named {
            Some(opened) => opened,
            None => self.own.decrypt(ticket),
        }
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("shared", &self.shared.load().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(client_ca: Option<&[u8]>, secrets: &[u8]) -> Tickets {
        let tickets = Tickets::new(client_ca).unwrap();
        let secrets: Vec<_> = secrets.iter().map(|byte| [*byte; TICKET_SECRET_BYTES]).collect();
        tickets.share(&secrets).unwrap();
        tickets
    }

    #[test]
    fn a_ticket_is_good_wherever_its_key_is_known() {
        let session = b"a session".as_slice();
        let ticket = tickets(None, &[2, 1]).encrypt(session).unwrap();
        let open = |tickets: &Tickets| tickets.decrypt(&ticket);
        assert_eq!(open(&tickets(None, &[2])).as_deref(), Some(session));
        assert_eq!(open(&tickets(None, &[3, 2])).as_deref(), Some(session), "replaced since");
        assert_eq!(open(&tickets(None, &[3, 1])), None);
        assert_eq!(open(&tickets(None, &[])), None);
        assert_eq!(open(&tickets(Some(b"another CA"), &[2])), None);
        // What was given out before anything was shared.
        let alone = tickets(None, &[]);
        let own = alone.encrypt(session).unwrap();
        alone.share(&[[2; TICKET_SECRET_BYTES]]).unwrap();
        assert_eq!(alone.decrypt(&own).as_deref(), Some(session));
        assert_eq!(open(&alone).as_deref(), Some(session));
    }

    #[test]
    fn a_ticket_that_is_not_ours_is_none_and_no_two_are_alike() {
        let tickets = tickets(None, &[1]);
        let ticket = tickets.encrypt(b"a session").unwrap();
        assert_ne!(tickets.encrypt(b"a session").unwrap(), ticket);
        assert!(!ticket.windows(9).any(|part| part == b"a session"));
        for index in 0..ticket.len() {
            assert_eq!(tickets.decrypt(&ticket[..index]), None, "{index} bytes of it");
            let mut other = ticket.clone();
            other[index] ^= 1;
            assert_eq!(tickets.decrypt(&other), None, "another byte {index}");
        }
    }
}
