//! The pages: what they show, where a search leads, what they never load.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_page_shows_a_payment_and_loads_nothing_from_elsewhere() {
    let served = Served::start().await;
    let payee = address(50);
    let txid = served.pay(&payee, 123_456).await;
    let commit = served.wait_final(txid).await.commit.unwrap();
    let unsealed = served.get(&format!("/tx/{txid}")).await;
    assert!(unsealed.text().contains("In the next block"));
    let height = served.tick(1).await;
    let pages = [
        ("/".to_owned(), "Validators"),
        (format!("/tx/{txid}"), "0.00123456"),
        (format!("/block/{height}"), "In the order of the block"),
        (format!("/address/{payee}"), "0.00123456"),
        (format!("/commit/{commit}"), "Leader"),
    ];
    for (path, expected) in pages {
        let page = served.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.kind.starts_with("text/html"), "{path}");
        let text = page.text();
        assert!(text.contains(expected), "{path} does not show {expected}");
        assert!(!text.contains("http://") && !text.contains("https://"), "{path}");
        assert!(!text.contains("style=") && !text.contains("onclick"), "{path}");
        assert_eq!(text.matches("<h1>").count(), 1, "{path}");
        assert_eq!(text.matches("<table>").count(), text.matches("<caption>").count(), "{path}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_leads_to_what_was_meant() {
    let served = Served::start().await;
    let payee = address(51);
    let txid = served.pay(&payee, 20_000).await;
    served.wait_final(txid).await;
    let hash = served.get("/api/blocks/tip/hash").await.text().to_owned();
    let rows = [
        (txid.to_string(), format!("/tx/{txid}")),
        (payee.to_string(), format!("/address/{payee}")),
        (payee.to_string().to_uppercase(), format!("/address/{payee}")),
        (hash.clone(), format!("/block/{hash}")),
        ("%20100%20".to_owned(), "/block/100".to_owned()),
        (String::new(), "/".to_owned()),
    ];
    for (text, target) in rows {
        let answer = served.get(&format!("/search?q={text}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{text}");
        assert_eq!(answer.location, Some(target));
    }
    for text in ["%3Cscript%3E", "99999999", &"00".repeat(32), &"x".repeat(500), "bc1qqq"] {
        let answer = served.get(&format!("/search?q={text}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{text}");
        assert!(answer.text().contains("Nothing found"), "{text}");
        assert!(!answer.text().contains("<script>"), "{text}");
    }
    served.stop().await;
}
