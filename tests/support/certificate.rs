//! A server's certificate, and a CA of one's own that vouches for it.

use std::path::{Path, PathBuf};

use super::process;

/// Files in PEM.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate of its issuer.
    pub root: PathBuf,
    /// The server's key and certificate.
    pub key: PathBuf,
    pub signed: PathBuf,
}

impl Certificate {
    /// For `names` (`DNS:localhost`), in a folder of the test; the CA's certificate goes to `root`.
    pub fn issue(root: &Path, names: &str) -> Self {
        let folder = root.parent().unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let (key, request, signed, extensions) =
            (path("s.key"), path("s.csr"), path("s.crt"), path("s.ext"));
        let (root_key, root_file) = (path("root.key"), root.display().to_string());
        std::fs::write(&extensions, format!("subjectAltName = {names}\n")).unwrap();
        let new = [
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-batch",
        ];
        let openssl = |more: &[&str]| process::run("openssl", more, "");
        openssl(
            &[
                &new[..],
                &[
                    "-x509", "-subj", "/CN=root", "-keyout", &root_key, "-out", &root_file,
                ],
            ]
            .concat(),
        );
        openssl(
            &[
                &new[..],
                &["-subj", "/CN=localhost", "-keyout", &key, "-out", &request],
            ]
            .concat(),
        );
        let sign = [
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &root_file,
            "-CAkey",
            &root_key,
            "-CAcreateserial",
        ];
        openssl(&[&sign[..], &["-extfile", &extensions, "-out", &signed]].concat());
        Self {
            root: root.to_owned(),
            key: key.into(),
            signed: signed.into(),
        }
    }
}
