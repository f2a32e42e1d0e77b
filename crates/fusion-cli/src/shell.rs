//! `fusion completions` and `fusion man`: what an installer puts beside the command.

use anyhow::{Context, Result};
use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::diagnostics::note;
use crate::terminal::show;

/// Prints the script of a shell.
///
/// # Errors
/// If standard output cannot be written.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fusion", &mut script);
    show(String::from_utf8_lossy(&script).trim_end())
}

/// Writes a page for the command, and one for each of its commands.
///
/// # Errors
/// If a page cannot be written.
pub(crate) fn man(args: &ManArgs) -> Result<()> {
    let cannot = || format!("cannot write manual pages to {}", args.out.display());
    std::fs::create_dir_all(&args.out).with_context(cannot)?;
    clap_mangen::generate_to(Cli::command(), &args.out).with_context(cannot)?;
    note(format_args!("Manual:   man -l {}", args.out.join("fusion.1").display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use clap_complete::Shell;

    use super::*;

    fn script(shell: Shell) -> String {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "fusion", &mut script);
        String::from_utf8(script).unwrap()
    }

    #[test]
    fn every_shell_completes_every_command_and_its_flags() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: no {}", command.get_name());
            }
            assert!(script.contains("max-failures") && script.contains("token-file"), "{shell}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn bash_takes_its_script() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script(Shell::Bash)).unwrap();
        let checked = std::process::Command::new("bash").arg("-n").arg(file.path()).output().unwrap();
        assert!(checked.status.success() && checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr));
        std::fs::write(file.path(), "_fusion() { if\n").unwrap();
        assert!(!std::process::Command::new("bash").arg("-n").arg(file.path()).output().unwrap().status.success());
    }

    #[test]
    fn every_command_has_a_page_that_names_its_flags() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new/man1");
        man(&ManArgs { out: out.clone() }).unwrap();
        let mut root = Cli::command();
        root.build();
        let page = |name: &str| std::fs::read_to_string(out.join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        let overview = page("fusion");
        for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
            let name = command.get_name();
            assert!(overview.contains(&format!("fusion\\-{name}")), "the overview lacks {name}");
            let page = page(&format!("fusion-{name}"));
            for flag in command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long()) {
                assert!(page.contains(&flag.replace('-', "\\-")), "{name}: no --{flag}");
            }
        }
        assert!(man(&ManArgs { out: out.join("fusion.1/below") }).is_err(), "a file is no directory");
    }
}
