//! The nearest name, for "did you mean".

/// The candidate that a misspelt name most likely means, if one is near enough: a third of the
/// name's letters may differ, swapped neighbours counting once.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = name.chars().count().max(3) / 3;
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The help line for a misspelt name.
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The optimal string alignment distance of two names, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    // A name of this length is no name that someone misspelt, and the table grows with the product.
    if a.len() > 100 || b.len() > 100 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, a_char) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b_char) in b.iter().enumerate() {
            let substituted = above[column] + usize::from(a_char != b_char);
            let mut best = substituted
                .min(above[column + 1] + 1)
                .min(current[column] + 1);
            let swapped =
                row > 0 && column > 0 && a[row - 1] == *b_char && *a_char == b[column - 1];
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["provisioner", "post-processor", "source", "name", "env"];
        for (name, expected) in [
            ("provisoner", Some("provisioner")),
            ("post_processor", Some("post-processor")),
            ("sorce", Some("source")),
            ("nmae", Some("name")),
            ("envs", Some("env")),
            ("Name", Some("name")),
            ("completely_else", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
