//! What happens to a picture before a model sees it, as text: `scale=1/255,mean=[0.485,0.456,0.406],layout=nhwc`.
//!
//! A model does not say how its pictures were prepared, and its accuracy is nothing without it. So it is said in words that
//! can be written down beside the model, and every report can repeat them: a preprocessing prints as text that parses to it.
//!
//! The order is always the same, however the text puts it: resize, crop, order of channels, scale, mean, std, layout.

mod parse;
mod picture;

use std::fmt;

pub use parse::PreprocessError;
pub use picture::{Picture, PictureError, Pixels};

/// Which axis of a picture holds its channels, as the model wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// Channels first.
    #[default]
    Nchw,
    /// Channels last.
    Nhwc,
}

impl Layout {
    const ALL: [Self; 2] = [Self::Nchw, Self::Nhwc];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        }
    }
}

/// How pictures are prepared. Without any option they are what they were, as floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    /// Extent in pixels that the shorter side is given, the other in proportion (bilinear, smoothed where it shrinks).
    pub resize: Option<u32>,
    /// Extent in pixels of the square that is cut out of the middle; of two middles, the upper left.
    pub crop: Option<u32>,
    /// Whether the order of three channels is turned around, from red first to blue first.
    pub bgr: bool,
    /// What values are multiplied by.
    pub scale: f32,
    /// What is then subtracted: one number for all channels, or one each, in the order that the model sees.
    pub mean: Vec<f32>,
    /// What the difference is then divided by, likewise.
    pub std: Vec<f32>,
    /// Where the model wants the channels.
    pub layout: Layout,
}

impl Default for Preprocess {
    fn default() -> Self {
        let layout = Layout::default();
        Self { resize: None, crop: None, bgr: false, scale: 1.0, mean: vec![0.0], std: vec![1.0], layout }
    }
}

/// Preprocessings that have a name. What follows one in a text changes it.
///
/// The numbers are those of the training sets that most models were trained on: of CIFAR-10 the mean and standard deviation
/// of its channels, of ImageNet those that torchvision's models use. Sizes are left to the user.
pub const PRESETS: [(&str, &str); 3] = [
    ("mnist", "scale=1/255"),
    ("cifar10", "scale=1/255,mean=[0.4914,0.4822,0.4465],std=[0.247,0.243,0.261]"),
    ("imagenet", "scale=1/255,mean=[0.485,0.456,0.406],std=[0.229,0.224,0.225]"),
];

/// The text of it, which parses to the same.
impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |numbers: &[f32]| numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        let (mean, std, layout) = (list(&self.mean), list(&self.std), self.layout.name());
        write!(f, "scale={},mean=[{mean}],std=[{std}],layout={layout}", self.scale)?;
        if let Some(extent) = self.resize {
            write!(f, ",resize={extent}")?;
        }
        if let Some(extent) = self.crop {
            write!(f, ",crop={extent}")?;
        }
        if self.bgr {
            f.write_str(",bgr")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
