use crate::{error::Error, transport};

/// The certificate under which a server answers `/webrtc-direct`. Its hash is part of the server's address, so it is kept: another one
/// is another address.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// X.509, self-signed, DER.
    pub certificate: Vec<u8>,
    /// Its ECDSA P-256 key: PKCS #8, DER. Secret.
    pub private_key: Vec<u8>,
}

impl Certificate {
    /// A new one.
    ///
    /// # Errors
    /// The platform gives no randomness, or makes its certificates itself (a browser).
    pub fn generate() -> Result<Self, Error> {
        transport::generate_certificate()
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("certificate", &self.certificate.len()).finish_non_exhaustive()
    }
}
