//! Locale data of glibc: `LC_*` files in a directory a locale, or the archive
//! of all of them. Source: locale(7), glibc's `locale/findlocale.c`.

use std::collections::BTreeSet;

use super::Environment;
use crate::minimize::keep::{Keeper, Rule};

const DIRECTORY: &str = "/usr/lib/locale";

/// Keeps the locales that the config's environment names; the archive where
/// one has no directory.
pub fn keep(keeper: &mut Keeper<'_>, environment: &Environment) {
    const VARIABLES: [&str; 9] = [
        "LC_ALL",
        "LANG",
        "LC_CTYPE",
        "LC_COLLATE",
        "LC_MESSAGES",
        "LC_MONETARY",
        "LC_NUMERIC",
        "LC_TIME",
        "LC_IDENTIFICATION",
    ];
    for variable in VARIABLES {
        let Some(locale) = environment.variable(variable) else { continue };
        if matches!(locale, "" | "C" | "POSIX") || locale.contains('/') {
            continue;
        }
        let detail = format!("{variable}={locale} in the image's config");
        let mut any = false;
        for name in names(locale) {
            let path = format!("{DIRECTORY}/{name}");
            any |= keeper.keep_below(path.as_bytes(), Rule::Locale, &detail);
        }
        if !any {
            let archive = format!("{DIRECTORY}/locale-archive");
            keeper.keep_present(archive.as_bytes(), Rule::Locale, &detail);
        }
    }
}

/// Keeps the whole of a locale of which one file is kept: a program that set
/// one category may set the others.
pub fn keep_touched(keeper: &mut Keeper<'_>, path: &[u8]) {
    let Some(rest) = path.strip_prefix(DIRECTORY.as_bytes()) else { return };
    let Some(rest) = rest.strip_prefix(b"/") else { return };
    let Some(at) = rest.iter().position(|&byte| byte == b'/') else { return };
    let directory = [DIRECTORY.as_bytes(), b"/", &rest[..at]].concat();
    let detail = format!("of one locale with {}", String::from_utf8_lossy(path));
    keeper.keep_below(&directory, Rule::Locale, &detail);
}

/// Directory names of `LANGUAGE_TERRITORY.CODESET@MODIFIER`: the code set as it
/// stands and without all but small letters and digits, and with less said.
fn names(locale: &str) -> BTreeSet<String> {
    let (rest, modifier) = locale.split_once('@').map_or((locale, ""), |(rest, m)| (rest, m));
    let (language, codeset) = rest.split_once('.').map_or((rest, ""), |(rest, c)| (rest, c));
    let plain: String = codeset
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    let bare = language.split('_').next().unwrap_or(language);
    let mut names = BTreeSet::new();
    for language in [language, bare] {
        for codeset in [codeset, &plain, ""] {
            for modifier in [modifier, ""] {
                let dot = if codeset.is_empty() { "" } else { "." };
                let at = if modifier.is_empty() { "" } else { "@" };
                names.insert(format!("{language}{dot}{codeset}{at}{modifier}"));
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_bear_the_code_set_in_small_letters_and_digits() {
        assert!(names("de_DE.UTF-8@euro").contains("de_DE.utf8@euro"));
        assert!(names("C.UTF-8").contains("C.utf8"));
    }
}
