//! The text form of dims: `2*N*h + 1`, `floor((N + 1)/2)`, `max(N, 3)`, `?`; printed, and parsed back.
//!
//! ```text
//! dim     = sum                     sum   = ["-"] product { ("+" | "-") product }
//! product = power { "*" power }     power = primary [ "^" number ]
//! primary = number | symbol | "?" | "(" sum ")" | "floor(" quotient ")" | "ceil(" quotient ")"
//!         | "mod(" sum "," sum ")" | "min(" sum { "," sum } ")" | "max(" sum { "," sum } ")"
//! quotient = ["-"] product "/" power
//! ```
//! Symbols are written as [`Symbol`] prints them. Printing has no `ceil` and no `mod`, which are other words for what
//! `floor` expresses; they are there for people.

use std::fmt;
use std::str::FromStr;

use super::polynomial::{Atom, Monomial, Polynomial};
use super::symbol::{continues_name, starts_name};
use super::{Dim, Repr, Symbol};

/// Bytes of a text; every normal form over names of ordinary length is far below.
const MAX_LENGTH: usize = 1 << 14;
/// What a literal has to be.
const NUMBER: &str = "a number of at most 64 bits";
/// Parentheses within parentheses.
const MAX_NESTING: usize = 32;

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Constant(value) => write!(f, "{value}"),
            Repr::Polynomial(polynomial) => write!(f, "{polynomial}"),
            Repr::Unknown => f.write_str("?"),
        }
    }
}

