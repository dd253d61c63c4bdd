//! The frame around every page.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use axum::response::Html;
use maud::DOCTYPE;
use maud::Markup;
use maud::PreEscaped;
use maud::html;
use types::TimestampMs;

/// How often a page that changes asks for itself again, in milliseconds.
const REFRESH_MS: u32 = 2_000;

/// What stands around a page's main part.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    title: &'a str,
    network: Option<&'a str>,
    query: &'a str,
    changing: bool,
}

impl<'a> Page<'a> {
    /// A page that stays as it is.
    pub(crate) fn new(title: &'a str) -> Self {
        Self { title, network: None, query: "", changing: false }
    }

    /// Names the network.
    pub(crate) fn of(self, network: &'a str) -> Self {
        Self { network: Some(network), ..self }
    }

    /// Fills the search field.
    pub(crate) fn searched(self, query: &'a str) -> Self {
        Self { query, ..self }
    }

    /// A page that changes by itself when `changing`.
    pub(crate) fn changing(self, changing: bool) -> Self {
        Self { changing, ..self }
    }

    /// Puts the frame around the main part.
    pub(crate) fn render(self, main: &Markup) -> Html<String> {
        let refresh = self.changing.then_some(REFRESH_MS);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Meanwhile" }
                    link rel="icon" type="image/svg+xml" href="/mark.svg";
                    link rel="stylesheet" href={ "/style.css?" (env!("CARGO_PKG_VERSION")) };
                    script src={ "/refresh.js?" (env!("CARGO_PKG_VERSION")) } defer {}
                }
                body data-refresh=[refresh] {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        div.wrap {
                            a.mark href="/" { (mark()) b { "Meanwhile" } }
                            @if let Some(network) = self.network {
                                span.network { (network) }
                            }
                            (search(self.query))
                        }
                    }
                    main #main .wrap { (main) }
                    footer {
                        div.wrap {
                            p { "Meanwhile " (env!("CARGO_PKG_VERSION")) }
                            p { a href="/v1/status" { "Status as JSON" } }
                            p { a href="/metrics" { "Metrics" } }
                            p { "Esplora for wallets: " code { "/api" } }
                        }
                    }
                }
            }
        };
        Html(page.into_string())
    }
}

fn search(query: &str) -> Markup {
    html! {
        form.search role="search" action="/search" method="get" {
            input type="search" name="q" value=(query) required maxlength="128"
                autocomplete="off" autocapitalize="off" spellcheck="false"
                aria-label="Transaction, block or address"
                placeholder="Transaction, block or address";
            button type="submit" { "Find" }
        }
    }
}

/// The mark of the house, drawn in the colour of the text around it: three rounds of a graph.
fn mark() -> Markup {
    PreEscaped(
        "<svg viewBox=\"0 0 32 32\" aria-hidden=\"true\" fill=\"none\" stroke=\"currentColor\" \
         stroke-width=\"2\"><path d=\"M7 8l9 8 9-8M7 24l9-8 9 8M7 8v16M25 8v16\"/>\
         <g fill=\"currentColor\" stroke=\"none\"><circle cx=\"7\" cy=\"8\" r=\"3.6\"/>\
         <circle cx=\"25\" cy=\"8\" r=\"3.6\"/><circle cx=\"16\" cy=\"16\" r=\"4.4\"/>\
         <circle cx=\"7\" cy=\"24\" r=\"3.6\"/><circle cx=\"25\" cy=\"24\" r=\"3.6\"/></g></svg>"
            .to_owned(),
    )
}

/// The clock of this machine, for how long ago something was.
pub(crate) fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A time that a block's header gives, in seconds.
pub(crate) fn header_time(seconds: u32) -> TimestampMs {
    TimestampMs::new(u64::from(seconds) * 1_000)
}
