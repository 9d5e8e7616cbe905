//! The page's behaviour in a real browser.
#![allow(clippy::unwrap_used)]

#[path = "../../support/images.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "written for the server's tests")]
mod images;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use anywidth_browser_tests::{Browser, Look, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// Keys as encoded by WebDriver.
mod key {
    pub(super) const TAB: &str = "\u{e004}";
    pub(super) const SPACE: &str = "\u{e00d}";
    pub(super) const END: &str = "\u{e010}";
    pub(super) const HOME: &str = "\u{e011}";
    pub(super) const RIGHT: &str = "\u{e014}";
}

const ANSWERED: &str = "document.getElementById('answer-classes').children.length > 0 \
                        && document.getElementById('answer').getAttribute('aria-busy') === 'false'";

/// Tests run one at a time: a burst measures times, which a second browser would distort.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A server, and a browser at its page after the first answer; waits for other tests.
async fn open(look: Look) -> Result<(MutexGuard<'static, ()>, Server, Browser)> {
    let turn = ONE_AT_A_TIME.lock().await;
    let server = Server::start().await?;
    let browser = Browser::open(&server.url(), look).await?;
    browser.until(ANSWERED).await?;
    Ok((turn, server, browser))
}

fn label_is(label: &str) -> String {
    format!("document.getElementById('answer-label').textContent === {label:?} && {ANSWERED}")
}

fn samples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../samples")
}

/// A folder with one file, and the file's path.
fn file(name: &str, bytes: &[u8]) -> Result<(TempDir, String)> {
    let folder = TempDir::new()?;
    let path = folder.path().join(name);
    fs::write(&path, bytes)?;
    Ok((folder, path.to_str().unwrap().to_owned()))
}

