//! The mark of keys that have never signed: a file beside them, deleted when the first vertex that
//! they signed is written and before it leaves.
//!
//! **Invariant:** once a signature may have left this machine, the mark is gone for good, also when
//! the power fails: the folder is synced before the first vertex is sent. A validator with an empty
//! store and no mark has lost its store. Were the mark deleted before anything is written, a network
//! whose machines all lost their power in that moment could never start.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use super::UNUSED_FILE;
use crate::failpoints::Point;

/// Whether keys are marked as unused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedMark {
    file: Option<PathBuf>,
}

impl UnusedMark {
    /// Looks for the mark beside the secrets.
    pub(crate) fn find(secrets_dir: &Path) -> Self {
        let file = secrets_dir.join(UNUSED_FILE);
        Self { file: file.exists().then_some(file) }
    }

    /// Whether the keys are marked.
    pub fn is_there(&self) -> bool {
        self.file.is_some()
    }

    /// Takes the mark away, durably. Does nothing when there is none, or any more.
    ///
    /// # Errors
    /// When the file system refuses: then nothing may be signed.
    pub(crate) fn remove(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let Some(file) = &self.file else { return Ok(()) };
        remove_durably(file).map_err(|error| (file.clone(), error))?;
        Point::MarkRemoved.reach();
        self.file = None;
        Ok(())
    }
}

fn remove_durably(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_removed_once_and_not_found_again() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!UnusedMark::find(folder.path()).is_there());
        std::fs::write(folder.path().join(UNUSED_FILE), "").unwrap();
        let mut mark = UnusedMark::find(folder.path());
        assert!(mark.is_there());
        mark.remove().unwrap();
        mark.remove().unwrap();
        assert!(!mark.is_there() && !UnusedMark::find(folder.path()).is_there());
    }

    #[test]
    fn a_mark_that_can_not_be_removed_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(UNUSED_FILE);
        std::fs::create_dir(&file).unwrap();
        let (named, _) = UnusedMark::find(folder.path()).remove().unwrap_err();
        assert_eq!(named, file);
    }
}
