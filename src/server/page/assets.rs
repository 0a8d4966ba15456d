//! The style sheet and the one script, each under an address that changes with its content: a
//! browser that has it need not ask again. Where machines of several versions share one name, a
//! page of one may ask another for its sheet: that one gives its own, and no browser keeps it.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::Pages;

const STYLE: &str = include_str!("style.css");

/// A ring, as in the heading.
pub(super) const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
                               %3Ccircle cx='8' cy='8' r='5.5' fill='none' stroke='%230b7a80' stroke-width='4'/%3E%3C/svg%3E";

/// Copies a value to the clipboard; without it the value is selected by hand.
const SCRIPT: &str = include_str!("copy.js");

/// Where the sheet of this version is.
pub(super) fn style_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| versioned("style.css", STYLE));
    &PATH
}

/// Where the script of this version is.
pub(super) fn script_path() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| versioned("copy.js", SCRIPT));
    &PATH
}

fn versioned(file: &str, content: &str) -> String {
    let digest = Sha256::digest(content);
    let version: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("/assets/{file}?v={version}")
}

pub(super) async fn serve(
    State(pages): State<std::sync::Arc<Pages>>,
    Path(file): Path<String>,
    uri: Uri,
) -> Response {
    let (content, kind, path) = match file.as_str() {
        "style.css" => (STYLE, "text/css; charset=utf-8", style_path()),
        "copy.js" => (SCRIPT, "text/javascript; charset=utf-8", script_path()),
        _ => {
            return pages.trouble(
                StatusCode::NOT_FOUND,
                "There is no such page",
                "Nothing is at this address.",
            );
        }
    };
    let is_its_address = uri
        .path_and_query()
        .is_some_and(|address| address.as_str() == path);
    let keep = if is_its_address {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, keep)], content).into_response()
}
