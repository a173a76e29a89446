//! How wide a text is at most, what of a hostile text is shown, and how a long one is cut.
//!
//! Which font a viewer has is not known when the picture is written, so widths are upper bounds: for ASCII the wider of
//! DejaVu Sans (the widest of the usual fallbacks) and Liberation Sans (as wide as Arial and Helvetica), both measured
//! from the fonts' own tables. Characters whose width no such bound covers are not shown as themselves but by their
//! number.

use std::borrow::Cow;

/// The weight of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    /// Details and edge labels.
    Regular,
    /// Headlines.
    Bold,
}

/// Hundredths of the font size for U+0020 to U+007E, regular weight.
const REGULAR: [u8; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 56, 102, 69, 69, 73, 77, 67, 62, 78, 76, 30, 50, 67, 56, 87, 75, 79, 67, 79, 73, 67, 62, 74, 69, 99, 69,
    67, 69, 40, 34, 40, 84, 56, 50, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64,
    60, 82, 60, 60, 53, 64, 34, 64, 84,
];

/// Hundredths of the font size for U+0020 to U+007E, bold.
const BOLD: [u8; 95] = [
    35, 46, 53, 84, 70, 101, 88, 31, 46, 46, 53, 84, 38, 42, 38, 37, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 40, 40,
    84, 84, 84, 62, 100, 78, 77, 74, 83, 69, 69, 83, 84, 38, 56, 78, 64, 100, 84, 85, 74, 85, 77, 73, 69, 82, 78, 111,
    78, 73, 73, 46, 37, 46, 84, 56, 50, 68, 72, 60, 72, 68, 44, 72, 72, 35, 35, 67, 35, 105, 72, 69, 72, 72, 50, 60,
    48, 72, 66, 93, 65, 66, 59, 72, 37, 72, 84,
];

/// Hundredths of the font size that no shown character beyond ASCII exceeds: the letters of Latin, Greek and Cyrillic
/// stay below 1.2 (bold Cyrillic shcha and Latin ligatures are the widest), ideographs are 1.
const BEYOND_ASCII: u32 = 125;

/// Where a cut text was cut.
const ELLIPSIS: char = '…';

/// An upper bound of the width of `text`, in the unit of `size` (the font size).
pub(super) fn width(text: &str, size: f64, face: Face) -> f64 {
    text.chars().map(|c| advance(c, size, face)).sum()
}

fn advance(c: char, size: f64, face: Face) -> f64 {
    let table = if face == Face::Bold { &BOLD } else { &REGULAR };
    let hundredths = (c as usize).checked_sub(0x20).and_then(|i| table.get(i)).map_or(BEYOND_ASCII, |w| u32::from(*w));
    f64::from(hundredths) * size / 100.0
}

/// Whether a character is shown as itself: printing, drawn from left to right or from right to left without changing
/// the direction of its surroundings, standing alone, and no wider than [`BEYOND_ASCII`] says.
fn is_plain(c: char) -> bool {
    matches!(c,
        ' '..='~'
        | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{17f}' // Latin; not the soft hyphen
        | '\u{391}'..='\u{3a1}' | '\u{3a3}'..='\u{3ce}' // Greek
        | '\u{400}'..='\u{45f}' // Cyrillic
        | '\u{2010}'..='\u{2013}' | '\u{2018}'..='\u{201e}' | '\u{2020}'..='\u{2022}' | '\u{2026}' | '\u{2032}' | '\u{2033}'
        | '\u{2190}'..='\u{2193}' | '\u{2212}' | '\u{221e}' | '\u{2260}' | '\u{2264}' | '\u{2265}'
        | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}' // Kana
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}') // Ideographs, Hangul
}

/// The text with every character that is not shown as itself replaced by its escape, as in `\n` or `\u{202e}`.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if is_plain(c) => shown.push(c),
            '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
            _ => shown.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

/// The text if it fits into `room`, else as much of its start and of its end as fits, with an ellipsis between: names
/// in models differ at their ends as often as at their starts.
pub(super) fn shorten(text: &str, room: f64, size: f64, face: Face) -> Cow<'_, str> {
    if width(text, size, face) <= room {
        return Cow::Borrowed(text);
    }
    let half = (room - advance(ELLIPSIS, size, face)) / 2.0;
    let fits = |left: &mut f64, c: char| {
        *left -= advance(c, size, face);
        *left >= 0.0
    };
    let (mut before, mut after) = (half, half);
    let head: String = text.chars().take_while(|c| fits(&mut before, *c)).collect();
    let tail: Vec<char> = text.chars().rev().take_while(|c| fits(&mut after, *c)).collect();
    let mut cut = head;
    cut.push(ELLIPSIS);
    cut.extend(tail.into_iter().rev());
    Cow::Owned(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_both_ends() {
        let name = "/encoder/layer.11/attention/self/query/MatMul";
        assert_eq!(shorten(name, 150.0, 11.0, Face::Regular), "/encoder/la…ery/MatMul");
        assert_eq!(shorten(name, 1000.0, 11.0, Face::Regular), name);
        assert_eq!(shorten(name, 0.0, 11.0, Face::Regular), "…");
    }

    #[test]
    fn what_has_no_bound_is_shown_by_number() {
        assert_eq!(visible("a\tb\u{202e}c\u{0}\u{fdfd}\u{1f600}"), "a\\tb\\u{202e}c\\u{0}\\u{fdfd}\\u{1f600}");
        assert_eq!(visible("größe 大小 x≤y"), "größe 大小 x≤y");
    }
}
