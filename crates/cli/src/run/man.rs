//! `completions` and `man`: made from the same types that read the arguments, so that they never differ from them.

use std::path::Path;

use clap::CommandFactory;
use serde::Serialize;

use super::Context;
use crate::{
    Ending,
    args::{Cli, Completions, Man},
    failure::Failure,
};

/// The document of `completions` and of `man` without a directory.
#[derive(Serialize)]
struct TextDocument {
    text: String,
}

/// The document of `man --out`.
#[derive(Serialize)]
struct WrittenDocument {
    written: Vec<String>,
}

pub(super) fn completions(context: &Context<'_>, arguments: Completions) -> Result<Ending, Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "resurgam", &mut bytes);
    text(context, &bytes)
}

pub(super) fn man(context: &Context<'_>, arguments: Man) -> Result<Ending, Failure> {
    let Some(directory) = arguments.out else {
        let mut bytes = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut bytes);
        rendered
            .map_err(|error| Failure::new("output", format!("cannot make the manual page: {error}"), "report this"))?;
        return text(context, &bytes);
    };
    let failed = |error: std::io::Error| {
        let message = format!("cannot write manual pages into {}: {error}", directory.display());
        Failure::new("target", message, "name a directory that can be written")
    };
    std::fs::create_dir_all(&directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &directory).map_err(failed)?;
    let document = WrittenDocument { written: pages(&directory).map_err(failed)? };
    context.output.answer(&document, || document.written.iter().map(|page| format!("{page}\n")).collect())?;
    Ok(Ending::Whole)
}

fn pages(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("resurgam") && name.ends_with(".1") {
            names.push(path.display().to_string());
        }
    }
    names.sort();
    Ok(names)
}

fn text(context: &Context<'_>, bytes: &[u8]) -> Result<Ending, Failure> {
    let document = TextDocument { text: String::from_utf8_lossy(bytes).into_owned() };
    context.output.answer(&document, || document.text.clone())?;
    Ok(Ending::Whole)
}
