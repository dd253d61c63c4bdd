//! The cookie: a password of one run of the node, in a file that only its owner can read.
//!
//! Source: Bitcoin Core, `src/rpc/request.cpp`.

use std::fmt;
use std::fs;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Who asks, by habit of Core.
const USER: &str = "__cookie__";
const SECRET_BYTES: usize = 32;
const OWNER_ONLY: u32 = 0o600;

/// The cookie of this run. Its file is removed when this is dropped.
pub(crate) struct Cookie {
    header: String,
    file: PathBuf,
}

impl Cookie {
    /// Makes a new cookie and writes its file.
    ///
    /// # Errors
    /// When the file can not be written, or the system gives no randomness.
    pub(crate) fn create(file: &Path) -> Result<Self, io::Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let text = format!("{USER}:{}", hex::encode(secret));
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        // A file of an earlier run may be there with other rights: it is replaced, not reused.
        let fresh = file.with_extension("new");
        let _ = fs::remove_file(&fresh);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(OWNER_ONLY);
        options.open(&fresh)?.write_all(text.as_bytes())?;
        fs::rename(&fresh, file)?;
        let header = format!("Basic {}", STANDARD.encode(text));
        Ok(Self { header, file: file.to_owned() })
    }

    /// Whether this is the header of whoever has the cookie. Takes as long for a wrong one as for
    /// another wrong one.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let expected = self.header.as_bytes();
        let differing = given.iter().zip(expected).fold(0, |sum, (one, other)| sum | (one ^ other));
        given.len() == expected.len() && differing == 0
    }

    /// The header, for tests.
    #[cfg(test)]
    pub(super) fn header(&self) -> &str {
        &self.header
    }
}

impl Drop for Cookie {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.file);
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cookie").field("file", &self.file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_cookie_opens_for_itself_alone_and_its_file_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("below/.cookie");
        let cookie = Cookie::create(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("__cookie__:") && text.len() == 11 + 64, "{text}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, OWNER_ONLY);
        assert!(cookie.is(format!("Basic {}", STANDARD.encode(&text)).as_bytes()));
        for wrong in ["", "Basic ", "Basic X19jb29raWVfXzo=", &text] {
            assert!(!cookie.is(wrong.as_bytes()), "{wrong}");
        }
        drop(cookie);
        assert!(!file.exists());
    }
}
