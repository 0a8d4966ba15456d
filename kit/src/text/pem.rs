//! PEM files (RFC 7468) as people put them together: with a mark in front, text around, line ends of
//! Windows, white space at the margins. A block that is damaged is named by its line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;

use super::decode;

/// A block between `BEGIN` and `END`.
struct Block<'a> {
    /// The line of `BEGIN`, from 1.
    line: usize,
    label: &'a str,
    /// Its lines without white space around them.
    lines: Vec<&'a str>,
    is_closed: bool,
}

/// The certificates of a file, in its order; blocks of other kinds are passed over.
///
/// # Errors
/// The file holds none, or which one is damaged, as "holds …" or "the certificate on line …".
pub fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = text_of(bytes)?;
    let mut found = Vec::new();
    let blocks = blocks(&text);
    let kinds = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];
    for block in blocks.iter().filter(|block| kinds.contains(&block.label)) {
        let line = block.line;
        let der = der_of(block).map_err(|why| format!("the certificate on line {line} {why}"))?;
        found.push(CertificateDer::from(der));
    }
    if !found.is_empty() {
        return Ok(found);
    }
    Err(match blocks.first() {
        Some(block) if block.label.starts_with("PKCS7") => {
            "holds a PKCS #7 bundle: `openssl pkcs7 -print_certs` writes its certificates"
                .to_owned()
        }
        Some(block) => format!(
            "has no certificates in PEM form, but {}",
            with_article(block.label)
        ),
        None => "has no certificates in PEM form".to_owned(),
    })
}

/// The text of a private key, as a strict reader takes it.
///
/// # Errors
/// Why it is none that can be used. Never anything of it.
pub fn private_key(bytes: &[u8]) -> Result<String, String> {
    let text = text_of(bytes)?;
    let blocks = blocks(&text);
    let is_key = |block: &&Block<'_>| block.label.ends_with("PRIVATE KEY");
    let Some(key) = blocks.iter().find(is_key) else {
        return Err(match blocks.first() {
            Some(block) => format!(
                "holds no private key in PEM, but {}",
                with_article(block.label)
            ),
            None => "holds no private key in PEM".to_owned(),
        });
    };
    let is_encrypted = key.lines.iter().any(|line| line.contains("ENCRYPTED"));
    if key.label.starts_with("ENCRYPTED") || is_encrypted {
        return Err(
            "holds a key under a passphrase: `openssl pkey` writes it without one".to_owned(),
        );
    }
    if !key.is_closed {
        return Err(format!("the key on line {} has no end", key.line));
    }
    let label = key.label;
    let body = key.lines.join("\n");
    Ok(format!(
        "-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"
    ))
}

/// A block of this label, in lines of 64 characters (RFC 7468 section 2).
pub fn write(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn text_of(bytes: &[u8]) -> Result<String, String> {
    // A sequence of more than 127 octets, as each certificate and key is one.
    if bytes.starts_with(b"\x30\x82") || bytes.starts_with(b"\x30\x81") {
        return Err("is DER, not PEM: `openssl x509 -inform der` converts it".to_owned());
    }
    let text = decode(bytes).map_err(|fault| format!("{}; {}", fault.message, fault.hint))?;
    // Text around the blocks may be in any encoding.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn label<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if let Some(label) = label(line, "-----BEGIN ") {
            found.push(Block {
                line: index + 1,
                label,
                lines: Vec::new(),
                is_closed: false,
            });
            open = true;
        } else if let Some(block) = found.last_mut().filter(|_| open) {
            if label(line, "-----END ").is_some() {
                block.is_closed = true;
                open = false;
            } else if !line.is_empty() {
                block.lines.push(line);
            }
        }
    }
    found
}

