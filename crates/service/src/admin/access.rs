use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use prometheus::proto::MetricFamily;
use subtle::ConstantTimeEq as _;

use crate::limits::{ADMIN_TOKEN_BYTES_MAX, ADMIN_TOKEN_BYTES_MIN};
use crate::metrics::{Source, counter};
use crate::tls::AdminTls;

/// Who may see and change what the admin HTTP tells beside health and metrics: everybody who
/// reaches it, or who shows the token of a file, or a certificate. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Access {
    token: Option<Arc<Token>>,
    /// With it the admin HTTP speaks TLS.
    certificates: Option<Arc<AdminTls>>,
    refused: Arc<AtomicU64>,
    /// What process this is, where it says so to everybody.
    role: Option<&'static str>,
}

struct Token {
    file: PathBuf,
    token: Mutex<Vec<u8>>,
}

/// Whether the client of a connection has shown a certificate, which was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IsCertified(pub bool);

/// Why a file has no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// What the system says of it.
    #[error("--admin-token-file {}: failed to {what}: {problem}; give a file that memtide may read, or a new one where it may write", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Read, make.
        what: &'static str,
        /// What it says.
        problem: io::Error,
    },
    /// What is in it is no token.
    #[error(
        "--admin-token-file {}: no token; write one line of {ADMIN_TOKEN_BYTES_MIN} to {ADMIN_TOKEN_BYTES_MAX} printable characters without spaces, or remove the file and memtide makes one",
        .0.display()
    )]
    Content(PathBuf),
}

impl Access {
    /// Everybody who reaches the port.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// Who shows the token in this file, which is made where there is none, for its owner to read.
    ///
    /// # Errors
    /// Where it cannot be read or made, or has no token.
    pub fn by_token(file: &Path) -> Result<Self, TokenError> {
        let token = Mutex::new(read_or_make(file)?);
        let token = Some(Arc::new(Token { file: file.to_owned(), token }));
        Ok(Self { token, ..Self::default() })
    }

    /// And who shows one of these certificates; beside a token, either serves.
    #[must_use]
    pub fn or_by(mut self, certificates: AdminTls) -> Self {
        self.certificates = Some(Arc::new(certificates));
        self
    }

    /// And tells everybody with each answer which role of memtide this is: who has the address of another
    /// one is to notice.
    #[must_use]
    pub const fn of_role(mut self, role: &'static str) -> Self {
        self.role = Some(role);
        self
    }

    /// See [`Self::of_role`].
    pub(super) const fn role(&self) -> Option<&'static str> {
        self.role
    }

    /// Goes by what the files have now. Where one has nothing that can be used, what it had before stays.
    ///
    /// # Errors
    /// What is wrong with the first of them, in one line.
    pub fn reload(&self) -> Result<(), String> {
        let certificates = self.certificates.as_ref().map_or(Ok(()), |it| it.reload());
        let token = self.token.as_ref().map_or(Ok(()), |it| it.reload());
        token.map_err(|error| error.to_string())?;
        certificates.map_err(|error| error.to_string())
    }

    /// What it speaks, where that is TLS.
    pub(super) const fn tls(&self) -> Option<&Arc<AdminTls>> {
        self.certificates.as_ref()
    }

    /// Whether a request with these headers may go on, of a client with a certificate or without.
    pub(super) fn admits(&self, headers: &HeaderMap, client: IsCertified) -> bool {
        let is_open = self.token.is_none() && self.certificates.is_none();
        let by_token = || self.token.as_ref().is_some_and(|token| token.is_shown(headers));
        let is_admitted = is_open || client.0 || by_token();
        if !is_admitted {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        is_admitted
    }

    /// What to tell who is not admitted with these headers.
    pub(super) fn wanted(&self, headers: &HeaderMap) -> String {
        let wanted = match (&self.token, &self.certificates) {
            (_, None) => {
                "give the token in the file of --admin-token-file, as Authorization: Bearer TOKEN"
            }
            (None, Some(_)) => "show a certificate of a CA in the file of --admin-client-ca",
            (Some(_), Some(_)) => {
                "give the token in the file of --admin-token-file, as Authorization: Bearer TOKEN, or show a certificate of a CA in that of --admin-client-ca"
            }
        };
        let shown = match (headers.contains_key(header::AUTHORIZATION), &self.token) {
            (false, _) => "no token was shown",
            (true, None) => "a token was shown, and none is taken here",
            (true, Some(_)) if bearer(headers).is_none() => "what was shown is no Bearer TOKEN",
            (true, Some(_)) => {
                "the token that was shown is not the one here: it is of another memtide, or was changed since"
            }
        };
        format!("{shown}; {wanted}\n")
    }
}

impl Token {
    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        bearer(headers).is_some_and(|shown| token.as_slice().ct_eq(shown).into())
    }

    fn reload(&self) -> Result<(), TokenError> {
        let token = read(&self.file)?.ok_or_else(|| {
            let (file, problem) = (self.file.clone(), io::Error::from(ErrorKind::NotFound));
            TokenError::File { file, what: "read", problem }
        })?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
        Ok(())
    }
}

