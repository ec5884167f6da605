//! TLS configuration of outbound calls: the trusted certificate authorities.
//!
//! A function trusts the authorities of its host, and those in the files that it names. The files
//! are read once, when the function is loaded.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::error::LoadError;

/// The most bytes of a file of authorities. Mozilla's whole list has less than 250 KB.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The certificate authorities that all functions of an engine trust.
#[derive(Clone, Debug, Default)]
pub enum Authorities {
    /// Mozilla's list, which is compiled in.
    #[default]
    Public,
    /// These, and none of Mozilla's list.
    Given(Vec<CertificateDer<'static>>),
}

impl Authorities {
    fn roots(&self) -> RootCertStore {
        match self {
            Self::Public => RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.into(),
            },
            Self::Given(certificates) => {
                let mut roots = RootCertStore::empty();
                // Lists of operating systems contain certificates that no current verifier accepts.
                roots.add_parsable_certificates(certificates.iter().cloned());
                roots
            }
        }
    }

    /// The configuration of functions without authorities of their own.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        config(self.roots())
    }

    /// The configuration of a function that also trusts the authorities in `files`; `None` without
    /// files.
    ///
    /// # Errors
    ///
    /// [`LoadError::Authorities`] for a file that cannot be read or has no certificate.
    pub(crate) fn with_files(
        &self,
        files: &[String],
    ) -> Result<Option<Arc<ClientConfig>>, LoadError> {
        if files.is_empty() {
            return Ok(None);
        }
        let mut roots = self.roots();
        for file in files {
            let path = Path::new(file);
            add_file(&mut roots, path).map_err(|message| LoadError::Authorities {
                path: path.to_owned(),
                message,
            })?;
        }
        Ok(Some(config(roots)))
    }
}

/// Adds every certificate of a PEM file, or says why that is not possible.
fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let mut text = Vec::new();
    open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text))
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
    }
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        found += 1;
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots
            .add(certificate)
            .map_err(|error| format!("certificate {found} in it: {error}"))?;
    }
    if found == 0 {
        return Err("it has no certificate in PEM".to_owned());
    }
    Ok(())
}

/// Opens a regular file. A pipe has no end, and to open one would wait for its writer.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

/// A client's configuration with TLS 1.2 and 1.3.
///
/// # Panics
///
/// Never: the provider that is named here has both versions.
fn config(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed certificate in PEM.
    fn certificate() -> String {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::default();
        parameters.self_signed(&key).expect("a certificate").pem()
    }

    #[test]
    fn the_authorities_of_files_are_added_and_bad_files_are_named() {
        fn check(text: Option<&str>, expected: Result<usize, &str>) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("ca.crt");
            if let Some(text) = text {
                std::fs::write(&path, text).expect("a file");
            }
            let mut roots = RootCertStore::empty();
            let added = add_file(&mut roots, &path).map(|()| roots.len());
            match (added, expected) {
                (Ok(added), Ok(expected)) => assert_eq!(added, expected, "{text:?}"),
                (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
                (added, expected) => panic!("{text:?}: {added:?}, expected {expected:?}"),
            }
            let files = [path.display().to_string()];
            match Authorities::Public.with_files(&files) {
                Ok(config) => assert!(config.is_some() && expected.is_ok(), "{text:?}"),
                Err(error) => {
                    let shown = error.to_string();
                    assert!(shown.contains(&files[0]) && expected.is_err(), "{shown}");
                }
            }
        }
        let one = certificate();
        check(Some(&one), Ok(1));
        check(
            Some(&format!("# a comment\n{one}\n{}", certificate())),
            Ok(2),
        );
        check(Some(""), Err("no certificate"));
        check(Some("no PEM at all"), Err("no certificate"));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(Some(&format!("{one}{broken}")), Err("certificate 2"));
        check(None, Err("No such file"));
    }

    #[test]
    fn only_regular_files_have_authorities() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).expect("a pipe");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).expect("a link");
        for path in [folder.path(), pipe.as_path(), link.as_path()] {
            let refused = add_file(&mut RootCertStore::empty(), path);
            let message = refused.expect_err("it is no regular file");
            assert_eq!(message, "it is not a regular file", "{}", path.display());
        }
    }

    #[test]
    fn given_authorities_replace_the_public_ones() {
        let text = certificate();
        let given = CertificateDer::from_pem_slice(text.as_bytes()).expect("a certificate");
        assert_eq!(Authorities::Given(vec![given]).roots().len(), 1);
        assert!(Authorities::Public.roots().len() > 100);
    }
}
