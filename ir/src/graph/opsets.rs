//! Which version of which operator set a graph is written in.

use crate::name::Name;

use super::vertex::canonical_domain;

/// The operator sets that a model or function imports, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opsets(Vec<(Name, i64)>);

impl Opsets {
    /// The imports, with domains as the file has them.
    pub fn new(imports: Vec<(Name, i64)>) -> Self {
        Self(imports)
    }

    /// The version of `domain`, if it is imported. `ai.onnx` and the empty domain are one.
    pub fn version(&self, domain: &[u8]) -> Option<i64> {
        let domain = canonical_domain(domain);
        if domain.is_empty() {
            // What nearly everyone asks for, and often.
            let standard = self.0.iter().find(|(name, _)| canonical_domain(name.as_bytes()).is_empty());
            return standard.map(|&(_, version)| version);
        }
        self.0.iter().find(|(name, _)| canonical_domain(name.as_bytes()) == domain).map(|&(_, version)| version)
    }

    /// The version of the standard's own operators; 1 where a file imports none, as before operator sets had versions.
    pub fn standard(&self) -> i64 {
        self.version(b"").unwrap_or(1)
    }

    /// Imports `domain` at `version`, in place of whatever version there was.
    pub fn set(&mut self, domain: Name, version: i64) {
        let canonical = canonical_domain(domain.as_bytes());
        match self.0.iter_mut().find(|(name, _)| canonical_domain(name.as_bytes()) == canonical) {
            Some(entry) => entry.1 = version,
            None => self.0.push((domain, version)),
        }
    }

    /// The imports in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, i64)> {
        self.0.iter().map(|(name, version)| (name, *version))
    }

    /// Keeps only the imports for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&Name) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }
}