impl Source for Access {
    fn collect(&self) -> Vec<MetricFamily> {
        if self.token.is_none() && self.certificates.is_none() {
            return Vec::new();
        }
        vec![counter(
            "memtide_admin_unauthorized_total",
            "Requests to the admin HTTP without its token, or a certificate that it takes.",
            self.refused.load(Ordering::Relaxed),
        )]
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What stands behind `Bearer ` (RFC 6750, section 2.1), of the only such header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// The token of a file, for who is to show it.
///
/// # Errors
/// Where it cannot be read, or has none.
pub fn token_of(file: &Path) -> Result<String, TokenError> {
    let missing = || TokenError::File {
        file: file.to_owned(),
        what: "read",
        problem: io::Error::from(ErrorKind::NotFound),
    };
    let token = read(file)?.ok_or_else(missing)?;
    String::from_utf8(token).map_err(|_| TokenError::Content(file.to_owned()))
}

fn read_or_make(file: &Path) -> Result<Vec<u8>, TokenError> {
    if let Some(token) = read(file)? {
        return Ok(token);
    }
    match make(file) {
        Ok(()) => {}
        // Another process has made it in between.
        Err(problem) if problem.kind() == ErrorKind::AlreadyExists => {}
        Err(problem) => {
            return Err(TokenError::File { file: file.to_owned(), what: "make", problem });
        }
    }
    read(file)?.ok_or_else(|| TokenError::Content(file.to_owned()))
}

/// `None` where there is no such file.
fn read(file: &Path) -> Result<Option<Vec<u8>>, TokenError> {
    let wrong = |problem| TokenError::File { file: file.to_owned(), what: "read", problem };
    let opened = match File::open(file) {
        Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(wrong)?,
    };
    let mut token = Vec::new();
    opened.take(ADMIN_TOKEN_BYTES_MAX as u64 + 16).read_to_end(&mut token).map_err(wrong)?;
    let token = token.trim_ascii().to_vec();
    let is_token = (ADMIN_TOKEN_BYTES_MIN..=ADMIN_TOKEN_BYTES_MAX).contains(&token.len())
        && token.iter().all(u8::is_ascii_graphic);
    if is_token { Ok(Some(token)) } else { Err(TokenError::Content(file.to_owned())) }
}

/// 32 random bytes as hexadecimal digits. It appears under its name when it is whole.
fn make(file: &Path) -> io::Result<()> {
    let mut random = [0; 32];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut random)
        .map_err(|_| io::Error::other("the system has no random numbers"))?;
    let mut text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    // What a process of this number has left that was killed here.
    let _ = fs::remove_file(&beside);
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    made.write_all(text.as_bytes())?;
    made.sync_all()?;
    // Unlike a rename, a link does not take the place of another's.
    let linked = fs::hard_link(&beside, file);
    fs::remove_file(&beside)?;
    linked
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOBODY: IsCertified = IsCertified(false);

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_token_is_made_once_and_only_it_is_let_in() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("token");
        let access = Access::by_token(&file).unwrap();
        let token = token_of(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!((token.len(), fs::read_dir(home.path()).unwrap().count()), (64, 1));
        for access in [&access, &Access::by_token(&file).unwrap()] {
            assert!(access.admits(&headers(&[&format!("Bearer {token}")]), NOBODY));
            assert!(access.admits(&headers(&[&format!("bearer {token}")]), NOBODY));
            for wrong in [
                &[][..],
                &["Bearer "],
                &["Bearer"],
                &[&token],
                &[&format!("Bearer {}", &token[1..])],
                &[&format!("Bearer {token}x")],
                &[&format!("Basic {token}")],
                &[&format!("Bearer {token}"), "Bearer x"],
            ] {
                assert!(!access.admits(&headers(wrong), NOBODY), "{wrong:?}");
            }
        }
        assert!(Access::open().admits(&headers(&[]), NOBODY));
    }

    #[test]
    fn another_token_is_taken_when_told_and_none_leaves_the_one_before() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("token");
        fs::write(&file, "the-first-of-two-tokens\n").unwrap();
        let access = Access::by_token(&file).unwrap();
        let is_let_in = |token| access.admits(&headers(&[&format!("Bearer {token}")]), NOBODY);
        fs::write(&file, "the-second-of-two-tokens").unwrap();
        assert!(is_let_in("the-first-of-two-tokens") && !is_let_in("the-second-of-two-tokens"));
        access.reload().unwrap();
        assert!(!is_let_in("the-first-of-two-tokens") && is_let_in("the-second-of-two-tokens"));
        for no_token in ["", "short", "with a space in it, and long", &"x".repeat(5_000)] {
            fs::write(&file, no_token).unwrap();
            let error = access.reload().unwrap_err();
            assert!(error.contains("no token; write one line"), "{error}");
        }
        fs::remove_file(&file).unwrap();
        assert!(access.reload().is_err() && is_let_in("the-second-of-two-tokens"));
    }
}
