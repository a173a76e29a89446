//! What a text's header says beyond versions: the companion that the text form's reader leaves with the model.

use bytes::Bytes;

use crate::carried::Carried;

/// The words of a header that have no meaning for a compiler. Of a function only the documentation.
///
/// Reading a text leaves one with [`Header::carried`](crate::Header) and [`Function::carried`](crate::Function), where a
/// writer of another form finds it; printing looks for it there, unless it is handed one
/// ([`Form::preamble`](super::Form)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preamble {
    /// The tool that made the model.
    pub producer_name: Option<Bytes>,
    /// Its version.
    pub producer_version: Option<Bytes>,
    /// The model's namespace.
    pub domain: Option<Bytes>,
    /// The model's own version.
    pub model_version: Option<i64>,
    /// Documentation.
    pub doc_string: Option<Bytes>,
    /// Further properties.
    pub metadata_props: Vec<(Bytes, Bytes)>,
}

impl Preamble {
    /// The companion; none where the header says nothing.
    pub(super) fn carried(self) -> Carried {
        if self == Self::default() { Carried::none() } else { Carried::new(self) }
    }
}
