//! Pages for people, made on the server: they read well without a script and load nothing from
//! elsewhere.
//!
//! A small script only keeps a page current, and a policy in the headers forbids everything that
//! this module does not need. Whatever a stranger wrote (names, scripts) is escaped by `maud`.

mod address;
mod block;
mod commit;
mod dag;
mod evidence;
mod format;
mod home;
mod layout;
mod search;
mod transaction;

use axum::Router;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::REFERRER_POLICY;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::middleware;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use client::api::ErrorCode;
use maud::html;

use crate::http::Failure;
use crate::http::Services;

use self::layout::Page;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const ASSET_AGE: &str = "public, max-age=300";

const STYLE: &str = include_str!("../../../web/style.css");
const SCRIPT: &str = include_str!("../../../web/refresh.js");
const MARK: &str = include_str!("../../../web/mark.svg");

/// The pages and what they load.
pub(crate) fn router() -> Router<Services> {
    Router::new()
        .route("/", get(home::get))
        .route("/tx/{txid}", get(transaction::get))
        .route("/block/{block}", get(block::get))
        .route("/address/{address}", get(address::get))
        .route("/commit/{index}", get(commit::get))
        .route("/evidence", get(evidence::get))
        .route("/search", get(search::get))
        .route("/style.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/refresh.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/mark.svg", get(async || asset("image/svg+xml", MARK)))
        .route("/favicon.ico", get(async || asset("image/svg+xml", MARK)))
        .layer(middleware::map_response(guarded))
}

/// The page that says why there is no page.
pub(crate) fn failure(failure: &Failure) -> String {
    let title = match failure.code {
        ErrorCode::NotFound | ErrorCode::Gone => "Nothing found",
        ErrorCode::Malformed | ErrorCode::MethodNotAllowed => "This can not be read",
        ErrorCode::TooMany | ErrorCode::Unavailable | ErrorCode::Timeout => "Not now",
        _ => "The node failed",
    };
    let sentence = sentence(&failure.reason);
    Page::new(title)
        .render(&html! {
            h1 { (title) }
            p.lead { (sentence) }
            @if let Some(hint) = failure.hint { p { (self::sentence(hint)) } }
            p {
                "Look for a transaction by its id, a block by its height or hash, or an address "
                "with the search above, or go to "
                a href="/" { "the network as it is now" } "."
            }
        })
        .0
}

/// A capital in front, a full stop behind.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), letters.as_str())
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, ASSET_AGE)], text)
}

async fn guarded(mut response: Response) -> Response {
    let rows: [(HeaderName, &'static str); 3] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in rows {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
