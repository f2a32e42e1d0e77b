//! What counts, and what is refused.

use std::path::Path;

use super::*;
use crate::cli::{DemoServer, QueryArgs};

const QUERY: [&str; 3] = ["fusion", "query", "a.png"];

/// A file with this text, and variables that name it.
fn file(text: &str) -> (tempfile::TempDir, Variables) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fusion.toml");
    std::fs::write(&path, text).unwrap();
    let variables = [("FUSION_CONFIG".to_owned(), path.into_os_string())].into();
    (folder, variables)
}

fn with(mut variables: Variables, more: &[(&str, &str)]) -> Variables {
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.into())));
    variables
}

fn line(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

fn query(words: &[&str], variables: &Variables) -> QueryArgs {
    let words = [&QUERY, words].concat();
    let cli = parse(line(&words), variables).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let Command::Query(args) = cli.command else { panic!("{words:?}: another command") };
    args
}

fn refused(words: &[&str], variables: &Variables) -> String {
    parse(line(words), variables).unwrap_err().to_string()
}

#[test]
fn a_flag_counts_more_than_a_variable_that_more_than_the_file_and_that_more_than_a_default() {
    let (_folder, file) = file("lanes = 1\n[query]\nlanes = 2\nmax-failures = 3\n[gateway]\nlanes = 9\n");
    let both = with(file.clone(), &[("FUSION_QUERY_LANES", "4"), ("FUSION_GATEWAY_LANES", "8")]);
    assert_eq!(query(&["--lanes", "5"], &both).lanes, Some(5));
    assert_eq!(query(&[], &both).lanes, Some(4));
    let from_file = query(&[], &file);
    assert_eq!((from_file.lanes, from_file.max_failures), (Some(2), 3));
    let none = Variables::new();
    assert_eq!((query(&[], &none).lanes, query(&[], &none).max_failures), (None, 8));
    // An empty variable sets nothing, and an empty name of the file means none.
    assert_eq!(query(&[], &with(file.clone(), &[("FUSION_QUERY_LANES", "")])).lanes, Some(2));
    assert_eq!(query(&[], &with(file, &[("FUSION_CONFIG", "")])).lanes, None);
}

#[test]
fn the_top_of_the_file_is_for_all_commands_that_can_take_it() {
    let (folder, file) = file("server = \"host:7878\"\nlog-format = \"json\"\nverbose = 2\ntls-ca = \"ca.pem\"\n");
    let cli = parse(line(&["fusion", "-v", "query", "a.png"]), &file).unwrap();
    assert_eq!((cli.verbose, cli.log_format), (1, crate::cli::LogFormat::Json), "what was typed counts, and does not add up");
    let Command::Query(args) = cli.command else { panic!("another command") };
    assert_eq!(args.connect.tls_ca.as_deref(), Some(folder.path().join("ca.pem").as_path()), "relative to the file");
    assert_eq!(parse(line(&QUERY), &file).unwrap().verbose, 2);
    // The demo's --server is one of three words: this is none of them, and not for it.
    let Command::Demo(args) = parse(line(&["fusion", "demo"]), &file).unwrap().command else { panic!("another command") };
    assert_eq!(args.server, DemoServer::Honest);
}

#[test]
fn switches_lists_and_required_flags_can_be_set() {
    let (folder, file) = file("[query]\nprofile = true\ninsecure = true\nknown-from = [\"run1\", \"/run2\"]\n[plan]\nqueries = 7\n");
    let args = query(&[], &with(file.clone(), &[("FUSION_QUERY_INSECURE", "no")]));
    assert!(args.profile && !args.connect.insecure && query(&[], &file).connect.insecure);
    assert_eq!(args.known_from, [folder.path().join("run1"), "/run2".into()]);
    assert_eq!(args.images, [Path::new("a.png")], "a list ends where it ends");
    let Command::Plan(args) = parse(line(&["fusion", "plan"]), &file).unwrap().command else { panic!("another command") };
    assert_eq!(args.queries, 7);
}

#[test]
fn what_conflicts_with_something_above_it_yields() {
    let (_folder, file) =
        file("[query]\npublic-dir = \"known\"\npublic-labels = \"known/labels.csv\"\nassurance = \"covert\"\nlambda = 30.0\n");
    let twice = refused(&QUERY, &file);
    assert!(twice.contains("--assurance") && twice.contains("--lambda") && twice.contains("is set by [query] of"), "{twice}");
    let (_folder, file) = self::file("[query]\npublic-dir = \"known\"\npublic-labels = \"known/labels.csv\"\nassurance = \"covert\"\n");
    let args = query(&["--public-mnist", "--lambda", "20"], &file);
    assert!(args.public_mnist && args.public_dir.is_none() && args.mix.assurance.is_none());
    // The environment is above the file, and a switch that is off excludes nothing.
    assert!(query(&[], &with(file.clone(), &[("FUSION_QUERY_PUBLIC_MNIST", "1")])).public_dir.is_none());
    assert!(query(&[], &with(file.clone(), &[("FUSION_QUERY_PUBLIC_MNIST", "0")])).public_dir.is_some());
    // To resume, nothing of a new run is needed.
    let Command::Query(args) = parse(line(&["fusion", "query", "--resume", "run1"]), &file).unwrap().command else {
        panic!("another command")
    };
    assert!(args.public_dir.is_none());
}

#[test]
fn a_run_that_is_resumed_goes_to_its_own_server() {
    let (_folder, file) = file("server = \"host:1\"\n");
    let server = |words: &[&str], variables: &Variables| {
        let Command::Query(args) = parse(line(words), variables).unwrap().command else { panic!("another command") };
        args.connect.server
    };
    assert_eq!(server(&QUERY, &file).as_deref(), Some("host:1"));
    let resume = ["fusion", "query", "--resume", "run1"];
    assert_eq!(server(&resume, &file), None, "that of the run");
    assert_eq!(server(&resume, &with(file, &[("FUSION_QUERY_SERVER", "host:2")])).as_deref(), Some("host:2"));
}

#[test]
fn what_the_file_lacks_by_itself_is_an_error_and_not_left_out() {
    let (_folder, file) = file("[serve]\ntls-cert = \"cert.pem\"\n");
    let text = refused(&["fusion", "serve", "p"], &file);
    assert!(text.contains("--tls-key"), "{text}");
    parse(line(&["fusion", "serve", "p", "--tls-key", "key.pem"]), &file).unwrap();
}

#[test]
fn keys_and_values_that_are_none_are_named() {
    for (text, expected) in [
        ("[query]\nlane = 3\n", "lane is no flag of `fusion query`; did you mean lanes?"),
        ("severr = \"h:1\"\n", "severr is no flag of any command; did you mean server?"),
        ("[querry]\nlanes = 3\n", "[querry] is no command with settings; did you mean [query]?"),
        ("[config]\n", "[config] is no command with settings"),
        ("[serve]\nuntil-stdin-closes = true\n", "until-stdin-closes is no flag"),
        ("token = \"0123456789abcdef\"\n", "a token is never read from this file"),
        ("[query]\ntoken = \"0123456789abcdef\"\n", "a token is never read from this file"),
        ("[query]\ninsecure = \"yes\"\n", "insecure in [query] is true or false"),
        ("[query]\nlanes = [1]\n", "lanes in [query] is one value, not a list"),
        ("terms = \"medium\"\n", "no command takes medium for terms"),
        ("lanes = \n", "this is not TOML"),
    ] {
        let (_folder, variables) = file(text);
        let error = refused(&QUERY, &variables);
        assert!(error.contains(expected) && error.contains("fusion.toml") && !error.contains("0123456789"), "{text}: {error}");
    }
    let (_folder, variables) = file("[query]\nlanes = \"many\"\n");
    let error = refused(&QUERY, &variables);
    assert!(error.contains("many") && error.contains("--lanes is set by [query] of"), "{error}");
    let error = refused(&QUERY, &with(Variables::new(), &[("FUSION_QUERY_INSECURE", "perhaps")]));
    assert!(error.contains("FUSION_QUERY_INSECURE is true or false"), "{error}");
    assert!(refused(&QUERY, &with(Variables::new(), &[("FUSION_CONFIG", "/no/such/file")])).contains("cannot read"));
    assert!(refused(&["fusion", "query", "a.png", "--config", "/no/such/file"], &Variables::new()).contains("cannot read"));
}

#[test]
fn the_file_is_the_users_own_and_never_of_the_current_directory() {
    let of = |set: &[(&str, &str)]| Location::of(None, &with(Variables::new(), set));
    assert_eq!(of(&[("HOME", "/h")]), Location::Usual("/h/.config/fusion/fusion.toml".into()));
    assert_eq!(of(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), Location::Usual("/x/fusion/fusion.toml".into()));
    assert_eq!(of(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")]), Location::Usual("/h/.config/fusion/fusion.toml".into()));
    assert_eq!(of(&[("HOME", "h")]), Location::Nowhere);
    assert_eq!(of(&[("HOME", "/h"), ("FUSION_CONFIG", "mine.toml")]), Location::Named("mine.toml".into()));
    assert_eq!(Location::of(Some(Path::new("flag")), &with(Variables::new(), &[("FUSION_CONFIG", "")])), Location::Named("flag".into()));
    // The user's own need not be there.
    for home in ["/nowhere", "/dev/null"] {
        assert_eq!(query(&[], &with(Variables::new(), &[("HOME", home)])).lanes, None);
    }
}

/// What the documents show can be used as it stands.
#[test]
fn files_in_documents_are_read_as_they_are() {
    for (name, document) in
        [("docs/command.md", include_str!("../../../../docs/command.md")), ("README.md", include_str!("../../README.md"))]
    {
        let blocks: Vec<_> = document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!blocks.is_empty(), "{name} shows none");
        for block in blocks {
            let (folder, variables) = file(block);
            let args = query(&[], &variables);
            assert_eq!(args.connect.server.as_deref(), Some("infer.example.com:7878"), "{name}");
            assert_eq!(args.connect.tls_ca, Some(folder.path().join("ca.pem")), "{name}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_all_users_may_change_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, variables) = file("lanes = 1\n");
    let path = &variables["FUSION_CONFIG"];
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o646)).unwrap();
    let error = refused(&QUERY, &variables);
    assert!(error.contains("chmod o-w"), "{error}");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o664)).unwrap();
    query(&[], &variables);
}

#[test]
fn words_before_the_command_are_not_taken_for_it() {
    let (_folder, file) = file("[query]\nlanes = 2\n");
    let words = ["fusion", "--log-format", "text", "-v", "--config", "query", "query", "a.png"];
    assert!(refused(&words, &file).contains("cannot read the configuration query"));
    let path = file["FUSION_CONFIG"].to_str().unwrap();
    for words in [["fusion", "--config", path, "query", "query"], ["fusion", "query", "query", "--config", path]] {
        let Command::Query(args) = parse(line(&words), &Variables::new()).unwrap().command else { panic!("another command") };
        assert_eq!((args.lanes, args.images.as_slice()), (Some(2), [PathBuf::from("query")].as_slice()));
    }
    assert!(matches!(parse(line(&["fusion", "config", "path", "--config", path]), &Variables::new()).unwrap().command,
        Command::Config(args) if args.file == Some(path.into())));
}

#[test]
fn what_is_shown_says_where_it_comes_from_and_no_token() {
    let (_folder, file) = file("server = \"host:7878\"\n[query]\nlanes = 2\npublic-dir = \"known\"\n");
    let variables = with(file, &[("FUSION_QUERY_MAX_FAILURES", "3"), ("FUSION_QUERY_LANE", "3"), ("FUSION_TOKEN", "0123456789abcdef")]);
    let location = Location::of(None, &variables);
    let text = show::settings(&location, &line(&["query", "--public-mnist", "--alpha", "0.01"]), &variables).unwrap();
    let has = |flag: &str, value: &str, origin: &str| {
        text.lines().any(|line| line.split_whitespace().take(2).eq([flag, value]) && line.contains(origin))
    };
    for (flag, value, origin) in [
        ("server", "host:7878", "fusion.toml"),
        ("lanes", "2", "[query] of"),
        ("max-failures", "3", "FUSION_QUERY_MAX_FAILURES"),
        ("alpha", "0.01", "flag"),
        ("beta", "0.001", "default"),
        ("pin", "-", "not set"),
        ("public-mnist", "true", "flag"),
        ("insecure", "false", "default"),
    ] {
        assert!(has(flag, value, origin), "{flag}\n{text}");
    }
    assert!(text.contains("not used") && text.contains("did you mean FUSION_QUERY_LANES?"), "{text}");
    assert!(text.contains("FUSION_TOKEN  set") && !text.contains("0123456789"), "{text}");
    let all = show::settings(&location, &[], &variables).unwrap();
    assert!(all.contains("[serve]") && all.contains("[plan]") && !all.contains("[config]"), "{all}");
    assert!(show::settings(&location, &line(&["querry"]), &variables).unwrap_err().to_string().contains("did you mean query?"));
    assert!(show::settings(&location, &line(&["query", "--lanes", "x"]), &variables).is_err());
    assert!(show::settings(&location, &line(&["query", "--help"]), &variables).unwrap().contains("Usage:"));
}
