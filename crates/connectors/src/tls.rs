//! How we check whom we talk to: one TLS configuration for all connectors, with the machine's
//! trusted authorities or one that the target's settings name.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::settings::{Field, Form, Problem, problem};

/// The setting that [`Authorities::from_pem`] reads.
pub const CA_CERTIFICATE: Field = Field::new(
    "caCertificate",
    "Certificate authority (PEM)",
    "the authority of the server's certificate, as PEM text; default the machine's",
)
.form(Form::Lines);

/// The authorities that a target's certificate must come from.
#[derive(Debug, Clone)]
pub enum Authorities {
    /// Those that the machine trusts.
    Machine,
    /// Only these.
    Only(Arc<RootCertStore>),
}

impl Authorities {
    /// Reads the setting `caCertificate`: one or more certificates as PEM text.
    ///
    /// # Errors
    ///
    /// The text holds no certificate that can be an authority.
    pub fn from_pem(pem: Option<&str>) -> Result<Authorities, Problem> {
        let Some(pem) = pem else { return Ok(Authorities::Machine) };
        let wrong = || {
            problem(
                "caCertificate",
                "must be a certificate as PEM text, from `-----BEGIN CERTIFICATE-----` to \
                 `-----END CERTIFICATE-----`",
            )
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
        }
        match roots.is_empty() {
            true => Err(wrong()),
            false => Ok(Authorities::Only(Arc::new(roots))),
        }
    }

    /// A client configuration that trusts these authorities. Reading the machine's takes some
    /// milliseconds and is done once.
    ///
    /// # Errors
    ///
    /// The cryptographic library has no protocol version in common with us; it always has.
    pub fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        static MACHINE: OnceLock<Arc<RootCertStore>> = OnceLock::new();
        let roots = match self {
            Authorities::Only(roots) => Arc::clone(roots),
            Authorities::Machine => Arc::clone(MACHINE.get_or_init(|| {
                let found = rustls_native_certs::load_native_certs();
                for error in &found.errors {
                    tracing::warn!(%error, "a trusted authority of this machine was skipped");
                }
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(found.certs);
                Arc::new(roots)
            })),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}
