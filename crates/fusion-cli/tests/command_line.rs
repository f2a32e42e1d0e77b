//! The program as a user starts it: help with examples, and errors that say what to do.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

fn fusion(words: &[&str], simd: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fusion"));
    command.args(words).env_remove("FUSION_SIMD").env_remove("FUSION_TOKEN").env_remove("FUSION_SERVER").env("FUSION_CONFIG", "");
    if let Some(tier) = simd {
        command.env("FUSION_SIMD", tier);
    }
    command.output().unwrap()
}

#[test]
fn every_command_has_help_with_examples() {
    for command in
        ["demo", "prepare", "inspect", "serve", "query", "plan", "verify", "audit", "eval", "doctor", "config", "completions", "man"]
    {
        let help = fusion(&[command, "--help"], None);
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(help.status.success() && text.contains("Example") && text.contains(&format!("fusion {command}")), "{text}");
    }
    let usage = fusion(&["no-such-command"], None);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_wrong_instruction_tier_is_an_error_that_lists_the_right_ones() {
    let plan = ["plan", "--queries", "4", "--claimed-accuracy", "0.98"];
    assert!(fusion(&plan, Some("portable")).status.success());
    let wrong = fusion(&plan, Some("avx3"));
    let text = String::from_utf8(wrong.stderr).unwrap();
    assert!(wrong.status.code() == Some(1) && text.contains("avx3") && text.contains("portable"), "{text}");
}

#[test]
fn a_plan_without_a_claim_is_told_what_to_give() {
    let ended = fusion(&["plan", "--queries", "4"], None);
    let text = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(1) && text.contains("try:") && text.contains("--claimed-accuracy"), "{text}");
}
