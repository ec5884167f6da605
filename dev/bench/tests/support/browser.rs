//! Takes screenshots of files with a real headless browser, without any network.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use flate2::read::ZlibDecoder;

/// The names of Chromium's program.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The reader's theme.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Theme {
    Light,
    Dark,
}

/// The pixels of a picture.
pub(crate) struct Picture(Vec<[u8; 3]>);

impl Picture {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn count(&self, is: impl Fn([u8; 3]) -> bool) -> usize {
        self.0.iter().filter(|pixel| is(**pixel)).count()
    }

    pub(crate) fn is_light(pixel: [u8; 3]) -> bool {
        pixel.iter().all(|part| *part > 200)
    }

    pub(crate) fn is_dark(pixel: [u8; 3]) -> bool {
        pixel.iter().all(|part| *part < 60)
    }
}

/// A screenshot of the first screens of a file.
pub(crate) fn screenshot(file: &Path, theme: Theme) -> Picture {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.png");
    let scheme = match theme {
        Theme::Dark => 0,
        Theme::Light => 1,
    };
    let program = PROGRAMS.into_iter().find(|program| {
        let started = Command::new(program).arg("--version").output();
        started.is_ok_and(|output| output.status.success())
    });
    let program = program.expect("there is no Chromium: apt-get install chromium");
    let output = Command::new(program)
        // The sandbox needs user namespaces, which root in a container may lack; the page is the
        // test's own.
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg("--window-size=1100,4000")
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("--user-data-dir={}", folder.path().display()))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let bytes = std::fs::read(&picture).unwrap_or_else(|error| panic!("{error}: {said}"));
    decode(&bytes)
}

/// Decodes the PNG that Chromium writes: eight bits for each channel, not interlaced, with or
/// without transparency.
///
/// Source: Portable Network Graphics, third edition, W3C.
fn decode(png: &[u8]) -> Picture {
    let mut rest = &png[8..];
    let (mut width, mut parts, mut packed) = (0, 0, Vec::new());
    while rest.len() >= 12 {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let (kind, data) = (&rest[4..8], &rest[8..8 + length]);
        match kind {
            b"IHDR" => {
                width = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize;
                assert_eq!((data[8], data[12]), (8, 0), "bits and interlacing");
                parts = match data[9] {
                    2 => 3,
                    6 => 4,
                    other => panic!("colours of type {other}"),
                };
            }
            b"IDAT" => packed.extend_from_slice(data),
            _ => {}
        }
        rest = &rest[12 + length..];
    }
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .unwrap();
    let mut above = vec![0_u8; width * parts];
    let mut pixels = Vec::new();
    for row in bytes.chunks(1 + width * parts) {
        let mut line = row[1..].to_vec();
        for index in 0..line.len() {
            let left = if index < parts {
                0
            } else {
                line[index - parts]
            };
            let corner = if index < parts {
                0
            } else {
                above[index - parts]
            };
            let up = above[index];
            let predicted = match row[0] {
                0 => 0,
                1 => left,
                2 => up,
                3 => u8::midpoint(left, up),
                4 => paeth(left, up, corner),
                other => panic!("a filter of type {other}"),
            };
            line[index] = line[index].wrapping_add(predicted);
        }
        pixels.extend(
            line.chunks(parts)
                .map(|pixel| [pixel[0], pixel[1], pixel[2]]),
        );
        above = line;
    }
    Picture(pixels)
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let estimate = i16::from(left) + i16::from(up) - i16::from(corner);
    let apart = |other: u8| (estimate - i16::from(other)).abs();
    if apart(left) <= apart(up) && apart(left) <= apart(corner) {
        left
    } else if apart(up) <= apart(corner) {
        up
    } else {
        corner
    }
}
