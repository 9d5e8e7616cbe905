//! `anywidth-load simulate`: the width rule and others under the same load, on virtual time.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::Failure;
use super::files::print;
use crate::simulate::{Measured, cases, compare, contenders, table};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// File with latencies and accuracies by width, or with what a running server's /profile answers [default: what
    /// one measured of the shipped cifar10]
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,

    /// Model to play of those in the server's answer [default: the first]
    #[arg(long, value_name = "NAME", requires = "profile")]
    model: Option<String>,

    /// How many times each case is played, each time with other arrivals
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
}

const EXAMPLE: &str = "\
Example, with what a running server has measured of itself:
    curl -s localhost:8080/profile > p.json
    anywidth-load simulate --profile p.json";

/// Bytes of a profile that are read.
const MOST_BYTES: u64 = 1 << 20;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let measured = arguments.measured()?;
    let profile = measured.profile()?;
    let seeds: Vec<u64> = (1..=arguments.seeds).collect();
    print(&format!("{}\n\n", measured.name))?;
    for case in cases(&profile)? {
        let scores = compare(&case, &measured, &contenders(), &seeds)?;
        print(&format!("### {}\n\n{}\n", case.name, table(&scores)))?;
    }
    Ok(())
}

impl Arguments {
    fn measured(&self) -> anyhow::Result<Measured> {
        use std::io::Read;

        let Some(path) = &self.profile else { return Ok(Measured::cifar10()?) };
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text))
            .with_context(|| format!("cannot read {}", path.display()))?;
        Measured::read(&text, self.model.as_deref()).with_context(|| path.display().to_string())
    }
}
