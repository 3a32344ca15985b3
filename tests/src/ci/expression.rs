//! The part of GitHub's expressions that the action uses; anything else is
//! refused. Source: GitHub's documentation, "Evaluate expressions in
//! workflows and actions".

use std::collections::BTreeMap;

/// What expressions may name, by its whole name: `inputs.image`,
/// `steps.profile.outputs.report`.
pub type Context = BTreeMap<String, String>;

/// Puts the values of `${{ … }}` into a text.
#[track_caller]
pub fn filled(text: &str, context: &Context) -> String {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${{") {
        let (inside, after) = after.split_once("}}").expect("an expression ends");
        filled.push_str(before);
        filled.push_str(&value(inside.trim(), context));
        rest = after;
    }
    filled + rest
}

/// Whether a step runs: `condition`, and unless that asks itself, that no step
/// before it failed.
#[track_caller]
pub fn holds(condition: Option<&str>, context: &Context, failed: bool) -> bool {
    let Some(condition) = condition else { return !failed };
    let condition = condition.trim();
    let condition = condition
        .strip_prefix("${{")
        .map_or(condition, |inside| inside.strip_suffix("}}").expect("an expression ends").trim());
    let mut asks = false;
    let parts: Vec<bool> = condition
        .split("&&")
        .map(|part| match part.trim() {
            "always()" => {
                asks = true;
                true
            }
            part => comparison(part, context),
        })
        .collect();
    parts.into_iter().all(|part| part) && (asks || !failed)
}

#[track_caller]
fn comparison(part: &str, context: &Context) -> bool {
    let sides = |operator| part.split_once(operator);
    let of = |side: &str| value(side.trim(), context);
    // GitHub compares texts without regard to case.
    let equal = |a: &str, b: &str| of(a).to_lowercase() == of(b).to_lowercase();
    if let Some((a, b)) = sides("==") {
        equal(a, b)
    } else if let Some((a, b)) = sides("!=") {
        !equal(a, b)
    } else {
        panic!("this runner does not know the condition {part:?}")
    }
}

#[track_caller]
fn value(text: &str, context: &Context) -> String {
    if let Some(literal) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        assert!(!literal.contains('\''), "this runner does not know {text:?}");
        return literal.to_owned();
    }
    let words: Vec<&str> = text.split('.').collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!(text.chars().all(plain), "this runner does not know the expression {text:?}");
    match words.as_slice() {
        // An output that a step did not write is empty.
        ["steps", _, "outputs", _] => context.get(text).cloned().unwrap_or_default(),
        ["inputs", _] | ["github", "action_path"] | ["runner", "temp"] => {
            context.get(text).unwrap_or_else(|| panic!("nothing is called {text}")).clone()
        }
        _ => panic!("this runner does not know {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        [("inputs.a", "1"), ("inputs.empty", ""), ("steps.s.outputs.o", "${{ inputs.a }}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn values_are_put_in_once() {
        let filled = |text| filled(text, &context());
        assert_eq!(filled("x ${{ inputs.a }}${{inputs.a}} y"), "x 11 y");
        assert_eq!(filled("${{ steps.s.outputs.o }}"), "${{ inputs.a }}");
        assert_eq!(filled("${{ steps.s.outputs.none }}"), "");
    }

    #[test]
    fn conditions_hold_or_not() {
        let holds = |condition, failed| holds(Some(condition), &context(), failed);
        assert!(holds("inputs.empty == ''", false) && !holds("inputs.empty == ''", true));
        assert!(!holds("inputs.a == ''", false) && holds("inputs.a != '' && always()", true));
        assert!(holds("${{ always() }}", true));
    }

    #[test]
    #[should_panic(expected = "does not know")]
    fn what_is_not_known_is_refused() {
        filled("${{ toJSON(inputs) }}", &context());
    }
}
