//! Patterns of `address` entities: which configured entry applies to an address.
//!
//! A pattern is tokens separated by `.` or `/`. `*` stands for exactly one token, `#` for none or
//! more. At each token an exact one goes before `*` and `*` before `#`. C routers match so too.

use std::collections::HashMap;

/// The most tokens in one pattern: matching recurses once a token, and no address in use has nearly
/// as many.
pub const MAX_PATTERN_TOKENS: usize = 128;

const SEPARATORS: [char; 2] = ['.', '/'];

/// The reason why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It has no token.
    #[error("the address pattern {0:?} has no token: give a name, or # for every address")]
    Empty(String),
    /// It has too many tokens.
    #[error("the address pattern {0:?} has more than {MAX_PATTERN_TOKENS} tokens")]
    TooLong(String),
    /// It matches exactly what another one matches.
    #[error("the address pattern {0:?} is already taken by another entry")]
    Duplicate(String),
}

/// Returns the pattern of a configured `prefix`: itself and everything below it.
pub fn pattern_of_prefix(prefix: &str) -> String {
    format!("{}/#", prefix.trim_matches(SEPARATORS))
}

/// A set of patterns, each with a value.
#[derive(Debug)]
pub struct Patterns<T> {
    root: Node<T>,
    /// Number of the next node with a `#`, for the memory of a search.
    next_glob: usize,
}

#[derive(Debug)]
struct Node<T> {
    exact: HashMap<Box<str>, Self>,
    any_one: Option<Box<Self>>,
    any_many: Option<Box<Self>>,
    value: Option<T>,
    glob: usize,
}

impl<T> Node<T> {
    fn new(glob: usize) -> Self {
        Self { exact: HashMap::new(), any_one: None, any_many: None, value: None, glob }
    }

    fn is_empty(&self) -> bool {
        self.value.is_none()
            && self.exact.is_empty()
            && self.any_one.is_none()
            && self.any_many.is_none()
    }
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self { root: Node::new(0), next_glob: 1 }
    }
}

impl<T> Patterns<T> {
    /// Makes an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pattern.
    ///
    /// # Errors
    /// [`PatternError`] when it has no token or too many, or when an equal one is present.
    pub fn insert(&mut self, pattern: &str, value: T) -> Result<(), PatternError> {
        let mut node = &mut self.root;
        for token in normal_form(pattern)? {
            node = match token {
                "*" => node.any_one.get_or_insert_with(|| Box::new(Node::new(0))),
                "#" => {
                    let next = &mut self.next_glob;
                    node.any_many.get_or_insert_with(|| {
                        let glob = *next;
                        *next = next.saturating_add(1);
                        Box::new(Node::new(glob))
                    })
                }
                exact => node.exact.entry(exact.into()).or_insert_with(|| Node::new(0)),
            };
        }
        if node.value.is_some() {
            return Err(PatternError::Duplicate(pattern.into()));
        }
        node.value = Some(value);
        Ok(())
    }

    /// Removes a pattern. Returns its value; `None` when it is not present.
    pub fn remove(&mut self, pattern: &str) -> Option<T> {
        fn descend<T>(node: &mut Node<T>, tokens: &[&str]) -> Option<T> {
            let Some((token, rest)) = tokens.split_first() else { return node.value.take() };
            match *token {
                "*" => {
                    let child = node.any_one.as_mut()?;
                    let value = descend(child, rest)?;
                    if child.is_empty() {
                        node.any_one = None;
                    }
                    Some(value)
                }
                "#" => {
                    let child = node.any_many.as_mut()?;
                    let value = descend(child, rest)?;
                    if child.is_empty() {
                        node.any_many = None;
                    }
                    Some(value)
                }
                exact => {
                    let child = node.exact.get_mut(exact)?;
                    let value = descend(child, rest)?;
                    if child.is_empty() {
                        node.exact.remove(exact);
                    }
                    Some(value)
                }
            }
        }
        descend(&mut self.root, &normal_form(pattern).ok()?)
    }

    /// Returns the value of the pattern that applies to `address`: its text without class, scheme
    /// and host.
    pub fn find(&self, address: &str) -> Option<&T> {
        let tokens: Vec<&str> = tokens_of(super::strip_origin(address)).collect();
        Search { tokens: &tokens, failed: HashMap::new() }.children(&self.root, 0)
    }
}

/// One search. It remembers from which token on a `#` was tried in vain. So many of them cost no
/// more than their product with the tokens, whatever address a peer sends.
struct Search<'s> {
    tokens: &'s [&'s str],
    failed: HashMap<usize, usize>,
}

impl Search<'_> {
    fn children<'n, T>(&mut self, node: &'n Node<T>, at: usize) -> Option<&'n T> {
        if let Some(token) = self.tokens.get(at) {
            let next = at.saturating_add(1);
            let exact = node.exact.get(*token);
            if let Some(value) = exact.and_then(|child| self.matched(child, next)) {
                return Some(value);
            }
            if let Some(value) = node.any_one.as_ref().and_then(|child| self.matched(child, next)) {
                return Some(value);
            }
        }
        node.any_many.as_ref().and_then(|child| self.rest(child, at))
    }

    /// Goes on behind `node`, which took the token before `at`.
    fn matched<'n, T>(&mut self, node: &'n Node<T>, at: usize) -> Option<&'n T> {
        match &node.value {
            Some(value) if at == self.tokens.len() => Some(value),
            _ => self.children(node, at),
        }
    }

    /// Goes on behind `node`, a `#` that may take any number of tokens from `at` on; the fewer the
    /// better.
    fn rest<'n, T>(&mut self, node: &'n Node<T>, at: usize) -> Option<&'n T> {
        let untried = self.failed.get(&node.glob).copied().unwrap_or(self.tokens.len());
        for next in at..untried {
            if let Some(value) = self.children(node, next) {
                return Some(value);
            }
        }
        self.failed.insert(node.glob, at.min(untried));
        node.value.as_ref()
    }
}

/// Returns the tokens of a text: separators in front and one at the end do not count.
fn tokens_of(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim_start_matches(SEPARATORS);
    let text = text.strip_suffix(SEPARATORS).unwrap_or(text);
    let empty = text.is_empty();
    text.split(SEPARATORS).filter(move |_| !empty)
}

/// Returns the tokens of a pattern, rewritten so that equal patterns are equal texts: `#.#` is `#`,
/// and `#.*` is `*.#`.
fn normal_form(pattern: &str) -> Result<Vec<&str>, PatternError> {
    let mut tokens = Vec::new();
    let mut pending_glob = false;
    for token in tokens_of(pattern.trim_matches(SEPARATORS)) {
        match token {
            "#" => pending_glob = true,
            "*" => tokens.push(token),
            exact => {
                if core::mem::take(&mut pending_glob) {
                    tokens.push("#");
                }
                tokens.push(exact);
            }
        }
        if tokens.len() >= MAX_PATTERN_TOKENS {
            return Err(PatternError::TooLong(pattern.into()));
        }
    }
    if pending_glob {
        tokens.push("#");
    }
    if tokens.is_empty() { Err(PatternError::Empty(pattern.into())) } else { Ok(tokens) }
}
