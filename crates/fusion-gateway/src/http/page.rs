//! The page, compiled in: a few files, nothing from elsewhere.

use axum::http::header;
use axum::response::IntoResponse;

const HTML: &str = include_str!("../page/index.html");
const API: &str = include_str!("../page/api.js");
const APP: &str = include_str!("../page/app.js");
const FIGURES: &str = include_str!("../page/figures.js");
const ICON: &str = include_str!("../page/icon.svg");
const STYLE: &str = include_str!("../page/style.css");

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

pub(super) async fn html() -> impl IntoResponse {
    file("text/html; charset=utf-8", HTML)
}

pub(super) async fn api() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", API)
}

pub(super) async fn app() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", APP)
}

pub(super) async fn figures() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", FIGURES)
}

pub(super) async fn icon() -> impl IntoResponse {
    file("image/svg+xml", ICON)
}

pub(super) async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", STYLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the page's policy forbids would be silently dead; and text must not become markup.
    #[test]
    fn the_page_has_nothing_inline_and_nothing_from_elsewhere() {
        for (name, text) in [("html", HTML), ("api", API), ("app", APP), ("figures", FIGURES), ("icon", ICON), ("style", STYLE)] {
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "javascript:", "//cdn"]
            {
                assert!(!text.contains(forbidden), "{name} has {forbidden}");
            }
            let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{name} names another site");
        }
        let handler = |word: &str| word.starts_with("on") && word.contains('=');
        assert!(!HTML.contains("style=") && !HTML.contains("<style") && !HTML.split_whitespace().any(handler), "nothing inline");
        assert_eq!(HTML.matches("<script").count(), HTML.matches("<script type=\"module\" src=").count());
    }
}
