//! `cargo xtask codegen`: from `proto/*.proto` to committed Rust.
//!
//! The output is committed, so that nobody who builds Fusion needs `protoc` or runs a build script;
//! a test here fails when a committed file is stale. To add a file of messages, add a line to
//! [`UNITS`] and run the task.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use fusion_cli::terminal::show;
use prost::Message as _;
use protox::prost_reflect::prost_types::FileDescriptorSet;

/// Directory of the sources, relative to the workspace.
const PROTO_DIR: &str = "proto";

/// Some `.proto` files and the crate directory that their Rust goes to.
struct Unit {
    /// File names in `proto/`.
    sources: &'static [&'static str],
    /// Output directory, relative to the workspace. It gets one `<package>.rs` per protobuf
    /// package.
    out: &'static str,
    /// With a gRPC service: client and server code, and a descriptor set for reflection beside it.
    service: bool,
}

const UNITS: &[Unit] = &[
    Unit { sources: &["fusion.proto"], out: "crates/fusion-net/src/proto", service: true },
    Unit { sources: &["onnx.proto"], out: "crates/fusion-model/src/onnx/proto", service: false },
    Unit { sources: &["card.proto"], out: "crates/fusion-model/src/card/proto", service: false },
];

/// Writes every generated file of the workspace at `root`.
pub(crate) fn write(root: &Path) -> Result<()> {
    for (path, content) in generate(root)? {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        if read_if_present(&path)?.as_deref() != Some(&content) {
            fs::write(&path, &content).with_context(|| format!("cannot write {}", path.display()))?;
            show(format_args!("wrote {}", path.display()))?;
        }
    }
    Ok(())
}

/// Fails with the names of the committed files that differ from what [`write()`] would write.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut stale = Vec::new();
    for (path, content) in generate(root)? {
        if read_if_present(&path)?.as_deref() != Some(&content) {
            stale.push(path.display().to_string());
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    bail!("stale generated files, run `cargo xtask codegen`: {}", stale.join(", "))
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn generate(root: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for unit in UNITS {
        files.extend(generate_unit(root, unit).with_context(|| format!("cannot generate code from {}", unit.sources.join(", ")))?);
    }
    Ok(files)
}

fn generate_unit(root: &Path, unit: &Unit) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let include = root.join(PROTO_DIR);
    let mut compiler = protox::Compiler::new([&include])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(unit.sources.iter().map(|name| include.join(name)))?;
    let descriptors = compiler.file_descriptor_set();

    let scratch = tempfile::tempdir()?;
    tonic_prost_build::configure()
        .build_client(unit.service)
        .build_server(unit.service)
        .bytes(".")
        .out_dir(scratch.path())
        .compile_fds(descriptors.clone())?;

    let out = root.join(unit.out);
    let mut files = Vec::new();
    for entry in fs::read_dir(scratch.path())? {
        let entry = entry?;
        files.push((out.join(entry.file_name()), fs::read(entry.path())?));
    }
    if unit.service {
        let stem = Path::new(unit.sources[0]).with_extension("descriptors.bin");
        files.push((out.join(stem), without_comments(descriptors).encode_to_vec()));
    }
    files.sort();
    Ok(files)
}

/// Reflection has no use for source positions, and without them an edited comment does not change
/// the binary file.
fn without_comments(mut descriptors: FileDescriptorSet) -> FileDescriptorSet {
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    descriptors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_code_is_current() {
        check(&fusion_benches::checkout::root()).unwrap();
    }

    #[test]
    fn a_stale_file_is_named() {
        let root = fusion_benches::checkout::root();
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join(PROTO_DIR)).unwrap();
        for unit in UNITS {
            for name in unit.sources {
                fs::copy(root.join(PROTO_DIR).join(name), copy.path().join(PROTO_DIR).join(name)).unwrap();
            }
        }
        write(copy.path()).unwrap();
        check(copy.path()).unwrap();
        let victim = generate(copy.path()).unwrap().remove(0).0;
        fs::write(&victim, "something else").unwrap();
        let message = check(copy.path()).unwrap_err().to_string();
        assert!(message.contains(&victim.display().to_string()), "{message}");
    }
}
