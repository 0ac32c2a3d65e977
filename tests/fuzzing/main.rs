//! The bodies of the fuzz targets (`fuzz/bodies.rs`) on stable: over collected inputs, and over mutations of fixed
//! seeds. Real fuzzing is `cargo fuzz run`, see `fuzz/README.md`.

#[cfg(test)]
#[path = "../../fuzz/bodies.rs"]
#[allow(unreachable_pub, reason = "public for the targets, which include the same file")]
mod bodies;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod smoke;
