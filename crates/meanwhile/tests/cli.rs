//! What the binary says when something is wrong, and what it prints: no network needed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at a surprise")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use common::free_port;
use common::run;
use common::run_with_input;
use common::text;

fn assert_fails(arguments: &[&str], says: &[&str]) {
    let output = run(arguments);
    let error = text(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} must fail");
    assert!(output.stdout.is_empty(), "{arguments:?} printed data: {}", text(&output.stdout));
    for part in says {
        assert!(error.contains(part), "{arguments:?} must say `{part}`, says: {error}");
    }
}

#[test]
fn bad_flags_are_refused_with_what_to_write_instead() {
    assert_fails(&["devnet", "--block-interval", "10"], &["no known unit", "10s"]);
    assert_fails(&["devnet", "--no-such-flag"], &["--no-such-flag", "--help"]);
    assert_fails(&["faucet", "nonsense", "1btc"], &["nonsense"]);
    assert_fails(
        &["faucet", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "5"],
        &["no known unit", "5000sat"],
    );
    assert_fails(&["tx", "send", "zz"], &["not a transaction in hex"]);
    assert_fails(&["status", "--url", "https://nowhere"], &["http"]);
    assert_fails(&["simulate", "--validators", "0"], &["validators"]);
}

#[test]
fn a_node_that_is_not_there_is_an_error_that_says_how_to_start_one() {
    let port = free_port(1);
    let url = format!("http://127.0.0.1:{port}");
    for command in [&["status"][..], &["events"], &["tx", "status", &"0".repeat(64)]] {
        let mut arguments = command.to_vec();
        arguments.extend(["--url", &url]);
        assert_fails(&arguments, &[&url, "meanwhile devnet", "MEANWHILE_URL"]);
    }
}

#[test]
fn a_busy_port_is_named_before_anything_is_started() {
    let port = free_port(4);
    let _taken = TcpListener::bind(("127.0.0.1", port + 2)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let output = run(&["devnet", "--dir", dir, "--http-port", &port.to_string()]);
    let error = text(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains(&format!("port {}", port + 2)), "{error}");
    assert!(error.contains("--http-port"), "{error}");
    assert!(!folder.path().join("validator-0/log.txt").exists());
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    let dir = folder.path().to_str().unwrap();
    let output = run(&["devnet", "--dir", dir, "--reset"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("--dir"), "{}", text(&output.stderr));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn unknown_keys_of_a_configuration_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    let example = run(&["node", "example-config"]);
    assert!(example.status.success());
    fs::write(&path, format!("surprise = 1\n{}", text(&example.stdout))).unwrap();
    let path = path.to_str().unwrap();
    assert_fails(&["node", "--config", path], &[path, "surprise"]);
    let output = run(&["node", "check", "--config", path]);
    assert!(!output.status.success());
    let said = text(&output.stdout);
    assert!(said.contains("FAIL") && said.contains("surprise"), "{said}");
    assert_fails(&["node", "--config", "/nowhere/node.toml"], &["/nowhere/node.toml"]);
}

#[test]
fn keys_become_a_genesis_that_a_node_takes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert!(run(&["keys", "new", &at("keys"), "--name", "one"]).status.success());
    let mode = fs::metadata(at("keys/vertex.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
    assert_fails(&["keys", "new", &at("keys")], &["vertex.key", "Choose another folder"]);

    let owner = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080=50btc";
    let card = at("keys/card.json");
    let output = run(&["genesis", "new", &card, "--out", &at("net"), "--allocate", owner]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("dealer"), "the dealer is named");
    let output = run(&["genesis", "show", &at("net/genesis.json"), "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["allocated_sat"], 5_000_000_000_u64);

    fs::rename(at("net/coin-0.key"), at("keys/coin.key")).unwrap();
    let config = text(&run(&["node", "example-config"]).stdout)
        .replace("\"genesis.json\"", "\"net/genesis.json\"")
        .replace("\"secrets\"", "\"keys\"")
        .replace("127.0.0.1:7000", "127.0.0.1:0")
        .replace("127.0.0.1:3000", "127.0.0.1:0");
    let config: String = config
        .lines()
        .filter(|line| !line.contains("127.0.0.1:700"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(at("node.toml"), config).unwrap();
    let output = run(&["node", "check", "--config", &at("node.toml")]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    let output = run(&["node", "check", "--config", &at("node.toml"), "--json"]);
    let checks: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checks["ready"], true);
    let verdict = |name: &str| {
        let mut all = checks["checks"].as_array().unwrap().iter();
        all.find(|one| one["check"] == name).unwrap()["verdict"].clone()
    };
    for check in ["genesis", "keys", "start", "peer port", "data folder"] {
        assert_eq!(verdict(check), "ok", "{check}: {checks}");
    }
    // Without the mark and without a store the keys belong to a validator that lost its disk.
    fs::remove_file(at("keys/unused")).unwrap();
    let output = run(&["node", "check", "--config", &at("node.toml")]);
    assert!(text(&output.stdout).contains("will be silent"), "{}", text(&output.stdout));
}

#[test]
fn what_is_read_from_standard_input_is_judged_alike() {
    let output = run_with_input(&["tx", "send", "-"], "not hex at all\n");
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("not a transaction in hex"));
}

#[test]
fn every_command_has_help_with_an_example_and_completions() {
    let commands: [&[&str]; 37] = [
        &["devnet"],
        &["devnet", "tick"],
        &["wallet"],
        &["wallet", "init"],
        &["wallet", "start"],
        &["wallet", "status"],
        &["wallet", "address"],
        &["wallet", "balance"],
        &["wallet", "send"],
        &["wallet", "receive"],
        &["wallet", "pay"],
        &["wallet", "payments"],
        &["wallet", "channels"],
        &["wallet", "stop"],
        &["lsp"],
        &["devnet", "restart"],
        &["devnet", "stop"],
        &["faucet"],
        &["keys", "new"],
        &["genesis", "plan"],
        &["genesis", "deal"],
        &["genesis", "receive"],
        &["genesis", "finish"],
        &["genesis", "verify"],
        &["genesis", "new"],
        &["genesis", "show"],
        &["node"],
        &["node", "check"],
        &["status"],
        &["tx", "send"],
        &["tx", "status"],
        &["events"],
        &["evidence"],
        &["simulate"],
        &["bench", "ordering"],
        &["completions"],
        &["man"],
    ];
    for command in commands {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let output = run(&arguments);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("Example"), "{command:?} has no example");
    }
    let completions = text(&run(&["completions", "bash"]).stdout);
    assert!(completions.contains("devnet"));
    let folder = tempfile::tempdir().unwrap();
    assert!(run(&["man", folder.path().to_str().unwrap()]).status.success());
    assert!(folder.path().join("meanwhile-devnet.1").exists());
}
