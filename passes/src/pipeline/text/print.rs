//! The canonical spelling: `a{k=1, l=[x,y]},fixpoint(b,c)`. Parsing it gives an equal tree.

use std::fmt::{Display, Formatter, Result, Write};

use super::{Ast, FIXPOINT, Item, OptionArg, PassCall, Spanned, Value, Word};

impl Display for Word {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.as_str())
    }
}

impl<T: Display> Display for Spanned<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.it.fmt(f)
    }
}

impl Display for Ast {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        separated(f, &self.items, ",")
    }
}

impl Display for Item {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Item::Pass(call) => call.fmt(f),
            Item::Fixpoint(ast) => write!(f, "{FIXPOINT}({ast})"),
        }
    }
}

impl Display for PassCall {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.name.fmt(f)?;
        if self.options.is_empty() {
            return Ok(());
        }
        f.write_char('{')?;
        separated(f, &self.options, ", ")?;
        f.write_char('}')
    }
}

impl Display for OptionArg {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Value::Word(word) => word.fmt(f),
            Value::Quoted(text) => quoted(f, text),
            Value::List(values) => {
                f.write_char('[')?;
                separated(f, values, ",")?;
                f.write_char(']')
            }
        }
    }
}

fn separated<T: Display>(f: &mut Formatter<'_>, things: &[T], separator: &str) -> Result {
    for (i, thing) in things.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        thing.fmt(f)?;
    }
    Ok(())
}

/// Control characters are escaped so that the text stays one line and a terminal can do no harm with it.
fn quoted(f: &mut Formatter<'_>, text: &str) -> Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}
