//! Files of pictures: what a browser decodes for its page, a node and the CLI decode themselves.
//!
//! Decoders of JPEG differ in the last bits, so the pixels may differ from those in a tab by a step or two; a receipt speaks of the
//! pixels that were sent on.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, metadata::Orientation};
use neuromesh::{
    Payload, Tensor,
    core::{DType, payload::MAX_PAYLOAD_BYTES},
    infer::vision::{self, Picture},
};

/// The largest file that is decoded, in bytes.
pub const MAX_FILE: usize = 64 << 20;
/// The most pixels of a picture that is decoded.
pub const MAX_PIXELS: u64 = 64 << 20;
/// A decoder's memory, in bytes: four 16-bit channels of each pixel.
const MAX_MEMORY: u64 = MAX_PIXELS * 8;

/// A file gave no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file is damaged, or of another kind.
    #[error("not a picture that can be decoded (PNG, JPEG, WebP): {0}")]
    Undecodable(String),
    /// Over [`MAX_FILE`].
    #[error("a picture file of {0} bytes is over the limit of {MAX_FILE}")]
    FileTooLarge(usize),
    /// Over [`MAX_PIXELS`].
    #[error("a picture of {0} x {1} pixels; at most {MAX_PIXELS} pixels are taken")]
    TooLarge(u32, u32),
}

/// What a model that takes pictures is given: one tensor `image` of uint8, [height, width, 3], upright, without alpha or colour
/// management, and made smaller by a whole factor where it would not fit a message.
///
/// # Errors
/// [`PictureError`].
pub fn payload(file: &[u8]) -> Result<Payload, PictureError> {
    let picture = fitted(decode(file)?);
    let side = |side: usize| u32::try_from(side).expect("no more than were decoded");
    let shape = vec![side(picture.height), side(picture.width), 3];
    Ok(Payload::Tensors(vec![Tensor { name: "image".into(), dtype: DType::U8, shape, data: picture.rgb }]))
}

fn decode(file: &[u8]) -> Result<Picture, PictureError> {
    if file.len() > MAX_FILE {
        return Err(PictureError::FileTooLarge(file.len()));
    }
    let undecodable = |error: &dyn std::fmt::Display| PictureError::Undecodable(error.to_string());
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|error| undecodable(&error))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| undecodable(&error))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureError::TooLarge(width, height));
    }
    // What a camera says of how it was held; browsers turn the picture, too.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(|error| undecodable(&error))?;
    decoded.apply_orientation(orientation);
    let rgb = decoded.into_rgb8();
    Ok(Picture { width: rgb.width() as usize, height: rgb.height() as usize, rgb: rgb.into_raw() })
}

fn fitted(picture: Picture) -> Picture {
    let fits =
        |factor: &usize| picture.width.div_ceil(*factor) * picture.height.div_ceil(*factor) * 3 <= MAX_PAYLOAD_BYTES;
    match (1..).find(fits) {
        Some(1) | None => picture,
        Some(factor) => vision::reduce(&picture, factor),
    }
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, Rgb, RgbImage};

    use super::*;

    fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let picture = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x ^ y) as u8]));
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format).expect("encoded");
        file.into_inner()
    }

    fn pixels(payload: Payload) -> (Vec<u32>, Vec<u8>) {
        let Payload::Tensors(tensors) = payload else { panic!("no tensors") };
        let [Tensor { shape, data, .. }] = <[Tensor; 1]>::try_from(tensors).expect("one");
        (shape, data)
    }

    #[test]
    fn a_png_gives_its_pixels_and_a_jpeg_nearly() {
        let (shape, exact) = pixels(payload(&file(40, 30, ImageFormat::Png)).expect("a picture"));
        assert_eq!((shape, exact.len()), (vec![30, 40, 3], 3600));
        assert_eq!(exact[3 * (7 * 40 + 5)..][..3], [5, 7, 5 ^ 7]);
        let (_, near) = pixels(payload(&file(40, 30, ImageFormat::Jpeg)).expect("a picture"));
        let off = exact.iter().zip(&near).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>() / 3600;
        assert!(off < 8, "{off}");
    }

    #[test]
    fn a_picture_is_turned_as_its_camera_says() {
        let plain = file(40, 30, ImageFormat::Jpeg);
        let mut turned = plain[..2].to_vec();
        // Exif 2.32, 4.6.4: one entry, orientation 6 (turn by a quarter, clockwise), little-endian.
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        turned.extend([0xff, 0xe1, 0, exif.len() as u8 + 2]);
        turned.extend(exif);
        turned.extend(&plain[2..]);
        let ((_, before), (shape, after)) =
            (pixels(payload(&plain).expect("a picture")), pixels(payload(&turned).expect("a picture")));
        assert_eq!(shape, [40, 30, 3]);
        assert_eq!(after[..3], before[29 * 40 * 3..][..3], "the lower left corner is up left");
    }

    #[test]
    fn a_large_picture_is_made_to_fit_and_a_huge_one_refused() {
        let (shape, data) = pixels(payload(&file(3000, 2000, ImageFormat::Png)).expect("a picture"));
        assert_eq!((shape, data.len()), (vec![1000, 1500, 3], 4_500_000));
        let mut huge = file(8, 8, ImageFormat::Png);
        huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        // The checksum of the header's chunk.
        let sum = crc(&huge[12..29]).to_be_bytes();
        huge[29..33].copy_from_slice(&sum);
        assert!(matches!(payload(&huge), Err(PictureError::TooLarge(65536, 65536) | PictureError::Undecodable(_))));
    }

    #[test]
    fn whatever_comes_is_an_error_or_a_picture() {
        let whole = file(40, 30, ImageFormat::Jpeg);
        assert!(matches!(payload(b""), Err(PictureError::Undecodable(_))));
        assert!(matches!(payload(b"<svg/>"), Err(PictureError::Undecodable(_))));
        for seed in 0..500u64 {
            let at = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize;
            for format in [ImageFormat::Png, ImageFormat::Jpeg] {
                let mut file = if format == ImageFormat::Jpeg { whole.clone() } else { file(20, 20, format) };
                let at = at % file.len();
                file[at] ^= 1 << (seed % 8);
                let _ = payload(&file);
                let _ = payload(&file[..at]);
            }
        }
    }

    /// PNG, annex D.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    }
}
