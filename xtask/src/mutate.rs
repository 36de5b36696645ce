#[derive(clap::Args)]
pub struct Options {}
pub fn run(_o: &Options) -> anyhow::Result<bool> { Ok(true) }
