//! Reports: a page, figures and a terminal table. Depends only on [`Results`](crate::results::Results).

mod axis;
mod colours;
mod escape;
mod figures;
mod html;
mod rows;
mod svg;
mod text;
mod verdict;

pub use figures::{chart, charts};
pub use html::page;
pub use text::summary;
pub(crate) use {
    escape::escape,
    figures::{Figure, Scales, figures},
    html::{document, list, table},
    rows::{Row, rows},
    text::columns,
};

#[cfg(test)]
pub(crate) mod tests;
