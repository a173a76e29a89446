//! How much of a proof is asked for.

use std::fmt;
use std::str::FromStr;

/// How much of a proof is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Numbers where the original runs, else structure, with a notice that says why.
    #[default]
    Auto,
    /// Numbers, or an error.
    Strict,
    /// Names and types of inputs and outputs.
    Structure,
    /// Nothing.
    Off,
}

impl Mode {
    /// Every mode, in the order in which help lists them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Strict, Self::Structure, Self::Off];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Strict => "strict",
            Self::Structure => "structure",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to check; there are auto, strict, structure and off")]
pub struct UnknownMode(pub String);

impl FromStr for Mode {
    type Err = UnknownMode;
    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| UnknownMode(text.to_owned()))
    }
}
