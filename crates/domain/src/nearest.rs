//! "Did you mean": the known words closest to one that is not known.

/// Longest word compared, in characters; the rest does not matter for a hint.
const MOST: usize = 64;

/// The known words, those first that differ least from `word`, without regard to case.
pub fn sorted<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ranked: Vec<(usize, &str)> =
        known.into_iter().map(|candidate| (distance(word, candidate), candidate)).collect();
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The known word that `word` was probably meant to be, if one is close enough.
pub fn one<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = *sorted(word, known).first()?;
    let tolerance = word.chars().count().min(MOST).div_ceil(3);
    (distance(word, best) <= tolerance).then_some(best)
}

/// How many letters must be changed, added or left out to turn one into the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let letters =
        |text: &str| text.chars().take(MOST).flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (left, right) = (letters(left), letters(right));
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, a) in left.iter().enumerate() {
        let mut diagonal = above;
        let mut beside = above + 1;
        for (b, cell) in right.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(beside + 1);
            beside = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or(left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("State", "state"), 0);
    }

    #[test]
    fn the_closest_word_comes_first() {
        let known = ["id", "displayName", "description", "state"];

        assert_eq!(sorted("displyName", known).first(), Some(&"displayName"));
        assert_eq!(one("stat", known), Some("state"));
        assert_eq!(one("createdDateTime", known), None);
        assert_eq!(one("x", []), None);
    }
}
