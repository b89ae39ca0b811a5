//! The certificate under which tabs reach this node over `/webrtc-direct`, kept on disk: its hash is part of the node's address.

use std::{fs, io, path::PathBuf};

use neuromesh::Certificate;
use serde::{Deserialize, Serialize};

use crate::data::{self, DataDir};

/// A file longer than this is none of ours.
const MAX_FILE: u64 = 16 << 10;

/// The certificate cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The file cannot be read or written.
    #[error("certificate file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is damaged. It is left as it is: a new certificate would be a new address.
    #[error("certificate file {path} is damaged ({reason}). Remove it, and this node's /webrtc-direct address changes")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// None could be made.
    #[error(transparent)]
    Make(#[from] neuromesh::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    version: u32,
    certificate: String,
    private_key: String,
}

/// The certificate in `data`, made where there is none.
///
/// # Errors
/// [`CertificateError`].
pub fn open(data: &DataDir) -> Result<Certificate, CertificateError> {
    if let Some(certificate) = read(data)? {
        return Ok(certificate);
    }
    let certificate = Certificate::generate()?;
    let stored = Stored {
        version: 1,
        certificate: hex::encode(&certificate.certificate),
        private_key: hex::encode(&certificate.private_key),
    };
    let mut bytes = serde_json::to_vec(&stored).expect("strings and a number are JSON");
    bytes.push(b'\n');
    let io = |source| CertificateError::Io { path: data.certificate(), source };
    if data::create_private(&data.certificate(), &bytes).map_err(io)? {
        return Ok(certificate);
    }
    // Another process was first.
    read(data)?.ok_or_else(|| io(io::ErrorKind::NotFound.into()))
}

fn read(data: &DataDir) -> Result<Option<Certificate>, CertificateError> {
    let path = data.certificate();
    let io = |source| CertificateError::Io { path: path.clone(), source };
    let damaged = |reason: String| CertificateError::Damaged { path: path.clone(), reason };
    match fs::metadata(&path) {
        Ok(facts) if facts.len() > MAX_FILE => return Err(damaged(format!("{} bytes long", facts.len()))),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    }
    let bytes = fs::read(&path).map_err(io)?;
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if stored.version != 1 {
        return Err(damaged(format!("version {} is not known", stored.version)));
    }
    let part = |text: &str| hex::decode(text).map_err(|error| damaged(error.to_string()));
    Ok(Some(Certificate { certificate: part(&stored.certificate)?, private_key: part(&stored.private_key)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::create(folder.path()).unwrap();
        let certificate = open(&data).unwrap();
        assert_eq!(open(&data).unwrap(), certificate);
        fs::write(data.certificate(), b"{").unwrap();
        assert!(matches!(open(&data), Err(CertificateError::Damaged { .. })));
        assert_eq!(fs::read(data.certificate()).unwrap(), b"{");
    }
}
