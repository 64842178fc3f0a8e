use std::{fmt, io, path::PathBuf};

use super::material::UtcMinute;

/// A file as its owner knows it: the setting that named it, and the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFile {
    /// For example `--tls-cert`; `--data-dir` for those that memtide makes itself.
    pub setting: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

impl fmt::Display for TlsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.path.display())
    }
}

/// Why TLS material cannot be used. One line each: where, what, what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system does not let us read it.
    #[error("{file}: failed to read: {source}; {}", advice(source))]
    Unreadable {
        /// Which.
        file: TlsFile,
        /// The system's reason.
        source: io::Error,
    },
    /// Over [`crate::limits::PEM_BYTES_MAX`].
    #[error("{file}: too large for a PEM file; is the path right?")]
    TooLarge {
        /// Which.
        file: TlsFile,
    },
    /// Nothing that could be a password.
    #[error("{file}: holds no text; write the password into it")]
    NoText {
        /// Which.
        file: TlsFile,
    },
    /// No certificate in it, or broken PEM.
    #[error("{file}: holds no certificate ({reason}); give PEM: -----BEGIN CERTIFICATE-----")]
    NoCertificate {
        /// Which.
        file: TlsFile,
        /// What was found in its place.
        reason: String,
    },
    /// PEM whose content is no X.509 certificate that rustls takes.
    #[error("{file}: certificate {position} cannot be used ({reason}); issue it anew")]
    BadCertificate {
        /// Which.
        file: TlsFile,
        /// Its place in the file, from 1.
        position: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No private key in it, or broken PEM.
    #[error("{file}: holds no private key ({reason}); give PEM: -----BEGIN PRIVATE KEY-----")]
    NoKey {
        /// Which.
        file: TlsFile,
        /// What was found in its place.
        reason: String,
    },
    /// Protected by a passphrase.
    #[error(
        "{file}: the key is encrypted and nobody is there to ask for its passphrase; decrypt it \
         (openssl pkey -in FILE -out NEWFILE)"
    )]
    EncryptedKey {
        /// Which.
        file: TlsFile,
    },
    /// A kind of key that rustls does not take.
    #[error(
        "{file}: the key cannot be used ({reason}); give RSA of 2048 bits or more, ECDSA P-256, P-384 or P-521, or Ed25519"
    )]
    BadKey {
        /// Which.
        file: TlsFile,
        /// What is wrong with it.
        reason: String,
    },
    /// The key belongs to another certificate.
    #[error("{key}: does not match the certificate of {cert}; give the key that it was issued for")]
    KeyMismatch {
        /// The key's file.
        key: TlsFile,
        /// The certificate's file.
        cert: TlsFile,
    },
    /// The key belongs to a later certificate of the chain.
    #[error("{cert}: the server's certificate comes {position}. in the file; put it first")]
    LeafNotFirst {
        /// The certificate's file.
        cert: TlsFile,
        /// Its place in the file, from 1.
        position: usize,
    },
    /// Not after lies in the past.
    #[error("{file}: the certificate expired at {at}; renew it")]
    Expired {
        /// Which.
        file: TlsFile,
        /// Its notAfter.
        at: UtcMinute,
    },
    /// Not before lies in the future.
    #[error(
        "{file}: the certificate is not valid before {from}, and this host's clock says {now}; correct the clock or wait"
    )]
    NotYetValid {
        /// Which.
        file: TlsFile,
        /// Its notBefore.
        from: UtcMinute,
        /// This host's time.
        now: UtcMinute,
    },
    /// The directory for made material cannot be written.
    #[error("{file}: failed to write: {source}; {}", advice(source))]
    Unwritable {
        /// Which.
        file: TlsFile,
        /// The system's reason.
        source: io::Error,
    },
    /// Files in the place of made ones that memtide did not make.
    #[error(
        "{file}: not issued by the ca.pem beside it; name your own certificate with --tls-cert and \
         --tls-key, or remove this directory to have all of it made anew"
    )]
    NotOurs {
        /// The certificate.
        file: TlsFile,
    },
    /// A certificate of a fleet that its CA did not issue.
    #[error(
        "{file}: not issued by the ca.pem beside it; put the files of one `memtide tls init` there"
    )]
    Foreign {
        /// The certificate.
        file: TlsFile,
    },
    /// A certificate of a fleet that is another role's.
    #[error("{file}: not good for {name}; put the certificate of that role there")]
    WrongRole {
        /// The certificate.
        file: TlsFile,
        /// The name that it must have.
        name: &'static str,
    },
    /// Made material that can no longer be renewed.
    #[error(
        "{file}: must be made anew, and the ca.key that could do it is not there; remove this \
         directory to have all of it made anew, and give the new ca.pem to all that trust the old"
    )]
    CannotRenew {
        /// The certificate.
        file: TlsFile,
    },
    /// The cryptographic library refuses; a bug or a host without randomness.
    #[error("failed to make TLS material: {0}")]
    Crypto(String),
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "is the path right?",
        io::ErrorKind::PermissionDenied => {
            "give the user that memtide runs as permission (ls -l shows who has it)"
        }
        io::ErrorKind::ReadOnlyFilesystem => "give a directory that can be written",
        io::ErrorKind::StorageFull => "make room on its file system",
        _ => "see to the file and its file system",
    }
}
