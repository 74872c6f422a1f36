//! The key of a deployment: 32 random bytes in a file outside the database, from which everything
//! that is sealed in the database gets its key.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use accede_store::crash::{Point, point};
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Entropy;

/// The key file's name in a data directory.
pub const KEY_FILE: &str = "accede.key";
/// What a key file begins with; the number changes with its format.
const PREFIX: &str = "accede-key-1:";
/// Longest key file that is read.
const MAX_KEY_FILE: u64 = 1_024;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is a database but not the key that it was sealed with.
    #[error(
        "the database is sealed with a key, but there is no key file `{}`; put it back from your \
         backup, or name it in ACCEDE_KEY_FILE",
        .0.display()
    )]
    Missing(PathBuf),
    /// Others could read the key.
    #[error("others can read the key file `{}`; run `chmod 600` on it", .0.display())]
    Exposed(PathBuf),
    /// The file holds something else.
    #[error(
        "`{}` is not a key file of Accede: it does not hold one line `{PREFIX}…`; put the right \
         file back from your backup, or name it in ACCEDE_KEY_FILE",
        .0.display()
    )]
    Malformed(PathBuf),
    /// The key belongs to another database.
    #[error(
        "the key file does not fit the database, which was sealed with another key; put the right \
         file back from your backup, or name it in ACCEDE_KEY_FILE"
    )]
    Wrong,
    /// The file cannot be read or written.
    #[error("the key file `{}` cannot be {doing}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// `read`, `written`.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The cryptographic library refused.
    #[error("the key cannot be used")]
    Unusable,
}

/// The keys derived from one key file.
pub struct Keys {
    pub(crate) id: [u8; 4],
    pub(crate) sealing: LessSafeKey,
}

/// How many bytes to derive.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

impl Keys {
    /// Keys that live as long as the process; for databases in memory and for tests.
    ///
    /// # Errors
    ///
    /// When the cryptographic library refuses.
    pub fn ephemeral(entropy: &dyn Entropy) -> Result<Keys, KeyError> {
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        Keys::derive(&secret)
    }

    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// When others can read it, or when it is not one.
    pub fn read(path: &Path) -> Result<Keys, KeyError> {
        let failed = |source| KeyError::Io { path: path.to_owned(), doing: "read", source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            return Err(KeyError::Exposed(path.to_owned()));
        }
        let mut text = String::new();
        let malformed = || KeyError::Malformed(path.to_owned());
        file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(|_| malformed())?;
        let encoded = text.trim().strip_prefix(PREFIX).ok_or_else(malformed)?;
        let secret = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| malformed())?;
        let secret: [u8; 32] = secret.try_into().map_err(|_| malformed())?;
        Keys::derive(&secret)
    }

    /// Writes a new key file, which only its owner can read, or reads the one that somebody else has
    /// written meanwhile.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn create(path: &Path, entropy: &dyn Entropy) -> Result<Keys, KeyError> {
        let failed = |source| KeyError::Io { path: path.to_owned(), doing: "written", source };
        let (mut secret, mut name) = ([0; 32], [0; 8]);
        entropy.fill(&mut secret);
        entropy.fill(&mut name);
        // Nobody ever sees half a key: it gets its name once it is whole.
        let draft = path.with_extension(format!("new-{}", URL_SAFE_NO_PAD.encode(name)));
        let line = format!("{PREFIX}{}\n", URL_SAFE_NO_PAD.encode(secret));
        let mut options = OpenOptions::new();
        let written = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| {
                point(Point::KeyDrafted);
                std::fs::hard_link(&draft, path)
            });
        point(Point::KeyNamed);
        let _gone = std::fs::remove_file(&draft);
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Keys::read(path);
            }
            outcome => outcome.map_err(failed)?,
        }
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        }
        Keys::derive(&secret)
    }

    fn derive(secret: &[u8; 32]) -> Result<Keys, KeyError> {
        let root = Salt::new(HKDF_SHA256, b"accede").extract(secret);
        let bytes = |purpose: &[u8], out: &mut [u8]| {
            root.expand(&[purpose], Bytes(out.len()))
                .and_then(|okm| okm.fill(out))
                .map_err(|_| KeyError::Unusable)
        };
        let mut id = [0; 4];
        bytes(b"key id", &mut id)?;
        let mut sealing = [0; 32];
        bytes(b"sealing", &mut sealing)?;
        let sealing = UnboundKey::new(&AES_256_GCM, &sealing).map_err(|_| KeyError::Unusable)?;
        Ok(Keys { id, sealing: LessSafeKey::new(sealing) })
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock::SystemEntropy;

    #[test]
    fn a_key_file_is_its_owners_and_gives_the_same_key_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY_FILE);

        let made = Keys::create(&path, &SystemEntropy).unwrap();

        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Keys::read(&path).unwrap().id, made.id);
        assert_eq!(Keys::create(&path, &SystemEntropy).unwrap().id, made.id, "the first one stays");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY_FILE);
        Keys::create(&path, &SystemEntropy).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();

        let refused = Keys::read(&path).unwrap_err();

        assert!(matches!(refused, KeyError::Exposed(_)), "{refused}");
        assert!(refused.to_string().contains("chmod 600"));
    }

    #[test]
    fn something_else_is_no_key_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY_FILE);
        for text in ["", "hello", "accede-key-1:", "accede-key-1:AAAA", "\u{0}\u{1}"] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let refused = Keys::read(&path).unwrap_err();
            assert!(matches!(refused, KeyError::Malformed(_)), "{text:?}: {refused}");
        }
    }
}