/// Standard output of a shell command in a folder.
fn shell(line: &str, folder: &std::path::Path) -> Result<String> {
    let output = Command::new("sh").args(["-c", line]).current_dir(folder).output()?;
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_look_shows_an_image_that_is_answered_and_nothing_is_complained_of() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    browser.until("document.querySelectorAll('#curve path.line').length > 1").await?;
    browser.until("document.querySelectorAll('#cost-latency path.line').length === 1").await?;
    browser.until("document.getElementById('status').textContent === 'connected'").await?;
    browser.until("document.getElementById('now-queue').textContent !== '–'").await?;
    // Charts without data show a hint.
    browser.until("document.querySelectorAll('#load .hint').length === 4").await?;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_refuses_scripts_that_are_not_the_pages_own() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    let policy = browser.promise(
        "fetch('', { headers: { accept: 'text/html' } }).then(page => page.headers.get('content-security-policy'))",
    );
    assert!(policy.await?.as_str().unwrap().contains("script-src 'self'"));
    let intrude = "window.refused = []; \
                   addEventListener('securitypolicyviolation', event => refused.push(event.effectiveDirective)); \
                   const button = document.createElement('button'); \
                   try { button.setAttribute('onclick', 'window.ran = 1'); button.click(); } catch {} \
                   fetch('http://localhost:9/').catch(() => {}); return window.ran ?? null";
    assert_eq!(browser.script(intrude).await?, Value::Null);
    browser.until("refused.includes('require-trusted-types-for') && refused.includes('connect-src')").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_that_is_shown_first_is_named_right_at_every_width() -> Result<()> {
    let (_turn, server, browser) = open(Look::Light).await?;
    let shown = browser.text("#image-name").await?;
    let (name, least) = (shown.trim_end_matches(".png"), browser.script("return width.min").await?);
    browser.until(&label_is(name)).await?;
    browser
        .until(&format!("document.getElementById('image-widths').textContent === 'Every width predicts {name}.'"))
        .await?;
    let least: f64 = least.as_str().unwrap().parse()?;
    // Every width that the page can request.
    for hundredths in (least * 100.0).round() as u32..=100 {
        let ask = format!(
            "fetch('page/samples/{shown}').then(file => file.blob()).then(body => \
             fetch('classify?top_k=1&width=' + {hundredths} / 100, {{ method: 'POST', body }})).then(answer => answer.json())"
        );
        let answer = browser.promise(&ask).await?;
        assert_eq!(answer["predictions"][0]["label"], name, "{hundredths} %: {answer}");
    }
    server.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_the_width_changes_the_answer() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    browser.click(".thumb[data-sample='frog.png']").await?;
    // The page says that the width matters for the frog.
    browser.until("document.getElementById('image-widths').textContent.endsWith('on frog. Move the width.')").await?;
    browser.type_into("#width", key::END).await?;
    browser.until(&label_is("frog")).await?;
    assert_eq!(browser.text("#width-value").await?, "1");
    browser.type_into("#width", key::HOME).await?;
    browser.until(&format!("{ANSWERED} && document.getElementById('answer-label').textContent !== 'frog'")).await?;
    // More than half of the widths classify the frog correctly; the click selects one of them.
    browser.draw("#curve svg", &[(0.7, 0.5)]).await?;
    browser.until(&label_is("frog")).await?;
    let width: f64 = browser.text("#width-value").await?.parse()?;
    assert!((0.5..0.9).contains(&width), "{width}");
    assert!(browser.text("#answer-time").await?.contains("in the network"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_reaches_everything() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    let mut reached = Vec::new();
    for _ in 0..40 {
        browser.press(key::TAB).await?;
        let id =
            browser.script("return document.activeElement.id || document.activeElement.dataset.sample || ''").await?;
        let id = id.as_str().unwrap().to_owned();
        // The focused element has a visible outline.
        if !id.is_empty() {
            let outline = "return getComputedStyle(document.activeElement.closest('.button') ?? document.activeElement).outlineStyle";
            assert_ne!(browser.script(outline).await?, "none", "{id}");
        }
        match id.as_str() {
            "shirt.png" => browser.press(key::SPACE).await?,
            "width" => browser.press(&key::RIGHT.repeat(3)).await?,
            "auto" => browser.press(key::SPACE).await?,
            "tab-curl" => browser.press(key::RIGHT).await?,
            _ => {}
        }
        reached.push(id);
        if reached.last().is_some_and(|id| id == "copy") {
            break;
        }
    }
    for id in ["frog.png", "shirt.png", "draw", "file", "model", "width", "auto", "burst", "tab-curl", "code", "copy"] {
        assert!(reached.iter().any(|known| known == id), "{id} in {reached:?}");
    }
    browser.until(&label_is("T-shirt/top")).await?;
    browser.until("document.getElementById('code-text').textContent.startsWith('import requests')").await?;
    assert_eq!(browser.script("return document.getElementById('auto').checked").await?, json!(true));
    assert!(!browser.text("#code-text").await?.contains("width="), "the server chooses");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_has_a_name_that_a_screen_reader_says() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    let names = browser.names().await?;
    assert!(names.len() > 20, "{names:?}");
    for (html, name) in names {
        assert!(!name.trim().is_empty(), "{html}");
    }
    browser.until("/ship, .* at width 0.25/.test(document.getElementById('answer-said').textContent)").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_told_from_its_ground_in_light_and_dark() -> Result<()> {
    for look in [Look::Light, Look::Dark] {
        let (_turn, _server, browser) = open(look).await?;
        let faint = browser.script(include_str!("contrast.js")).await?;
        assert_eq!(faint, json!([]), "{look:?}");
        let ground =
            browser.script("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)").await?;
        assert_eq!(ground[0].as_f64().unwrap() < 128.0, look == Look::Dark, "{ground}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_classified_and_the_lines_shown_do_the_same() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    let (folder, path) = file("my ship's image.png", &fs::read(samples().join("ship.png"))?)?;
    browser.type_into("#file", &path).await?;
    browser.until(&label_is("ship")).await?;
    assert_eq!(browser.text("#image-name").await?, "my ship's image.png");
    let answer: Value = serde_json::from_str(&shell(&browser.text("#code-text").await?, folder.path())?)?;
    assert_eq!((&answer["predictions"][0]["label"], &answer["width"]), (&json!("ship"), &json!(0.25)));
    browser.click("#tab-python").await?;
    fs::write(folder.path().join("same.py"), browser.text("#code-text").await?)?;
    let printed = shell("python3 same.py", folder.path())?;
    assert!(printed.starts_with("0.25 ") && printed.contains("'label': 'ship'"), "{printed}");
    // A file that is not an image shows the server's error.
    fs::write(&path, "no image")?;
    let failed = Command::new("python3").arg("same.py").current_dir(folder.path()).output()?;
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && said.starts_with("415: {") && said.contains("unsupported_type"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digit_that_is_drawn_is_read() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    browser.click("#draw").await?;
    browser.type_into("#width", key::END).await?;
    browser.draw("#drawing", &[(0.52, 0.15), (0.5, 0.5), (0.48, 0.85)]).await?;
    browser.until(&label_is("1")).await?;
    assert_eq!(browser.script("return document.getElementById('model').value").await?, "mnist");
    browser.click("#clear").await?;
    browser.draw("#drawing", &[(0.25, 0.2), (0.5, 0.2), (0.75, 0.2), (0.6, 0.5), (0.45, 0.85)]).await?;
    browser.until(&label_is("7")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_narrows_the_server_and_the_width_returns() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    browser.type_into("#width", key::END).await?;
    browser.until(&format!("width.value === '1' && {}", label_is("ship"))).await?;
    // Records every width that the live view shows.
    browser
        .script(
            "window.widths = []; const now = document.getElementById('now-width'); \
             new MutationObserver(() => widths.push(now.textContent)).observe(now, { childList: true, characterData: true, subtree: true })",
        )
        .await?;
    browser.click("#burst").await?;
    browser.until("document.getElementById('burst').textContent === 'Stop'").await?;
    browser.until("document.getElementById('burst').textContent === 'Play a burst'").await?;
    browser.until("widths.some(width => Number(width) < 1) && ['1', '–'].includes(widths.at(-1))").await?;
    let widths = browser.script("return widths").await?;
    let widths: Vec<f64> = widths.as_array().unwrap().iter().filter_map(|text| text.as_str()?.parse().ok()).collect();
    let narrow = widths.iter().position(|&width| width < 1.0).unwrap();
    assert!(widths[narrow..].contains(&1.0), "it returns: {widths:?}");
    assert!(browser.text("#burst-result").await?.contains("in time"));
    browser.until("document.querySelectorAll('#burst-result .classes li').length > 1").await?;
    let proportional = "const bar = document.querySelector('.parts'); return [...bar.children].every(part => \
                        Math.abs(part.offsetWidth - part.style.getPropertyValue('--share') * bar.clientWidth) <= 1)";
    assert_eq!(browser.script(proportional).await?, json!(true), "the bar shows shares as they are");
    Ok(())
}

/// Plays a stage of a burst with `burst.js` alone: 200 images within a second, two per request; `send` replaces the
/// server. Returns the tally and the maximum number of concurrent requests.
async fn played(browser: &Browser, send: &str) -> Result<(Value, u64)> {
    let play = format!(
        "import('/page/burst.js').then(async burst => {{ \
           let open = 0, most = 0; \
           const send = async (images) => {{ \
             most = Math.max(most, ++open); \
             try {{ return await ({send})(images); }} finally {{ open -= 1; }} \
           }}; \
           const plan = {{ budgetMs: 100, stages: [{{ seconds: 1, perSecond: 100, images: 2 }}] }}; \
           const tally = await burst.play(plan, send, () => {{}}, new AbortController().signal); \
           return [tally, most]; }})"
    );
    let played = browser.promise(&play).await?;
    let tally = played[0].clone();
    let of = |fate: &str| tally[fate].as_f64().unwrap();
    let all: f64 = ["inTime", "late", "refused", "failed", "held", "behind"].into_iter().map(of).sum();
    assert!((all - 200.0).abs() <= 2.0, "every image that was planned is counted once: {tally}");
    Ok((tally, played[1].as_u64().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_burst_does_not_send_is_not_the_servers_miss() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    let answer = "({ timing_ms: { total: 1 }, results: [{ width: 1 }, { width: 1 }] })";
    // Slow answers: the concurrency does not exceed the browser's connections.
    let slow = format!("images => new Promise(done => setTimeout(() => done({answer}), 400))");
    let (tally, most) = played(&browser, &slow).await?;
    assert!(most <= 5, "{most}");
    assert!(tally["held"].as_f64().unwrap() > 0.0, "{tally}");
    assert_eq!((&tally["late"], &tally["refused"]), (&json!(0), &json!(0)), "{tally}");
    // A busy browser: overdue requests are not sent all at once afterwards.
    let busy = format!(
        "images => {{ const end = performance.now() + 300; while (performance.now() < end); return {answer}; }}"
    );
    let (tally, _) = played(&browser, &busy).await?;
    assert!(tally["behind"].as_f64().unwrap() > 50.0, "{tally}");
    assert_eq!((&tally["late"], &tally["refused"]), (&json!(0), &json!(0)), "{tally}");
    // Misses of the server count as its own.
    let late = "images => { throw Object.assign(new Error(), { status: 504 }); }";
    let (tally, _) = played(&browser, late).await?;
    assert_eq!(tally["inTime"], 0, "{tally}");
    assert!(tally["late"].as_f64().unwrap() > 0.0, "{tally}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_accuracies_say_whose_they_are() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    let described = async |evaluation: &str| -> Result<String> {
        let describe = format!(
            "Promise.all([import('/page/cost.js'), fetch('models').then(it => it.json()), fetch('profile').then(it => it.json())]) \
             .then(([cost, {{ models: [model] }}, {{ models: [profiled] }}]) => {{ \
               profiled.correction = 2; \
               for (const step of profiled.steps) step.latency_us = [[1, 2 * 3000]]; \
               cost.draw({{ ...model, evaluation: {evaluation} }}, profiled); \
               return cost.describe(1); }})"
        );
        Ok(browser.promise(&describe).await?.as_str().unwrap().to_owned())
    };
    let said = described("{ split: 'validation', images: 2000 }").await?;
    // The time is the measured one; the current correction is shown separately.
    assert!(said.starts_with("3.0 ms per image, measured at server start."), "{said}");
    assert!(said.ends_with("% on 2,000 validation images."), "{said}");
    assert_eq!(browser.text("#width-now").await?, "Recent batches took 2.0 times as long.");
    assert!(browser.text("#cost-accuracy-title").await?.contains("2,000 validation images"));
    let said = described("null").await?;
    assert!(said.ends_with(", as stated in the model file."), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_are_written_in_one_style() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    let shares = "[0, 0.0001, 0.001, 0.5, 0.908, 0.9989, 0.9999, 1]";
    let write = format!("import('/page/numbers.js').then(numbers => {shares}.map(numbers.percent))");
    let style = ["0.0 %", "< 0.1 %", "0.1 %", "50.0 %", "90.8 %", "99.9 %", "> 99.9 %", "100.0 %"];
    assert_eq!(browser.promise(&write).await?, json!(style));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_can_answer_is_said() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    browser.click(".thumb[data-sample='seven.png']").await?;
    browser.until(&label_is("7")).await?;
    assert_eq!(
        browser.text("#model-knows").await?,
        "The model knows only 10 classes and answers with one of them for any image: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_can_be_stopped() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    browser.click("#burst").await?;
    browser.until("document.getElementById('burst').textContent === 'Stop'").await?;
    browser.click("#burst").await?;
    browser.until("document.getElementById('burst').textContent === 'Play a burst'").await?;
    browser.click(".thumb[data-sample='ship.png']").await?;
    browser.until(&label_is("ship")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_or_too_large_is_refused_with_the_reason() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Light).await?;
    let trouble = |word: &str| format!("document.getElementById('trouble').textContent.includes({word:?})");

    let (_folder, pdf) = file("paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n%%EOF\n")?;
    browser.type_into("#file", &pdf).await?;
    browser.until(&trouble("The server says: ")).await?;
    assert!(browser.text("#trouble").await?.contains("JPEG, PNG or WebP"));

    let (_folder, photograph) = file("photo.jpg", &vec![0xff; 20_000_000])?;
    browser.type_into("#file", &photograph).await?;
    browser.until(&trouble("The file has 20.0 MB; this server accepts up to 16.8 MB.")).await?;

    let (_folder, bomb) = file("bomb.png", &images::bomb())?;
    browser.type_into("#file", &bomb).await?;
    browser.until(&trouble("pixels")).await?;
    assert!(browser.text("#trouble").await?.starts_with("That is too large"));

    browser.click(".thumb[data-sample='ship.png']").await?;
    browser.until(&label_is("ship")).await?;
    browser.until("document.getElementById('trouble').hidden").await?;
    // The browser logs the two error responses for the uploaded files, and nothing else.
    let complaints = browser.complaints().await?;
    assert!(complaints.iter().all(|complaint| complaint.contains("status of 41")), "{complaints:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_went_away_is_found_again() -> Result<()> {
    let (_turn, server, browser) = open(Look::Light).await?;
    browser.until("document.getElementById('status').textContent === 'connected'").await?;
    let address = server.address;
    server.stop().await?;
    browser.until("document.getElementById('status').textContent === 'connection lost'").await?;
    browser.click(".thumb[data-sample='ship.png']").await?;
    browser.until("document.getElementById('trouble').textContent.includes('does not answer')").await?;
    let _again = Server::at(address).await?;
    browser.until("document.getElementById('status').textContent === 'connected'").await?;
    browser.until("document.getElementById('trouble').hidden").await?;
    browser.click(".thumb[data-sample='ship.png']").await?;
    browser.until(&label_is("ship")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_shows_all_of_it_without_scrolling_sideways() -> Result<()> {
    let (_turn, _server, browser) = open(Look::Phone).await?;
    assert_eq!(browser.script("return [innerWidth, document.documentElement.scrollWidth]").await?, json!([390, 390]));
    let small = "return [...document.querySelectorAll('button, select, .button')].filter(it => it.offsetParent) \
                 .filter(it => it.offsetHeight < 40).map(it => it.id)";
    assert_eq!(browser.script(small).await?, json!([]), "fingers need room");
    // On a phone, the answer is between image and width, links are visible, and lines are not cut off.
    let tops =
        "return ['.card.image', '.card.answer', '.card.width'].map(css => document.querySelector(css).offsetTop)";
    let tops: Vec<f64> = serde_json::from_value(browser.script(tops).await?)?;
    assert!(tops.is_sorted() && tops[0] < tops[1], "{tops:?}");
    assert_eq!(browser.text("nav").await?.split_whitespace().collect::<Vec<_>>(), ["models", "profile", "metrics"]);
    let cut_off = "const it = document.querySelector('.code pre'); return it.scrollWidth > it.clientWidth";
    assert_eq!(browser.script(cut_off).await?, json!(false));
    browser.click(".thumb[data-sample='shirt.png']").await?;
    browser.until(&label_is("T-shirt/top")).await?;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    Ok(())
}
