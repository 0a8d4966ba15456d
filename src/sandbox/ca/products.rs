//! The products that every client may order.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// Product, key type, whether each order waits for an approval, and what else sets it apart.
const PRODUCTS: [(&str, &str, bool, &str); 7] = [
    ("DV SSL Silver Single-Domain", "EC_secp256r1", false, ""),
    ("OV SSL Gold Single-Domain", "RSA_2048", false, ""),
    ("OV SSL Gold Multi-Domain", "EC_secp256r1", false, ""),
    ("EV SSL Gold Multi-Domain", "EC_secp256r1", true, ""),
    (
        "Personal S/MIME E-Mail ID Silver",
        "EC_secp256r1",
        false,
        "mailbox",
    ),
    (
        "OV SSL Gold Multi-Domain 2024",
        "RSA_2048",
        false,
        "retired",
    ),
    ("OV SSL Gold with key", "RSA_2048", false, "PKCS12"),
];

/// Every product as the API shows it.
pub(super) fn products(rng: &mut StdRng) -> Vec<Value> {
    let product = |(name, key, authorization, other): (&str, &str, bool, &str)| {
        let uuid = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
        json!({
            "uuid": format!("pma-{uuid}"),
            "productName": name,
            "productDescription": null,
            "keyGenerationType": if other == "PKCS12" { "PKCS12" } else { "PKCS10" },
            "keyType": key,
            "productValidity": {"validityType": "DAYS", "validity": 199, "validityOptions": [90, 199]},
            "expirationDate": (other == "retired").then_some("2025-01-01T00:00:00Z"),
            "authorization": authorization,
            "issuanceNotification": false, "revocationNotification": false, "renewalRule": false,
            "publishCertificate": false, "clientPublishCertificateOverride": false,
            "isCABDNSValidationRequired": true,
            "isCABDNSEmailLinkValidationRequired": false,
            "isEmailBoxValidationRequired": false,
            "requiresRegistrationDocuments": false,
            "requiresRegistrationDocumentsOnRegister": false,
        })
    };
    PRODUCTS.map(product).to_vec()
}
