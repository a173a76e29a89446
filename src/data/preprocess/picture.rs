//! One picture on its way into a model.

use super::{Layout, Preprocess};

/// Why a picture cannot be prepared as asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// More pixels than there are.
    #[error("{height} by {width} pixels are too small to cut {crop} by {crop} out of them")]
    Crop {
        /// Rows of pixels.
        height: usize,
        /// Pixels of a row.
        width: usize,
        /// The extent asked for.
        crop: usize,
    },
    /// One number a channel, but not so many channels.
    #[error("{channels} channels, but {option} has {numbers} numbers")]
    Numbers {
        /// Channels of the picture.
        channels: usize,
        /// `mean` or `std`.
        option: &'static str,
        /// How many numbers it has.
        numbers: usize,
    },
    /// Blue is not to be found.
    #[error("{0} channels, but bgr turns three around")]
    Bgr(usize),
    /// Only bytes are resized.
    #[error("only pictures of 8 bits a channel are resized")]
    ResizeFloats,
    /// A side without pixels, or more of them than there can be.
    #[error("{height} by {width} pixels cannot be resized to {extent}")]
    Resize {
        /// Rows of pixels.
        height: usize,
        /// Pixels of a row.
        width: usize,
        /// The extent asked for.
        extent: u32,
    },
    /// Left out of this program.
    #[error("this onnxpress was built without the feature `images`, which resizes pictures")]
    NoImages,
}

/// The values of a picture, channel by channel, each row by row.
#[derive(Debug, Clone, PartialEq)]
pub enum Pixels {
    /// 0 to 255.
    Bytes(Vec<u8>),
    /// Any numbers.
    Floats(Vec<f32>),
}

/// A picture: its extents, and as many values.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Channels, rows of pixels, and pixels of a row.
    pub dims: [usize; 3],
    /// The values.
    pub pixels: Pixels,
}

impl Preprocess {
    /// What the model gets for a picture: its extents, in the model's layout, and its values.
    ///
    /// # Errors
    /// Where the picture is too small, or has not the channels that the options are for.
    pub fn apply(&self, picture: Picture) -> Result<([usize; 3], Vec<f32>), PictureError> {
        let picture = match self.resize {
            Some(extent) => resized(picture, extent)?,
            None => picture,
        };
        let [channels, height, width] = picture.dims;
        if self.bgr && channels != 3 {
            return Err(PictureError::Bgr(channels));
        }
        let crop = self.crop.map_or([height, width], |crop| [crop as usize; 2]);
        if crop[0] > height || crop[1] > width {
            return Err(PictureError::Crop { height, width, crop: crop[0] });
        }
        let (means, stds) = (each("mean", &self.mean, channels)?, each("std", &self.std, channels)?);
        let (top, left) = ((height - crop[0]) / 2, (width - crop[1]) / 2);
        let at = |channel: usize, row: usize, column: usize| {
            let source = if self.bgr { channels - 1 - channel } else { channel };
            let at = (source * height + top + row) * width + left + column;
            let value = match &picture.pixels {
                Pixels::Bytes(bytes) => f32::from(bytes[at]),
                Pixels::Floats(floats) => floats[at],
            };
            (value * self.scale - means[channel]) / stds[channel]
        };
        let mut values = Vec::with_capacity(channels * crop[0] * crop[1]);
        let rows = 0..crop[0];
        match self.layout {
            Layout::Nchw => {
                for channel in 0..channels {
                    for row in rows.clone() {
                        values.extend((0..crop[1]).map(|column| at(channel, row, column)));
                    }
                }
                Ok(([channels, crop[0], crop[1]], values))
            }
            Layout::Nhwc => {
                for row in rows {
                    for column in 0..crop[1] {
                        values.extend((0..channels).map(|channel| at(channel, row, column)));
                    }
                }
                Ok(([crop[0], crop[1], channels], values))
            }
        }
    }
}

/// One number a channel, of those given.
fn each(option: &'static str, numbers: &[f32], channels: usize) -> Result<Vec<f32>, PictureError> {
    match numbers {
        [one] => Ok(vec![*one; channels]),
        all if all.len() == channels => Ok(all.to_vec()),
        all => Err(PictureError::Numbers { channels, option, numbers: all.len() }),
    }
}

/// The extents of a picture whose shorter side is to have `extent` pixels.
#[cfg(feature = "images")]
fn fitted(height: usize, width: usize, extent: u32) -> Option<(u32, u32)> {
    /// Longest side of a result, in pixels.
    const LONGEST: u64 = 1 << 16;
    let (short, long) = (height.min(width) as u64, height.max(width) as u64);
    let other = u64::from(extent).checked_mul(long)?.checked_div(short).filter(|other| *other <= LONGEST)?;
    let other = u32::try_from(other).ok()?;
    Some(if height <= width { (extent, other) } else { (other, extent) })
}

/// Each channel is resized by itself, so that there may be any number of them.
#[cfg(feature = "images")]
fn resized(picture: Picture, extent: u32) -> Result<Picture, PictureError> {
    use image::imageops::FilterType;

    let [channels, height, width] = picture.dims;
    let Pixels::Bytes(bytes) = picture.pixels else { return Err(PictureError::ResizeFloats) };
    let impossible = || PictureError::Resize { height, width, extent };
    let (new_height, new_width) = fitted(height, width, extent).ok_or_else(impossible)?;
    let side = |extent: usize| u32::try_from(extent).map_err(|_| impossible());
    let (rows, columns) = (side(height)?, side(width)?);
    let mut resized = Vec::new();
    for plane in bytes.chunks_exact(height * width) {
        let plane = image::GrayImage::from_raw(columns, rows, plane.to_vec()).ok_or_else(impossible)?;
        resized.extend(image::imageops::resize(&plane, new_width, new_height, FilterType::Triangle).into_raw());
    }
    Ok(Picture { dims: [channels, new_height as usize, new_width as usize], pixels: Pixels::Bytes(resized) })
}

#[cfg(not(feature = "images"))]
fn resized(_picture: Picture, _extent: u32) -> Result<Picture, PictureError> {
    Err(PictureError::NoImages)
}
