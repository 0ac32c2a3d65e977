//! Parser and writer against hand-written lines, real descriptions, generated ones and another implementation.

mod corpora;
mod generated;
mod limits;
mod lines;
mod products;

use super::*;

/// A description with one section of these lines.
fn section(lines: &str) -> Result<MediaDescription, SdpError> {
    let text = format!("{HEAD}m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n{lines}");
    text.parse::<SessionDescription>().map(|mut description| description.media.remove(0))
}

/// The lines that every description begins with: four of them.
const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
/// Line of the first attribute in [`section`].
const FIRST_ATTRIBUTE: usize = 6;
