//! Takes the screenshots of the documents: `screenshots docs/images`; the server's binary must be in the same folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use anywidth_browser_tests::{Browser, Look, Server, terminal};

/// Maximum size of a screenshot in the repository.
const MAX_BYTES: usize = 350_000;
/// Height of a phone's screen.
const PHONE_HEIGHT: f64 = 844.0;
/// Commands shown in the terminal.
const COMMANDS: [&str; 2] = ["classify samples/ship.png --width 0.25 --top-k 2", "profile samples/frog.png"];

#[tokio::main]
async fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("usage: screenshots FOLDER")?);
    let server = Server::start().await?;

    let desktop = Browser::open(&server.url(), Look::Light).await?;
    show_frog(&desktop).await?;
    desktop.click("#burst").await?;
    desktop.until("document.getElementById('burst').textContent === 'Stop'").await?;
    desktop.until("document.getElementById('burst').textContent === 'Play a burst'").await?;
    write(folder.join("page.png"), &desktop.screenshot(None).await?)?;

    let phone = Browser::open(&server.url(), Look::Phone).await?;
    show_frog(&phone).await?;
    phone.script("document.querySelector('.card.width').scrollIntoView()").await?;
    write(folder.join("page-phone.png"), &phone.screenshot(Some(PHONE_HEIGHT)).await?)?;
    server.stop().await?;

    let program = std::env::current_exe()?.with_file_name("anywidth");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shell = Browser::open(&terminal::page(&program, &root, &COMMANDS)?, Look::Light).await?;
    let height = shell.script("return document.querySelector('pre').offsetHeight").await?;
    write(folder.join("terminal.png"), &shell.screenshot(height.as_f64()).await?)
}

/// Selects the sample whose class depends on the width, at a width that classifies it correctly.
async fn show_frog(browser: &Browser) -> Result<()> {
    browser.until("document.getElementById('answer-label').textContent === 'ship'").await?;
    browser.script("document.querySelector('[data-sample=\"frog.png\"]').click()").await?;
    browser.until("document.getElementById('image-widths').textContent.endsWith('Move the width.')").await?;
    browser
        .script("const it = document.getElementById('width'); it.value = 0.5; it.dispatchEvent(new Event('input'))")
        .await?;
    browser.until("document.getElementById('answer-label').textContent === 'frog'").await
}

fn write(path: PathBuf, screenshot: &[u8]) -> Result<()> {
    ensure!(screenshot.len() <= MAX_BYTES, "{} would have {} bytes", path.display(), screenshot.len());
    std::fs::write(&path, screenshot).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}: {} bytes", path.display(), screenshot.len());
    Ok(())
}
