//! Sealed values: what the database holds but must not tell, such as the secrets of targets.
//!
//! An envelope is a version byte, the id of the key, a nonce and the AES-256-GCM ciphertext. Where a
//! value belongs is sealed with it: moved to another row or column it does not open.

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};

use crate::keys::Keys;
use crate::{App, Entropy, Error, Result};

/// The version of the envelope.
const VERSION: u8 = 1;
/// Bytes before the ciphertext: version, key id, nonce.
const HEADER: usize = 1 + 4 + NONCE_LEN;

/// Where a sealed value belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its table.
    pub table: &'a str,
    /// The key of its row.
    pub row: &'a str,
    /// Its column.
    pub column: &'a str,
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        [self.table, self.row, self.column].join("\0").into_bytes()
    }
}

/// Why a sealed value does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It was sealed with another key.
    #[error("a value in the database was sealed with another key")]
    OtherKey,
    /// It was changed, moved, or is no envelope.
    #[error("a sealed value in the database is damaged or not where it belongs")]
    Damaged,
}

impl Keys {
    /// Seals a value for a place.
    ///
    /// # Errors
    ///
    /// Internal, when the cryptographic library refuses.
    pub(crate) fn seal(
        &self,
        entropy: &dyn Entropy,
        place: Place<'_>,
        plain: &[u8],
    ) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = plain.to_vec();
        self.sealing
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.bytes()),
                &mut sealed,
            )
            .map_err(|_| Error::internal("a value could not be sealed"))?;
        let mut envelope = Vec::with_capacity(HEADER + sealed.len());
        envelope.push(VERSION);
        envelope.extend_from_slice(&self.id);
        envelope.extend_from_slice(&nonce);
        envelope.append(&mut sealed);
        Ok(envelope)
    }

    /// Opens a value that was sealed for a place.
    ///
    /// # Errors
    ///
    /// When it was sealed with another key, for another place, or was changed since.
    pub(crate) fn unseal(&self, place: Place<'_>, envelope: &[u8]) -> Result<Vec<u8>, Broken> {
        let (header, sealed) = envelope.split_at_checked(HEADER).ok_or(Broken::Damaged)?;
        let (version, rest) = header.split_first().ok_or(Broken::Damaged)?;
        let (id, nonce) = rest.split_at_checked(self.id.len()).ok_or(Broken::Damaged)?;
        if *version != VERSION {
            return Err(Broken::Damaged);
        }
        if id != self.id {
            return Err(Broken::OtherKey);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Broken::Damaged)?;
        let mut plain = sealed.to_vec();
        let length = self
            .sealing
            .open_in_place(nonce, Aad::from(place.bytes()), &mut plain)
            .map_err(|_| Broken::Damaged)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

impl App {
    /// Seals a value for a place in the database.
    ///
    /// # Errors
    ///
    /// Internal, when the cryptographic library refuses.
    pub(crate) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>> {
        self.keys().seal(self.entropy(), place, plain)
    }

    /// Opens a value that was sealed for a place in the database.
    ///
    /// # Errors
    ///
    /// Internal, when it was sealed with another key, for another place, or was changed since.
    pub(crate) fn unseal(&self, place: Place<'_>, envelope: &[u8]) -> Result<Vec<u8>> {
        self.keys().unseal(place, envelope).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

    use super::*;
    use crate::clock::SystemEntropy;

    const PLACE: Place<'static> = Place { table: "targets", row: "7", column: "secrets" };

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let keys = Keys::ephemeral(&SystemEntropy).unwrap();

        let sealed = keys.seal(&SystemEntropy, PLACE, b"token").unwrap();

        assert_eq!(keys.unseal(PLACE, &sealed).unwrap(), b"token");
        assert!(!sealed.windows(5).any(|window| window == b"token"));
        for other in [
            Place { table: "apps", ..PLACE },
            Place { row: "8", ..PLACE },
            Place { column: "settings", ..PLACE },
        ] {
            assert_eq!(keys.unseal(other, &sealed), Err(Broken::Damaged));
        }
    }

    #[test]
    fn a_changed_value_does_not_open() {
        let keys = Keys::ephemeral(&SystemEntropy).unwrap();
        let sealed = keys.seal(&SystemEntropy, PLACE, b"token").unwrap();
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(keys.unseal(PLACE, &changed).is_err(), "byte {position}");
            assert!(keys.unseal(PLACE, &sealed[..position]).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn another_key_is_told_from_damage() {
        let keys = Keys::ephemeral(&SystemEntropy).unwrap();
        let other = Keys::ephemeral(&SystemEntropy).unwrap();
        let sealed = keys.seal(&SystemEntropy, PLACE, b"token").unwrap();

        assert_eq!(other.unseal(PLACE, &sealed), Err(Broken::OtherKey));
    }
}
