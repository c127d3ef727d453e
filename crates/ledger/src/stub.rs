//! What stays where a segment was that was moved away: whoever finds it knows that this server let the records
//! go, and did not lose them.
//!
//! ```text
//! tag, 64 hexadecimal digits, over the name of the file and what follows | checkpoint at its last record
//! ```
//!
//! The tag is a keyed BLAKE3. The hashes of the records stay in `tree/`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use crate::files;
use crate::key_file::{MasterKey, Purpose};

const TAG_DIGITS: usize = 64;

/// Writes a stub under this name, whole and synced, in place of one that is there.
pub(crate) fn write(path: &Path, checkpoint: &str, master_key: &MasterKey) -> io::Result<()> {
    let tag = tag(path, checkpoint, master_key).to_hex();
    files::replace(path, format!("{tag}\n{checkpoint}").as_bytes())
}

/// Whether this server wrote this stub, under this name.
pub(crate) fn is_ours(path: &Path, master_key: &MasterKey) -> io::Result<bool> {
    files::require_regular(path)?;
    let text = fs::read(path)?;
    let Some((digits, checkpoint)) = text.split_at_checked(TAG_DIGITS) else {
        return Ok(false);
    };
    let checkpoint = checkpoint.strip_prefix(b"\n").map(str::from_utf8);
    let (Some(Ok(checkpoint)), Ok(found)) = (checkpoint, blake3::Hash::from_hex(digits)) else {
        return Ok(false);
    };
    Ok(found == tag(path, checkpoint, master_key))
}

fn tag(path: &Path, checkpoint: &str, master_key: &MasterKey) -> blake3::Hash {
    let key = master_key.sub_key(Purpose::ArchivedStub);
    let name = path.file_name().map_or(&[][..], OsStr::as_encoded_bytes);
    let mut hasher = blake3::Hasher::new_keyed(key.as_bytes());
    hasher
        .update(name)
        .update(b"\n")
        .update(checkpoint.as_bytes());
    hasher.finalize()
}
