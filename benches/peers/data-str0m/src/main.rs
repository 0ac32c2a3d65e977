//! One end of a bench of data channels on str0m: reads commands from standard input, answers on standard output.

fn main() -> anyhow::Result<()> {
    anyhow::bail!("no commands yet")
}
