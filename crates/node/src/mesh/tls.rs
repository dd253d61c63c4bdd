//! TLS 1.3 with raw ed25519 public keys (RFC 7250) that are pinned from the genesis: no
//! certificates, no authorities, no clock.
//!
//! **Invariant:** both sides prove their key; a key that is not pinned ends the handshake.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::Error;
use rustls::ServerConfig;
use rustls::SignatureScheme;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::Resumption;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::ring;
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::UnixTime;
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use types::PublicKey;
use types::SecretKey;
use zeroize::Zeroizing;

/// DER of a SubjectPublicKeyInfo that holds an ed25519 key (RFC 8410), up to the key itself.
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// DER of a PrivateKeyInfo that holds an ed25519 seed (RFC 8410), up to the seed itself.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What a dialling node uses to reach the one peer whose key is `peer`.
pub(super) fn client_config(own: &SecretKey, peer: &PublicKey) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned::new(Allowed::Keys(vec![peer.to_bytes()]), &provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(identity(
            own,
        )?)));
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// Whom an accepting node lets past the handshake.
#[derive(Clone, Debug)]
pub(super) enum Allowed {
    /// Whoever proves one of these keys.
    Keys(Vec<[u8; 32]>),
    /// Whoever proves any ed25519 key: what follows decides by the key.
    Any,
}

/// What an accepting node uses.
pub(super) fn server_config(own: &SecretKey, allowed: Allowed) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned::new(allowed, &provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(identity(own)?)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A name for the handshake, which nobody reads: the key alone says who answers.
pub(super) fn server_name() -> ServerName<'static> {
    ServerName::try_from("meanwhile").expect("a short lower case word is a name")
}

/// The ed25519 key that the other side has proven.
pub(super) fn proven_key(certificates: Option<&[CertificateDer<'_>]>) -> Option<[u8; 32]> {
    let spki = certificates?.first()?;
    spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

fn spki(key: &[u8; 32]) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), key].concat()
}

fn identity(own: &SecretKey) -> Result<Arc<CertifiedKey>, Error> {
    let der = Zeroizing::new([PKCS8_PREFIX.as_slice(), own.to_seed().as_slice()].concat());
    let signer = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der.as_slice()))?;
    let public = CertificateDer::from(spki(&own.public().to_bytes()));
    Ok(Arc::new(CertifiedKey::new(vec![public], signer)))
}

/// Lets in whoever proves one of a few known keys, or any key at all.
#[derive(Debug)]
struct Pinned {
    /// None lets any ed25519 key in.
    allowed: Option<BTreeSet<Vec<u8>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn new(allowed: Allowed, provider: &CryptoProvider) -> Self {
        Self {
            allowed: match allowed {
                Allowed::Keys(keys) => Some(keys.iter().map(spki).collect()),
                Allowed::Any => None,
            },
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn check(&self, key: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        let key = key.as_ref();
        let is_allowed = match &self.allowed {
            Some(allowed) => allowed.contains(key),
            None => key.len() == SPKI_PREFIX.len() + 32 && key.starts_with(&SPKI_PREFIX),
        };
        if more.is_empty() && is_allowed {
            return Ok(());
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn check_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
