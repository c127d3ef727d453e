//! TLS of our own: a certificate and its key from two files, read again when they change.
//!
//! rustls with ring, the cryptography that everything else here uses too; TLS 1.2 and 1.3.

use core::time::Duration;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use zeroize::Zeroizing;

/// How often the files are looked at.
const LOOK_SECONDS: u64 = 2;

/// Where the certificate and its key are, both as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and behind it those that lead to a root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why the files are no good. The words never repeat what is in them.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} holds no {wanted} in PEM", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// The two cannot be used, or not together.
    #[error("the certificate in {} and the key in {} cannot be used together", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The system gives no thread that would see new files.
    #[error("no thread is to be had that looks whether the certificate changes")]
    NoThread(#[source] io::Error),
}

impl TlsFiles {
    /// The certificates in the file, the server's own first, in DER.
    ///
    /// # Errors
    /// When the file cannot be read, or holds none.
    pub fn chain(&self) -> Result<Vec<Vec<u8>>, TlsError> {
        let chain = self.read_chain()?;
        Ok(chain.iter().map(|one| one.as_ref().to_vec()).collect())
    }

    /// Whether the two files can be used together.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn check(&self) -> Result<(), TlsError> {
        self.load().map(drop)
    }

    fn read_chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let path = &self.certificate;
        let pem = read(path)?;
        let malformed = |source| TlsError::Malformed {
            path: path.clone(),
            wanted: "certificate",
            source,
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(malformed)?;
        if chain.is_empty() {
            return Err(malformed(pem::Error::NoItemsFound));
        }
        Ok(chain)
    }

    fn load(&self) -> Result<ServerConfig, TlsError> {
        let chain = self.read_chain()?;
        let pem = read(&self.key)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|source| TlsError::Malformed {
            path: self.key.clone(),
            wanted: "private key",
            source,
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|source| TlsError::Unusable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((
                metadata.ino(),
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.len(),
            ))
        })
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| TlsError::Unreadable {
            path: path.to_owned(),
            source,
        })
}

/// What tells a file from the one that was there before: inode, time, length. Nothing where there is
/// no file.
type Stamp = [Option<(u64, i64, i64, u64)>; 2];

/// The certificate that new connections get.
pub struct Certificates {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
}

impl Certificates {
    /// Reads the files, and from then on looks whether they change. A change that is no good leaves
    /// the certificate in use that was there before, and is told in the log.
    ///
    /// # Errors
    /// When the files are no good now, or no thread is to be had.
    pub fn open(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        // The stamp comes first: what changes in between is read once more.
        let stamp = files.stamp();
        let current = RwLock::new(Arc::new(files.load()?));
        let certificates = Arc::new(Self { files, current });
        let weak = Arc::downgrade(&certificates);
        let thread = std::thread::Builder::new().name("certificates".to_owned());
        thread
            .spawn(move || Self::watch(&weak, stamp))
            .map_err(TlsError::NoThread)?;
        Ok(certificates)
    }

    /// What the next connection is to get. Those that are open keep what they began with.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read())
    }

    fn watch(weak: &Weak<Self>, mut stamp: Stamp) {
        loop {
            std::thread::sleep(Duration::from_secs(LOOK_SECONDS));
            let Some(certificates) = weak.upgrade() else {
                return;
            };
            stamp = certificates.look(stamp);
        }
    }

    /// Reads the files again if they are not those of the stamp. Two files cannot change at once: a
    /// look in between finds that they do not fit, and the next one that they do.
    fn look(&self, before: Stamp) -> Stamp {
        let now = self.files.stamp();
        if now != before {
            match self.files.load() {
                Ok(config) => {
                    *self.current.write() = Arc::new(config);
                    tracing::info!("the new certificate is in use");
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(
                        %error,
                        cause,
                        "the certificate files changed and are no good; the certificate from before stays in use"
                    );
                }
            }
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(tempfile::TempDir, TlsFiles);

    fn files() -> Files {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("certificate.pem"),
            key: folder.path().join("key.pem"),
        };
        Files(folder, files)
    }

    fn write(files: &TlsFiles) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(&files.certificate, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn a_pair_that_fits_is_taken_and_anything_else_says_what_is_wrong() {
        let Files(_folder, files) = files();
        assert!(matches!(files.check(), Err(TlsError::Unreadable { .. })));
        write(&files);
        files.check().unwrap();
        assert_eq!(files.chain().unwrap().len(), 1);
        let key = fs::read(&files.key).unwrap();
        write(&files);
        fs::write(&files.key, key).unwrap();
        assert!(matches!(files.check(), Err(TlsError::Unusable { .. })));
        fs::write(&files.key, "-----BEGIN NOTHING-----\n").unwrap();
        let error = files.check().unwrap_err();
        assert!(error.to_string().contains("no private key"), "{error}");
        fs::write(&files.certificate, "").unwrap();
        let error = files.check().unwrap_err();
        assert!(error.to_string().contains("no certificate"), "{error}");
    }

    #[test]
    fn a_new_pair_is_taken_and_a_bad_one_leaves_the_old_in_use() {
        let Files(_folder, files) = files();
        write(&files);
        let certificates = Certificates {
            current: RwLock::new(Arc::new(files.load().unwrap())),
            files: files.clone(),
        };
        let first = certificates.current();
        let stamp = certificates.look(files.stamp());
        assert!(Arc::ptr_eq(&first, &certificates.current()), "no change");
        fs::write(&files.key, "no key").unwrap();
        let stamp = certificates.look(stamp);
        assert!(Arc::ptr_eq(&first, &certificates.current()), "a bad key");
        write(&files);
        certificates.look(stamp);
        assert!(!Arc::ptr_eq(&first, &certificates.current()));
    }
}
