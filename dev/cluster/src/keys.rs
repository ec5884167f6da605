//! Makes the cluster's keys and certificates: one authority, and one certificate for each client
//! and server.
//!
//! They are made once and kept; only their owner can read the folder.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};

use super::layout::{API_SERVICE, Layout, Node};

/// The folder of keys.
#[derive(Debug)]
pub(crate) struct Keys {
    folder: PathBuf,
}

/// The subject of a certificate.
struct Subject {
    name: String,
    group: Option<String>,
    /// A server's names and addresses; `None` for a client.
    server: Option<Vec<SanType>>,
}

impl Keys {
    /// Makes the missing keys and certificates.
    pub(crate) fn make(layout: &Layout, nodes: &[Node]) -> Result<Keys> {
        let keys = Keys {
            folder: layout.keys(),
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&keys.folder)
            .with_context(|| format!("failed to make {}", keys.folder.display()))?;
        keys.authority("ca")?;
        keys.authority("front-proxy-ca")?;
        keys.service_accounts()?;
        for (name, group) in [
            ("admin", Some("system:masters")),
            ("apiserver-kubelet-client", Some("system:masters")),
            ("system:kube-controller-manager", None),
            ("system:kube-scheduler", None),
            ("system:kube-proxy", None),
        ] {
            keys.signed("ca", &Subject::client(name, group))?;
        }
        keys.signed(
            "front-proxy-ca",
            &Subject::client("front-proxy-client", None),
        )?;
        keys.signed("ca", &api_server(&layout.node(1))?)?;
        for node in nodes {
            let user = node_user(node);
            keys.signed("ca", &Subject::client(&user, Some("system:nodes")))?;
            keys.signed("ca", &kubelet(node)?)?;
        }
        Ok(keys)
    }

    pub(crate) fn certificate(&self, name: &str) -> PathBuf {
        self.file(name, "crt")
    }

    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.file(name, "key")
    }

    /// The public half of the key that signs service accounts' tokens.
    pub(crate) fn service_account_public(&self) -> PathBuf {
        self.file("service-accounts", "pub")
    }

    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.folder
            .join(format!("{}.{kind}", name.replace(':', "-")))
    }

    fn authority(&self, name: &str) -> Result<()> {
        self.make_once(name, |key| Ok(authority(name).self_signed(key)?.pem()))
    }

    fn signed(&self, by: &str, subject: &Subject) -> Result<()> {
        let file = match subject.server {
            Some(_) => format!("{}-server", subject.name),
            None => subject.name.clone(),
        };
        self.make_once(&file, |key| {
            let issuer = Issuer::new(authority(by), KeyPair::from_pem(&read(&self.key(by))?)?);
            let mut params = CertificateParams::default();
            params.distinguished_name = distinguished(&subject.name, subject.group.as_deref());
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.use_authority_key_identifier_extension = true;
            if let Some(names) = &subject.server {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                params.subject_alt_names.clone_from(names);
            } else {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }
            Ok(params.signed_by(key, &issuer)?.pem())
        })
    }

    fn service_accounts(&self) -> Result<()> {
        let public = self.service_account_public();
        self.make_once("service-accounts", |key| {
            write(&public, &key.public_key_pem())?;
            // This certificate has no reader; its file marks that both halves of the key exist.
            Ok(key.public_key_pem())
        })
    }

    /// Makes a key and its certificate, unless they exist. The certificate is written last, so its
    /// presence implies the key's.
    fn make_once(
        &self,
        name: &str,
        certificate: impl FnOnce(&KeyPair) -> Result<String>,
    ) -> Result<()> {
        if self.certificate(name).exists() {
            return Ok(());
        }
        let make = || {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            write(&self.key(name), &key.serialize_pem())?;
            write(&self.certificate(name), &certificate(&key)?)
        };
        make().with_context(|| format!("failed to make the key of {name}"))
    }
}

impl Subject {
    fn client(name: &str, group: Option<&str>) -> Subject {
        Subject {
            name: name.to_owned(),
            group: group.map(str::to_owned),
            server: None,
        }
    }
}

/// The user name of a node's kubelet at the API server.
pub(crate) fn node_user(node: &Node) -> String {
    format!("system:node:{}", node.name())
}

fn api_server(node: &Node) -> Result<Subject> {
    let mut names = vec![
        SanType::IpAddress([127, 0, 0, 1].into()),
        SanType::IpAddress(node.address().into()),
        SanType::IpAddress(API_SERVICE.into()),
    ];
    for name in [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ] {
        names.push(SanType::DnsName(name.try_into()?));
    }
    Ok(Subject {
        name: "apiserver".to_owned(),
        group: None,
        server: Some(names),
    })
}

fn kubelet(node: &Node) -> Result<Subject> {
    Ok(Subject {
        name: node.component("kubelet"),
        group: Some("system:nodes".to_owned()),
        server: Some(vec![
            SanType::DnsName(node.name().as_str().try_into()?),
            SanType::IpAddress(node.address().into()),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ]),
    })
}

/// The content of an authority's certificate, except for its key.
fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished(&format!("sampan {name}"), None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

fn distinguished(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut whole = DistinguishedName::new();
    if let Some(group) = group {
        whole.push(DnType::OrganizationName, group);
    }
    whole.push(DnType::CommonName, name);
    whole
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    let unfinished = file.with_extension("new");
    let write = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&unfinished)?.write_all(text.as_bytes())?;
        fs::rename(&unfinished, file)
    };
    write().with_context(|| format!("failed to write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_are_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let keys = Keys {
            folder: folder.path().to_owned(),
        };
        let make = || {
            keys.authority("ca").unwrap();
            let subject = Subject::client("system:node:node-1", Some("system:nodes"));
            keys.signed("ca", &subject).unwrap();
            keys.signed(
                "ca",
                &api_server(&Layout::new("a".parse().unwrap()).unwrap().node(1)).unwrap(),
            )
            .unwrap();
            let certificate = keys.certificate("system:node:node-1");
            (
                read(&certificate).unwrap(),
                read(&keys.key("system:node:node-1")).unwrap(),
            )
        };
        let first = make();
        assert_eq!(first, make());
        assert!(first.0.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(first.1.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(keys.certificate("apiserver-server").exists());
        let mode = fs::metadata(keys.key("ca")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
