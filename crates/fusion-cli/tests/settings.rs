//! Settings, colours and installed files, as a user meets them.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

/// The program in `directory`, with these variables and no others of ours.
fn fusion(directory: &Path, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fusion"));
    let ours = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("FUSION_") || name.starts_with("XDG_"));
    ours.for_each(|name| _ = command.env_remove(name));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.current_dir(directory).env("HOME", directory).args(words).envs(variables.iter().copied()).output().unwrap()
}

fn shown(directory: &Path, words: &[&str], variables: &[(&str, &str)]) -> String {
    let ended = fusion(directory, words, variables);
    assert!(ended.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

/// The line of `fusion config show` about a flag.
fn line(text: &str, flag: &str) -> String {
    text.lines().find(|line| line.split_whitespace().next() == Some(flag)).unwrap_or_else(|| panic!("no {flag}: {text}")).to_owned()
}

#[test]
fn a_file_of_the_user_is_read_and_one_that_lies_here_is_not() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("fusion.toml"), "[plan]\nqueries = 3\n").unwrap();
    let path = shown(home.path(), &["config", "path"], &[]);
    assert_eq!(path.trim_end(), home.path().join(".config/fusion/fusion.toml").to_str().unwrap());
    let plan = ["plan", "--claimed-accuracy", "0.98"];
    let lacks = fusion(home.path(), &plan, &[]);
    assert!(lacks.status.code() == Some(2) && String::from_utf8_lossy(&lacks.stderr).contains("--queries"));
    std::fs::create_dir_all(home.path().join(".config/fusion")).unwrap();
    std::fs::write(path.trim_end(), "[plan]\nqueries = 5\nlink = 100\n").unwrap();
    assert!(shown(home.path(), &plan, &[]).contains("5 quer"));
    let text =
        shown(home.path(), &["config", "show", "plan", "--link", "7"], &[("FUSION_PLAN_POOL", "99"), ("FUSION_TOKEN", "0123456789abcdef")]);
    assert!(line(&text, "queries").contains("5 ") && line(&text, "queries").contains("[plan] of"));
    assert!(line(&text, "pool").contains("99") && line(&text, "pool").contains("FUSION_PLAN_POOL"));
    assert!(line(&text, "link").contains('7') && line(&text, "link").contains("flag"));
    assert!(line(&text, "alpha").contains("default") && !text.contains("0123456789"), "{text}");
    // Whoever names the one that lies here gets it; a broken one is an error that says where.
    assert!(shown(home.path(), &plan, &[("FUSION_CONFIG", "fusion.toml")]).contains("3 quer"));
    std::fs::write(path.trim_end(), "[plan]\nqueris = 5\n").unwrap();
    let wrong = fusion(home.path(), &plan, &[]);
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && text.contains("did you mean queries?") && text.contains("fusion.toml"), "{text}");
    // What could mend it still runs.
    shown(home.path(), &["config", "path"], &[]);
    shown(home.path(), &["completions", "bash"], &[]);
}

#[test]
fn colours_are_for_terminals_and_for_those_who_force_them() {
    let home = tempfile::tempdir().unwrap();
    let coloured = |words: &[&str], variables: &[(&str, &str)]| {
        let ended = fusion(home.path(), words, variables);
        assert!(!ended.status.success());
        ended.stderr.contains(&0x1b)
    };
    let fails = ["inspect", "nothing-here"];
    assert!(!coloured(&fails, &[]), "standard error is a pipe");
    assert!(coloured(&fails, &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&fails, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    let json = ["--log-format", "json", "inspect", "nothing-here"];
    assert!(!coloured(&json, &[("CLICOLOR_FORCE", "1")]), "whoever reads JSON gets nothing else");
    // The parser's own errors and its help.
    let usage = ["no-such-command"];
    assert!(
        !coloured(&usage, &[])
            && coloured(&usage, &[("CLICOLOR_FORCE", "1")])
            && !coloured(&usage, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])
    );
}

#[test]
fn files_that_are_not_there_come_with_where_they_were_looked_for() {
    let home = tempfile::tempdir().unwrap();
    for words in [["inspect", "nothing-here"], ["serve", "nothing-here"], ["verify", "nothing-here"]] {
        let ended = fusion(home.path(), &words, &[]);
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(1) && text.contains("try:") && text.contains("looked for from"), "{text}");
    }
}
