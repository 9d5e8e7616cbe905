//! A window of Chromium and its operations.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use fantoccini::actions::{InputSource, KeyAction, KeyActions, MouseActions, PointerAction};
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::driver::Driver;

/// A browser at a page. Dropping it terminates its processes and removes its profile.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    // Dropped before the profile is removed.
    _driver: Driver,
    _profile: TempDir,
}

/// The device that the browser emulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A desktop in light colours.
    Light,
    /// A desktop in dark colours.
    Dark,
    /// A phone: 390 by 844 pixels, with touch.
    Phone,
}

/// Timeout of a wait, generous for busy machines.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Browser {
    /// Opens a page.
    ///
    /// # Errors
    /// If the browser or its driver does not start.
    pub async fn open(url: &str, look: Look) -> Result<Browser> {
        let (driver, profile) = (Driver::start()?, TempDir::new()?);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(profile.path(), look))
            .connect(&driver.url())
            .await?;
        let browser = Browser { client, _driver: driver, _profile: profile };
        if look == Look::Dark {
            let features = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
            browser.chrome("Emulation.setEmulatedMedia", json!({ "features": features })).await?;
        }
        browser.client.goto(url).await?;
        Ok(browser)
    }

    /// The result of a script: the body of a function.
    ///
    /// # Errors
    /// If it throws.
    pub async fn script(&self, body: &str) -> Result<Value> {
        Ok(self.client.execute(body, vec![]).await?)
    }

    /// The result of a promise: an expression.
    ///
    /// # Errors
    /// If it is rejected.
    pub async fn promise(&self, expression: &str) -> Result<Value> {
        let body = format!(
            "const done = arguments[0]; ({expression}).then(value => done({{ value }}), error => done({{ error: String(error) }}))"
        );
        let ended = self.client.execute_async(&body, vec![]).await?;
        ensure!(ended["error"].is_null(), "{}", ended["error"]);
        Ok(ended["value"].clone())
    }

    /// Waits until an expression is true.
    ///
    /// # Errors
    /// If it is not within two minutes; the error contains the page's text.
    pub async fn until(&self, expression: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.script(&format!("return Boolean({expression})")).await?.as_bool().unwrap_or(false) {
            if Instant::now() > end {
                bail!("{expression} still does not hold; the page: {}", self.text("body").await?);
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// The visible text of an element.
    ///
    /// # Errors
    /// If there is no such element.
    pub async fn text(&self, css: &str) -> Result<String> {
        Ok(self.client.find(Locator::Css(css)).await?.text().await?)
    }

    /// Clicks an element, which must be visible.
    ///
    /// # Errors
    /// If there is no such element, or another one covers it.
    pub async fn click(&self, css: &str) -> Result<()> {
        Ok(self.client.find(Locator::Css(css)).await?.click().await?)
    }

    /// Types into an element; into a file input, a path.
    ///
    /// # Errors
    /// If there is no such element.
    pub async fn type_into(&self, css: &str, text: &str) -> Result<()> {
        Ok(self.client.find(Locator::Css(css)).await?.send_keys(text).await?)
    }

    /// Presses keys in the focused element.
    ///
    /// # Errors
    /// If there is no page.
    pub async fn press(&self, keys: &str) -> Result<()> {
        let press = |all: KeyActions, value| all.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        Ok(self.client.perform_actions(keys.chars().fold(KeyActions::new("keys".to_owned()), press)).await?)
    }

    /// Draws a line in an element with the mouse. Points are relative to its width and height, from the top left.
    ///
    /// # Errors
    /// If there is no such element, or no line.
    pub async fn draw(&self, css: &str, line: &[(f64, f64)]) -> Result<()> {
        self.script(&format!("document.querySelector({css:?}).scrollIntoView({{ block: 'center' }})")).await?;
        let element = self.client.find(Locator::Css(css)).await?;
        let (_, _, width, height) = element.rectangle().await?;
        let to = |&(x, y): &(f64, f64)| PointerAction::MoveToElement {
            element: element.clone(),
            duration: Some(Duration::from_millis(20)),
            // Relative to the centre.
            x: (x - 0.5) * width,
            y: (y - 0.5) * height,
        };
        let (first, rest) = line.split_first().context("a line has a first point")?;
        let pen = MouseActions::new("mouse".to_owned()).then(to(first)).then(PointerAction::Down { button: 0 });
        let pen = rest.iter().map(to).fold(pen, |pen, next| pen.then(next));
        Ok(self.client.perform_actions(pen.then(PointerAction::Up { button: 0 })).await?)
    }

    /// The accessible name of each focusable element and image.
    ///
    /// # Errors
    /// If the driver fails.
    pub async fn names(&self) -> Result<Vec<(String, String)>> {
        let css = "a, button, input, select, [tabindex='0'], [role=img], canvas";
        let mut names = Vec::new();
        for element in self.client.find_all(Locator::Css(css)).await? {
            if element.is_displayed().await? {
                let command = Command::get(format!("element/{}/computedlabel", &*element.element_id()));
                let name = self.client.issue_cmd(command).await?;
                names.push((element.html(false).await?, name.as_str().unwrap_or_default().to_owned()));
            }
        }
        Ok(names)
    }

    /// The console's errors and warnings since the last call: the page's own, violations of its policy, and failed
    /// loads.
    ///
    /// # Errors
    /// If the driver fails.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let log = self.client.issue_cmd(Command::post("se/log", json!({ "type": "browser" }))).await?;
        let entries = log.as_array().context("a log is a list")?.iter();
        let bad = entries.filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")));
        Ok(bad.map(|entry| format!("{}: {}", entry["source"], entry["message"])).collect())
    }

    /// The page as PNG: all of it, or its visible part at this height.
    ///
    /// # Errors
    /// If the browser fails.
    pub async fn screenshot(&self, height: Option<f64>) -> Result<Vec<u8>> {
        let page = self.script("return [innerWidth, document.documentElement.scrollHeight, scrollY]").await?;
        let (top, height) = height.map_or((json!(0), page[1].clone()), |height| (page[2].clone(), json!(height)));
        let clip = json!({ "x": 0, "y": top, "width": page[0], "height": height, "scale": 1 });
        let shot =
            self.chrome("Page.captureScreenshot", json!({ "captureBeyondViewport": true, "clip": clip })).await?;
        Ok(base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().context("a screenshot is text")?)?)
    }

    /// Sends a command of the Chrome DevTools protocol.
    async fn chrome(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        Ok(self.client.issue_cmd(Command::post("goog/cdp/execute", body)).await?)
    }
}

fn capabilities(profile: &Path, look: Look) -> Capabilities {
    let size = if look == Look::Phone { "390,844" } else { "1024,900" };
    let arguments = [
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-lcd-text".to_owned(),
        "--hide-scrollbars".to_owned(),
        format!("--window-size={size}"),
        format!("--user-data-dir={}", profile.display()),
    ];
    let mut options = json!({ "args": arguments });
    if look == Look::Phone {
        let metrics = json!({ "width": 390, "height": 844, "pixelRatio": 2, "touch": true, "mobile": true });
        options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
    }
    let all = [("goog:chromeOptions", options), ("goog:loggingPrefs", json!({ "browser": "ALL" }))];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A WebDriver command that the library does not have.
#[derive(Debug)]
struct Command {
    path: String,
    body: Option<Value>,
}

impl Command {
    fn get(path: String) -> Command {
        Command { path, body: None }
    }

    fn post(path: &str, body: Value) -> Command {
        Command { path: path.to_owned(), body: Some(body) }
    }
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _url: &url::Url) -> (http::Method, Option<String>) {
        match &self.body {
            Some(body) => (http::Method::POST, Some(body.to_string())),
            None => (http::Method::GET, None),
        }
    }
}