/// The first DER element of a block: OpenSSL's trusted certificates have more behind it.
fn der_of(block: &Block<'_>) -> Result<Vec<u8>, &'static str> {
    if !block.is_closed {
        return Err("has no end");
    }
    let body: String = block.lines.concat();
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let mut octets = STANDARD
        .decode(body)
        .map_err(|_| "is damaged: it is no base64")?;
    let length = match octets.as_slice() {
        [0x30, 0x82, a, b, ..] => 4 + usize::from(u16::from_be_bytes([*a, *b])),
        [0x30, 0x81, a, ..] => 3 + usize::from(*a),
        _ => return Err("is damaged: it is not a certificate"),
    };
    if octets.len() < length {
        return Err("is damaged: a part of it is missing");
    }
    octets.truncate(length);
    Ok(octets)
}

fn with_article(label: &str) -> String {
    let article = if label.starts_with(['A', 'E', 'I', 'O', 'U']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {label}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn block(label: &str, length: usize) -> String {
        let mut der = vec![0x30, 0x82];
        der.extend(u16::try_from(length).unwrap().to_be_bytes());
        der.extend(std::iter::repeat_n(7, length));
        let text = STANDARD.encode(der);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(|l| std::str::from_utf8(l).unwrap())
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        )
    }

    #[test]
    fn certificates_are_found_whatever_is_around_them() {
        let one = block("CERTIFICATE", 300);
        let two = block("CERTIFICATE", 400);
        let wide: Vec<u8> = one.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (text, count) in [
            (format!("{one}{two}").into_bytes(), 2),
            (format!("\u{feff}{one}\u{feff}{two}").into_bytes(), 2),
            (
                format!("subject=CN=x\r\n{}", one.replace('\n', "\r\n")).into_bytes(),
                1,
            ),
            (one.replace('\n', "  \n   ").into_bytes(), 1),
            ([b"# M\xfcller\n".as_slice(), one.as_bytes()].concat(), 1),
            ([b"\xff\xfe".as_slice(), &wide].concat(), 1),
            (
                format!("{}{two}", block("PRIVATE KEY", 200)).into_bytes(),
                1,
            ),
            (block("TRUSTED CERTIFICATE", 300).into_bytes(), 1),
        ] {
            assert_eq!(certificates(&text).unwrap().len(), count);
        }
        assert_eq!(certificates(one.as_bytes()).unwrap()[0].len(), 304);
    }

    #[test]
    fn a_damaged_block_is_named_by_its_line_and_a_file_of_another_kind_by_what_it_is() {
        let good = block("CERTIFICATE", 300);
        let bad = good.replacen("BwcH", "*wcH", 1);
        let lines = good.lines().count();
        for (text, words) in [
            (
                format!("{good}{bad}"),
                format!("on line {} is damaged", lines + 1),
            ),
            (
                format!("{good}{}", &good[..100]),
                format!("on line {} has no end", lines + 1),
            ),
            (
                good.replacen(good.lines().nth(2).unwrap(), "", 1),
                "a part of it".to_owned(),
            ),
            (
                good.replacen("MII", "MIP", 1),
                "it is not a certificate".to_owned(),
            ),
            (block("PRIVATE KEY", 99), "but a PRIVATE KEY".to_owned()),
            (block("PKCS7", 300), "PKCS #7".to_owned()),
            ("no pem".to_owned(), "no certificates in PEM".to_owned()),
            ("<html>".to_owned(), "HTML".to_owned()),
        ] {
            let fault = certificates(text.as_bytes()).unwrap_err();
            assert!(fault.contains(&words), "{words}: {fault}");
        }
        assert!(
            certificates(b"\x30\x82\x01\x00")
                .unwrap_err()
                .contains("DER")
        );
        let key = block("PRIVATE KEY", 99);
        let read = private_key(format!("\u{feff}text\r\n{}", key.replace('\n', "\r\n")).as_bytes());
        assert_eq!(read.unwrap(), key);
        for (text, words) in [
            (block("ENCRYPTED PRIVATE KEY", 99), "passphrase"),
            (block("CERTIFICATE", 300), "but a CERTIFICATE"),
            (String::new(), "no private key"),
        ] {
            assert!(
                private_key(text.as_bytes()).unwrap_err().contains(words),
                "{words}"
            );
        }
    }
}
