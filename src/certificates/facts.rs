//! The facts in a certificate.

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::{fingerprint, hex};
use crate::ca::csr;

/// The facts that a certificate has about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The serial number, in lower-case hexadecimal digits without leading zeros.
    pub serial: String,
    /// The subject, as text.
    pub subject: String,
    /// The issuer, as text.
    pub issuer: String,
    /// From when it counts.
    pub not_before: Timestamp,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// Its DNS names, in lower case.
    pub dns_names: Vec<String>,
    /// Its e-mail addresses.
    pub emails: Vec<String>,
    /// The fingerprint of its public key.
    pub fingerprint: String,
}

impl Facts {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// When it is not a certificate.
    pub fn read(der: &[u8]) -> Result<Self, String> {
        Self::of(&parse(der)?)
    }

    pub(super) fn of(certificate: &X509Certificate<'_>) -> Result<Self, String> {
        let (mut dns_names, mut emails) = (Vec::new(), Vec::new());
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| "its names cannot be read".to_owned())?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => dns_names.push(name.to_ascii_lowercase()),
                GeneralName::RFC822Name(email) => emails.push((*email).to_owned()),
                _ => {}
            }
        }
        Ok(Self {
            serial: csr::serial(&hex(certificate.raw_serial())),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: moment(certificate.validity().not_before)?,
            not_after: moment(certificate.validity().not_after)?,
            fingerprint: fingerprint(certificate.public_key().raw),
            dns_names,
            emails,
        })
    }
}

/// Reads a certificate with nothing behind it.
pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("there is something behind the certificate".to_owned()),
        Err(_) => Err("it is not a certificate (X.509)".to_owned()),
    }
}

fn moment(time: ASN1Time) -> Result<Timestamp, String> {
    Timestamp::from_second(time.timestamp()).map_err(|_| "its dates cannot be read".to_owned())
}
