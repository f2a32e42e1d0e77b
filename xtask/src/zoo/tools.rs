//! The Python tools: their virtual environments, and what they are asked for.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use fusion_cli::diagnostics::note;

use super::catalogue::{Entry, Exporter};
use super::photos::{COMPARED, Photos};

/// Where the scripts and the lists of what they need are, relative to the workspace.
const SCRIPTS: &str = "xtask/python";

/// The Pythons to use.
#[derive(Args)]
pub(super) struct Pythons {
    /// The Python that makes environments: 3.11 to 3.13
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: String,
    /// A Python that has the packages of requirements-torch.txt: no environment is made
    #[arg(long, value_name = "PROGRAM")]
    torch_python: Option<PathBuf>,
    /// A Python that has the packages of requirements-keras.txt: no environment is made
    #[arg(long, value_name = "PROGRAM")]
    keras_python: Option<PathBuf>,
}

/// A Python for each set of packages: those of PyTorch and of TensorFlow do not agree.
pub(super) struct Tools {
    scripts: PathBuf,
    torch: PathBuf,
    keras: PathBuf,
}

impl Tools {
    /// Makes the environments that `entries` need under `work`, unless there is one, or a Python
    /// that has the packages is given.
    pub(super) fn obtain(pythons: &Pythons, root: &Path, work: &Path, entries: &[Entry]) -> Result<Self> {
        let scripts = root.join(SCRIPTS);
        let needs_keras = entries.iter().any(|e| e.exporter == Exporter::Keras);
        let environment = |name: &str, given: &Option<PathBuf>, needed: bool| match given {
            Some(python) => Ok(python.clone()),
            None if needed => make(&pythons.python, &work.join(format!("venv-{name}")), &scripts.join(format!("requirements-{name}.txt"))),
            None => Ok(PathBuf::new()),
        };
        let torch = environment("torch", &pythons.torch_python, !entries.is_empty())?;
        let keras = environment("keras", &pythons.keras_python, needs_keras)?;
        Ok(Self { scripts, torch, keras })
    }

    /// Writes `model.onnx` of `entry`, and what is beside it.
    pub(super) fn export(&self, entry: &Entry, photos: &Photos, given: &Path, model: &Path) -> Result<()> {
        let to = |python: &Path, script: &str, file: &str| {
            let mut command = self.script(python, script);
            command.arg("--network").arg(entry.network).arg("--photos").arg(&photos.file);
            command.args(["--side", &photos.side.to_string()]).arg(file).arg(model);
            command
        };
        match entry.exporter {
            Exporter::Dynamo => finish(to(&self.torch, "export_torch.py", "--dynamo")),
            Exporter::TorchScript => finish(to(&self.torch, "export_torch.py", "--torchscript")),
            Exporter::Keras => {
                let mut command = to(&self.keras, "export_keras.py", "--out");
                command.args(["--channels", &photos.channels.to_string()]);
                finish(command)
            }
            Exporter::Given => {
                fs::copy(given, model).with_context(|| format!("{} cannot be copied; --lite0 names the file", given.display()))?;
                Ok(())
            }
        }
    }

    /// Writes onnxruntime's outputs beside `model`.
    pub(super) fn run_onnxruntime(&self, photos: &Photos, model: &Path) -> Result<()> {
        let mut command = self.script(&self.torch, "run_onnxruntime.py");
        command.arg("--model").arg(model).arg("--photos").arg(&photos.file);
        command.args(["--channels", &photos.channels.to_string(), "--side", &photos.side.to_string()]);
        command.args(["--count", &COMPARED.to_string()]);
        finish(command)
    }

    fn script(&self, python: &Path, script: &str) -> Command {
        let mut command = Command::new(python);
        command.arg(self.scripts.join(script));
        command
    }
}

/// A virtual environment with the packages of `list`; it is kept as long as the list is the same.
fn make(python: &str, folder: &Path, list: &Path) -> Result<PathBuf> {
    let inside = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let done = folder.join("installed.txt");
    let wanted = fs::read_to_string(list).with_context(|| list.display().to_string())?;
    if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(inside);
    }
    note(format_args!("making {}: some gigabytes to download the first time", folder.display()));
    let mut command = Command::new(python);
    finish({
        command.args(["-m", "venv", "--clear"]).arg(folder);
        command
    })?;
    let mut install = Command::new(&inside);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(list);
    finish(install)?;
    fs::write(&done, wanted)?;
    Ok(inside)
}

/// Runs a command; what it says is shown only if it fails, because exporters talk a lot.
fn finish(mut command: Command) -> Result<()> {
    let name = || command.get_args().next().map_or_else(String::new, |a: &OsStr| a.display().to_string());
    let (program, script) = (command.get_program().display().to_string(), name());
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{program} cannot be started"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{program} {script} failed ({}):\n{}", output.status, String::from_utf8_lossy(&said));
    }
    Ok(())
}
