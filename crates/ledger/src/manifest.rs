//! `events.manifest`: the length and hash of each of sled's files, as a clean stop left them.
//!
//! Nothing may change them until the next start, so the start can compare before sled touches them,
//! and name the file that differs. The hash of the manifest itself stands in the
//! [head](crate::head), whose tag nobody can make without the key file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::files;

/// How the files differ from what a clean stop left.
#[derive(Debug, Error)]
pub enum FilesChanged {
    /// A file has other bytes.
    #[error("{} was changed since the last clean stop", .0.display())]
    Changed(PathBuf),
    /// A file is not there.
    #[error("{} is missing since the last clean stop", .0.display())]
    Missing(PathBuf),
    /// A file is there that was not.
    #[error("{} was added since the last clean stop", .0.display())]
    Added(PathBuf),
    /// A file could not be read.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
}

/// The lines of the manifest by the file's name: `<BLAKE3 in hexadecimal> <bytes>`.
type Lines = BTreeMap<String, String>;

/// Writes the manifest of a folder that nobody writes to any more, syncs it, and gives its hash.
pub(crate) fn write(manifest: &Path, folder: &Path) -> io::Result<[u8; 32]> {
    let text = lines_of(folder)
        .map_err(|(_, error)| error)?
        .into_iter()
        .fold(String::new(), |mut text, (name, line)| {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{line} {name}");
            text
        });
    files::replace(manifest, text.as_bytes())?;
    Ok(blake3::hash(text.as_bytes()).into())
}

/// Compares a folder with the manifest whose hash the head tells. Reads only.
pub(crate) fn verify(
    manifest: &Path,
    manifest_hash: &[u8; 32],
    folder: &Path,
) -> Result<(), FilesChanged> {
    let text = match fs::read(manifest) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FilesChanged::Missing(manifest.to_owned()));
        }
        Err(error) => return Err(FilesChanged::Unreadable(manifest.to_owned(), error)),
    };
    if blake3::hash(&text) != blake3::Hash::from_bytes(*manifest_hash) {
        return Err(FilesChanged::Changed(manifest.to_owned()));
    }
    let mut wanted: Lines = String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let (hash, rest) = line.split_once(' ')?;
            let (bytes, name) = rest.split_once(' ')?;
            Some((name.to_owned(), format!("{hash} {bytes}")))
        })
        .collect();
    let found = lines_of(folder).map_err(|(path, error)| FilesChanged::Unreadable(path, error))?;
    for (name, line) in found {
        match wanted.remove(&name) {
            Some(wanted) if wanted == line => {}
            Some(_) => return Err(FilesChanged::Changed(folder.join(name))),
            None => return Err(FilesChanged::Added(folder.join(name))),
        }
    }
    match wanted.into_keys().next() {
        Some(name) => Err(FilesChanged::Missing(folder.join(name))),
        None => Ok(()),
    }
}

/// Reads all files of a folder and the folders in it; an error comes with the path it is about.
fn lines_of(folder: &Path) -> Result<Lines, (PathBuf, io::Error)> {
    let mut lines = Lines::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        let entries = match fs::read_dir(&current) {
            Ok(entries) => entries,
            // No folder has no files; what should be in it is then named as missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err((current, error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| (current.clone(), error))?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let line = line_of(&path).map_err(|error| (path.clone(), error))?;
                let name = path.strip_prefix(folder).unwrap_or(&path);
                lines.insert(name.to_string_lossy().into_owned(), line);
            }
        }
    }
    Ok(lines)
}

fn line_of(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(format!("{} {}", hasher.finalize().to_hex(), hasher.count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_change_is_found_and_the_file_named() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("events");
        let manifest = root.path().join("events.manifest");
        fs::create_dir_all(folder.join("blobs")).expect("made");
        fs::write(folder.join("db"), b"records").expect("written");
        fs::write(folder.join("blobs/7"), b"a large page").expect("written");
        let hash = write(&manifest, &folder).expect("written");
        let check = || verify(&manifest, &hash, &folder);
        check().expect("nothing changed");

        fs::write(folder.join("db"), b"recordz").expect("written");
        assert!(matches!(check(), Err(FilesChanged::Changed(path)) if path.ends_with("events/db")));
        fs::remove_file(folder.join("db")).expect("removed");
        assert!(matches!(check(), Err(FilesChanged::Missing(path)) if path.ends_with("events/db")));
        fs::write(folder.join("db"), b"records").expect("written");
        fs::write(folder.join("blobs/8"), b"").expect("written");
        assert!(matches!(check(), Err(FilesChanged::Added(path)) if path.ends_with("blobs/8")));
        fs::remove_file(folder.join("blobs/8")).expect("removed");
        check().expect("all is as it was");

        fs::write(&manifest, b"").expect("written");
        assert!(matches!(check(), Err(FilesChanged::Changed(path)) if path == manifest));
        fs::remove_file(&manifest).expect("removed");
        assert!(matches!(check(), Err(FilesChanged::Missing(path)) if path == manifest));
    }
}