/// The text form; dims are read in test failures more than anywhere else.
impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl fmt::Display for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        for (index, (monomial, coefficient)) in self.terms().iter().enumerate() {
            f.write_str(match (index, *coefficient < 0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            })?;
            match (coefficient.unsigned_abs(), monomial.is_one()) {
                (1, false) => write!(f, "{monomial}")?,
                (magnitude, true) => write!(f, "{magnitude}")?,
                (magnitude, false) => write!(f, "{magnitude}*{monomial}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Monomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (atom, exponent)) in self.factors().iter().enumerate() {
            let separator = if index == 0 { "" } else { "*" };
            write!(f, "{separator}{atom}")?;
            if *exponent > 1 {
                write!(f, "^{exponent}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Symbol(symbol) => return write!(f, "{symbol}"),
            Self::FloorDiv(both) => {
                let dividend = parenthesized_if(both.0.terms().len() > 1, &both.0);
                let divisor = parenthesized_if(!is_power(&both.1), &both.1);
                return write!(f, "floor({dividend}/{divisor})");
            }
            Self::Min(_) => "min",
            Self::Max(_) => "max",
        };
        let operands: Vec<String> = self.operands().into_iter().map(Polynomial::to_string).collect();
        write!(f, "{name}({})", operands.join(", "))
    }
}

fn parenthesized_if(needed: bool, polynomial: &Polynomial) -> String {
    if needed { format!("({polynomial})") } else { polynomial.to_string() }
}

/// Whether the text can follow a slash as it is: a constant, which is positive there, or a power of one atom.
fn is_power(divisor: &Polynomial) -> bool {
    match divisor.terms() {
        [(monomial, 1)] => monomial.factors().len() <= 1,
        _ => divisor.as_constant().is_some(),
    }
}

/// Why a text is not a dim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: found {found}, expected {expected}")]
pub struct ParseDimError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What stands there.
    pub found: String,
    /// What could.
    pub expected: &'static str,
}

/// Reads the text form. A number beyond 64 bits is an error; an expression that is beyond them or beyond the limits of
/// a dim is the unknown.
impl FromStr for Dim {
    type Err = ParseDimError;

    fn from_str(text: &str) -> Result<Self, ParseDimError> {
        let mut parser = Parser { text, rest: text, nesting: 0 };
        if text.len() > MAX_LENGTH {
            return Err(parser.error("at most 16384 bytes"));
        }
        let dim = parser.sum()?;
        if parser.rest.is_empty() { Ok(dim) } else { Err(parser.error("an operator or the end")) }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// What is left, without leading space.
    rest: &'a str,
    nesting: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, expected: &'static str) -> ParseDimError {
        let read = self.text.len() - self.rest.len();
        let column = self.text.get(..read).map_or(0, |read| read.chars().count()) + 1;
        let found = self.rest.chars().next().map_or("the end".to_owned(), |c| format!("`{}`", c.escape_debug()));
        ParseDimError { column, found, expected }
    }

    fn advance_to(&mut self, rest: &'a str) {
        self.rest = rest.trim_start();
    }

    /// Takes the token if it is next.
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        if let Some(rest) = rest {
            self.advance_to(rest);
        }
        rest.is_some()
    }

    fn expect(&mut self, token: &str, expected: &'static str) -> Result<(), ParseDimError> {
        if self.take(token) { Ok(()) } else { Err(self.error(expected)) }
    }

    /// Takes the characters that satisfy the condition.
    fn take_while(&mut self, accepts: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accepts(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.advance_to(rest);
        taken
    }

    fn sum(&mut self) -> Result<Dim, ParseDimError> {
        self.advance_to(self.rest);
        let is_negative = self.take("-");
        let mut sum = self.product(is_negative)?;
        loop {
            let is_negative = match (self.take("+"), self.take("-")) {
                (true, false) => false,
                (false, true) => true,
                (true, true) => return Err(self.error("an operand")),
                (false, false) => return Ok(sum),
            };
            sum = sum + self.product(is_negative)?;
        }
    }

    /// A product, negated if its sign says so. The sign goes to the first factor: the least integer has no positive.
    fn product(&mut self, is_negative: bool) -> Result<Dim, ParseDimError> {
        let mut product = self.power(is_negative)?;
        while self.take("*") {
            product = product * self.power(false)?;
        }
        Ok(product)
    }

    fn power(&mut self, is_negative: bool) -> Result<Dim, ParseDimError> {
        let before = self.rest;
        if before.starts_with(|c: char| c.is_ascii_digit()) {
            let magnitude = self.number()?;
            let negates_base = is_negative && !self.rest.starts_with('^');
            let Ok(base) = i64::try_from(if negates_base { -magnitude } else { magnitude }) else {
                self.rest = before;
                return Err(self.error(NUMBER));
            };
            let power = self.raised(Dim::from(base))?;
            return Ok(if is_negative && !negates_base { -power } else { power });
        }
        let base = self.primary()?;
        let power = self.raised(base)?;
        Ok(if is_negative { -power } else { power })
    }

    fn raised(&mut self, base: Dim) -> Result<Dim, ParseDimError> {
        if !self.take("^") {
            return Ok(base);
        }
        let before = self.rest;
        let exponent = usize::try_from(self.number()?).ok().filter(|exponent| *exponent <= 64);
        let Some(exponent) = exponent else {
            self.rest = before;
            return Err(self.error("an exponent of at most 64"));
        };
        Ok(Dim::product(std::iter::repeat_n(&base, exponent)))
    }

    /// Decimal digits, at most 64 bits' worth.
    fn number(&mut self) -> Result<i128, ParseDimError> {
        let before = self.rest;
        let digits = self.take_while(|c| c.is_ascii_digit());
        digits.parse::<u64>().map(i128::from).map_err(|_| {
            self.rest = before;
            self.error(NUMBER)
        })
    }

    fn primary(&mut self) -> Result<Dim, ParseDimError> {
        const EXPECTED: &str = "a number, a symbol, `?` or `(`";
        if self.take("(") {
            return self.nested(|parser| parser.sum());
        }
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest;
            if !rest.starts_with(|c: char| c.is_ascii_digit()) {
                self.advance_to(rest);
                return Ok(Dim::unknown());
            }
            let number = u32::try_from(self.number()?).map_err(|_| self.error("a symbol number of at most 32 bits"))?;
            return Ok(Dim::from(Symbol::Anonymous(number)));
        }
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        if !self.rest.starts_with(starts_name) {
            return Err(self.error(EXPECTED));
        }
        let name = self.take_while(continues_name);
        if !self.rest.starts_with('(') {
            return Ok(Dim::named(name));
        }
        let combine: fn(Vec<Dim>) -> Dim = match name {
            "floor" | "ceil" => {
                self.take("(");
                let rounds_down = name == "floor";
                return self.nested(|parser| parser.quotient(rounds_down));
            }
            "min" => Dim::min_of,
            "max" => Dim::max_of,
            "mod" => |operands| match operands.as_slice() {
                [dividend, divisor] => dividend.modulo(divisor),
                _ => Dim::unknown(),
            },
            _ => return Err(self.error("an operator or the end")),
        };
        self.take("(");
        let is_binary = name == "mod";
        self.nested(|parser| {
            let mut operands = vec![parser.sum()?];
            while !(is_binary && operands.len() == 2) && parser.take(",") {
                operands.push(parser.sum()?);
            }
            if is_binary && operands.len() < 2 {
                return Err(parser.error("`,`"));
            }
            Ok(combine(operands))
        })
    }

    /// What stands between parentheses, the first of which has been taken.
    fn nested(&mut self, inside: impl FnOnce(&mut Self) -> Result<Dim, ParseDimError>) -> Result<Dim, ParseDimError> {
        if self.nesting == MAX_NESTING {
            return Err(self.error("less nesting"));
        }
        self.nesting += 1;
        let dim = inside(self)?;
        self.nesting -= 1;
        self.expect(")", "`)`")?;
        Ok(dim)
    }

    fn quotient(&mut self, rounds_down: bool) -> Result<Dim, ParseDimError> {
        let is_negative = self.take("-");
        let dividend = self.product(is_negative)?;
        self.expect("/", "`/`")?;
        let divisor = self.power(false)?;
        Ok(if rounds_down { dividend.floor_div(divisor) } else { dividend.ceil_div(divisor) })
    }

    /// A name between quotation marks.
    fn quoted(&mut self) -> Result<Dim, ParseDimError> {
        let mut name = String::new();
        let mut chars = self.rest.chars();
        chars.next();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => name.extend(chars.next()),
                Some(c) => name.push(c),
                None => {
                    self.rest = "";
                    return Err(self.error("`\"`"));
                }
            }
        }
        self.advance_to(chars.as_str());
        Ok(Dim::named(&name))
    }
}
