//! HTTPS on the management port.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The authority of a domain and what its Node Managers show, all in PEM. The product makes both
/// itself when a domain is created; a stand-in is given them and publishes the authority then.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tls {
    /// The authority; becomes `groups/certs/domaincert.pem` on the node that creates the domain.
    pub authority: String,
    /// The certificate of every Node Manager, signed by the authority.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// First byte of a TLS connection: a handshake record.
const HANDSHAKE: u8 = 0x16;

impl Tls {
    pub(crate) fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain.map_err(io::Error::other)?, key)
            .map_err(io::Error::other)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Whether the peer begins with TLS. The stand-ins talk to each other in plain on the same port.
pub(crate) async fn begins_with_tls(stream: &TcpStream) -> bool {
    let mut first = [0];
    stream.peek(&mut first).await.is_ok_and(|read| read == 1) && first == [HANDSHAKE]
}
