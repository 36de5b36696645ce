//! Everything that must be there before the first process starts.

use super::{Setup, Way};
use crate::{build, dirs, plugins, tools};
use anyhow::Result;
use std::path::{Path, PathBuf};
use weir_e2e::paths::Bins;

pub struct Parts {
    pub bins: Bins,
    pub components: PathBuf,
    pub chdb: Option<PathBuf>,
    pub kafka: Option<PathBuf>,
    pub connect: Option<PathBuf>,
}

impl Parts {
    /// Fetches or builds what is missing. `components`: other builds of the metrics; `built`: the programs
    /// are compiled already.
    pub fn ensure(setup: &Setup, components: Option<&Path>, built: bool) -> Result<Parts> {
        let chdb = match setup.clickhouse {
            Some(_) => None,
            None => Some(tools::chdb::ensure()?),
        };
        let (mut kafka, mut connect) = (None, None);
        if setup.way != Way::Embedded {
            kafka = Some(tools::jars::kafka()?);
        }
        if setup.way == Way::Services {
            connect = Some(tools::jars::connect()?);
            tools::programs::mariadb()?;
        }
        let bins = if built { dirs::bins()? } else { build::programs()? };
        let components = match components {
            Some(dir) => dir.to_owned(),
            None => plugins::build()?,
        };
        Ok(Parts { bins, components, chdb, kafka, connect })
    }
}
