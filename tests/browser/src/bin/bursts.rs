//! Plays the page's burst several times and prints the outcomes: `bursts http://127.0.0.1:8080/ 5`.

use anyhow::{Context, Result};
use anywidth_browser_tests::{Browser, Look};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("usage: bursts URL [TIMES]")?;
    let times: usize = arguments.next().map_or(Ok(5), |times| times.parse())?;
    let browser = Browser::open(&url, Look::Light).await?;
    browser.until("document.getElementById('answer-classes').children.length > 0").await?;
    for _ in 0..times {
        browser.click("#burst").await?;
        browser.until("document.getElementById('burst').textContent === 'Stop'").await?;
        browser.until("document.getElementById('burst').textContent === 'Play a burst'").await?;
        let shown = browser.script("return document.getElementById('burst-result').innerText").await?;
        println!("{}", shown.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "));
    }
    Ok(())
}
