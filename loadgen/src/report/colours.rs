//! Styles of figures, light and dark.

/// Colour names with their light and dark values.
const COLOURS: [(&str, &str, &str); 17] = [
    ("ground", "#fff", "#12181f"),
    ("offered", "#9fb3c8", "#52667a"),
    ("width", "#0b4f6c", "#7cc4fa"),
    ("widths", "#5bb5c9", "#2f7da6"),
    ("on-time", "#31a6a0", "#2c9a94"),
    ("capacity", "#c8553d", "#f0a08f"),
    ("late", "#e8a33d", "#d9922b"),
    ("refused", "#c8553d", "#d8664e"),
    ("failed", "#8a1c4a", "#c2578a"),
    ("not-sent", "#9aa5b1", "#616e7c"),
    ("p50", "#31a6a0", "#2c9a94"),
    ("p99", "#0b4f6c", "#7cc4fa"),
    ("lateness", "#9fb3c8", "#7b8fa3"),
    ("deadline", "#c8553d", "#d8664e"),
    ("queue", "#0b4f6c", "#7cc4fa"),
    ("outstanding", "#9fb3c8", "#7b8fa3"),
    ("grid", "#e4e7eb", "#323f4b"),
];

/// CSS of the panels, light and dark; without CSS variables, which few programs other than browsers support.
pub(crate) fn style() -> String {
    let colours = |of: fn(&(&str, &str, &str)) -> String| COLOURS.iter().map(of).collect::<String>();
    format!(
        ".load text{{fill:#1f2933;font:12px system-ui,sans-serif}}.load .soft{{fill:#616e7c}}\
         .load .title{{font-weight:600}}.load .line{{fill:none;stroke-width:1.6;stroke-linejoin:round}}\
         .load .level{{stroke-width:1.2;stroke-dasharray:4 3}}{light}\
         @media(prefers-color-scheme:dark){{.load text{{fill:#e4e7eb}}.load .soft{{fill:#9aa5b1}}{dark}}}",
        light = colours(|(name, light, _)| format!(".f-{name}{{fill:{light}}}.s-{name}{{stroke:{light}}}")),
        dark = colours(|(name, _, dark)| format!(".f-{name}{{fill:{dark}}}.s-{name}{{stroke:{dark}}}")),
    )
}
