//! A set of authors, for counting quorums of distinct ones.

use types::Author;
use types::VALIDATORS_MAX;

const WORD_BITS: usize = 64;
const WORDS: usize = VALIDATORS_MAX.div_ceil(WORD_BITS);

/// Which authors have been counted. Authors outside any committee are never counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuthorSet {
    words: [u64; WORDS],
    size: usize,
}

impl AuthorSet {
    /// Nobody.
    pub(crate) const NONE: Self = Self { words: [0; WORDS], size: 0 };

    /// Counts an author, once however often it is added.
    pub(crate) fn insert(&mut self, author: Author) {
        let index = author.index();
        let bit = 1_u64 << (index % WORD_BITS);
        if let Some(word) = self.words.get_mut(index / WORD_BITS)
            && *word & bit == 0
        {
            *word |= bit;
            self.size += 1;
        }
    }

    /// How many distinct authors were counted.
    pub(crate) const fn len(&self) -> usize {
        self.size
    }
}

impl Default for AuthorSet {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_counts_once_and_a_stranger_never() {
        let mut set = AuthorSet::NONE;
        for author in [0, 63, 64, 255, 64, 0, 256, u16::MAX] {
            set.insert(Author::new(author));
        }
        assert_eq!(set.len(), 4);
    }
}
