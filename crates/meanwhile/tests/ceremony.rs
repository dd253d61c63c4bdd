//! A ceremony of four operators, each in a folder of its own: only public files are ever copied
//! from one to another, by hand. Then the four validators run.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at a surprise")]

mod common;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use client::Client;
use common::binary;
use common::free_port;
use common::run;
use common::text;
use common::until;
use serde_json::Value;
use tempfile::TempDir;
use types::Author;
use types::SecretKey;
use types::dkg::CeremonySecret;
use types::dkg::Plan;
use types::test_utils::TestOperator;
use types::test_utils::corrupt_dealing;

const NAMES: [&str; 4] = ["north", "south", "east", "west"];
const SECRETS: [&str; 5] =
    ["vertex.key", "transport.key", "checkpoint.key", "ceremony.key", "payout.wif"];

/// One operator's machine: `secrets/` never leaves it, `desk/` holds public files.
struct Operator {
    folder: TempDir,
}

impl Operator {
    fn new(name: &str) -> Self {
        let operator = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(operator.folder.path().join("desk")).unwrap();
        let output = run(&["keys", "new", &operator.secrets(), "--name", name]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        operator
    }

    fn secrets(&self) -> String {
        self.folder.path().join("secrets").to_str().unwrap().to_owned()
    }

    fn secret(&self, name: &str) -> PathBuf {
        Path::new(&self.secrets()).join(name)
    }

    fn desk(&self, name: &str) -> PathBuf {
        self.folder.path().join("desk").join(name)
    }

    /// Runs a step of the ceremony here with files from the desk.
    fn step(&self, step: &str, files: &[String], flags: &[&str]) -> std::process::Output {
        let mut command = Command::new(binary());
        command.current_dir(self.folder.path().join("desk")).args(["genesis", step]);
        command.args(["--secrets", "../secrets"]).args(files).args(flags);
        command.output().unwrap()
    }

    fn must(&self, step: &str, files: &[String], flags: &[&str]) -> (String, String) {
        let output = self.step(step, files, flags);
        assert!(output.status.success(), "{step}: {}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }
}

/// Carries a public file from one desk to all others.
fn send(operators: &[Operator], from: usize, name: &str) {
    for (to, operator) in operators.iter().enumerate() {
        if to != from {
            fs::copy(operators[from].desk(name), operator.desk(name)).unwrap();
        }
    }
}

fn files(kind: &str) -> Vec<String> {
    (0..4).map(|index| format!("{kind}-{index}.json")).collect()
}

/// Everybody makes keys; the first operator writes the plan and all get it.
fn planned() -> Vec<Operator> {
    let operators: Vec<Operator> = NAMES.map(Operator::new).into();
    for (operator, name) in operators.iter().zip(NAMES) {
        fs::copy(operator.secret("card.json"), operators[0].desk(&format!("{name}.json"))).unwrap();
    }
    let out = operators[0].desk("plan.json");
    let cards = NAMES.map(|name| operators[0].desk(&format!("{name}.json")));
    let mut arguments = vec!["genesis", "plan", "--name", "federation"];
    arguments.extend(["--out", out.to_str().unwrap()]);
    arguments.extend(cards.iter().map(|card| card.to_str().unwrap()));
    let output = run(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    send(&operators, 0, "plan.json");
    operators
}

/// Everybody deals; dealings lie on all desks afterwards.
fn dealt(operators: &[Operator]) {
    for (index, operator) in operators.iter().enumerate() {
        operator.must("deal", &[], &[]);
        send(operators, index, &format!("dealing-{index}.json"));
    }
}

/// Everybody responds; responses lie on all desks afterwards. Gives what each was told.
fn responded(operators: &[Operator]) -> Vec<String> {
    let said = operators.iter().enumerate().map(|(index, operator)| {
        let (_, said) = operator.must("receive", &files("dealing"), &[]);
        send(operators, index, &format!("response-{index}.json"));
        said
    });
    said.collect()
}

fn all_messages() -> Vec<String> {
    [files("dealing"), files("response")].concat()
}

fn finished(operator: &Operator) -> Value {
    let (stdout, _) = operator.must("finish", &all_messages(), &["--json"]);
    serde_json::from_str(&stdout).unwrap()
}

fn seed(path: &Path) -> [u8; 32] {
    let mut seed = [0; 32];
    hex::decode_to_slice(fs::read_to_string(path).unwrap().trim(), &mut seed).unwrap();
    seed
}

/// What operator 2 would write if it wanted to spoil the share of operator 1.
fn corrupt(operators: &[Operator]) {
    let hostile = &operators[2];
    let plan: Plan =
        serde_json::from_str(&fs::read_to_string(hostile.desk("plan.json")).unwrap()).unwrap();
    let secrets = TestOperator {
        vertex: SecretKey::from_seed(&seed(&hostile.secret("vertex.key"))),
        ceremony: CeremonySecret::from_seed(&seed(&hostile.secret("ceremony.key"))),
    };
    let plan = plan.check().unwrap();
    let dealing = corrupt_dealing(&plan, Author::new(2), &secrets, Author::new(1));
    let mut value = serde_json::to_value(dealing).unwrap();
    value["kind"] = "dealing".into();
    fs::write(hostile.desk("dealing-2.json"), value.to_string()).unwrap();
    send(operators, 2, "dealing-2.json");
}

/// Every secret of every operator, as its file has it.
fn secrets_of(operators: &[Operator], names: &[&str]) -> Vec<Vec<String>> {
    let read = |operator: &Operator, name: &str| {
        fs::read_to_string(operator.secret(name)).unwrap().trim().to_owned()
    };
    operators
        .iter()
        .map(|operator| names.iter().map(|name| read(operator, name)).collect())
        .collect()
}

/// Asserts that a secret stands in its owner's secrets only: on no desk, and in no other folder.
fn assert_kept(operators: &[Operator], secrets: &[Vec<String>]) {
    for (index, operator) in operators.iter().enumerate() {
        for part in ["desk", "secrets"] {
            for entry in fs::read_dir(operator.folder.path().join(part)).unwrap() {
                let path = entry.unwrap().path();
                let contents = fs::read_to_string(&path).unwrap();
                for (owner, secrets) in secrets.iter().enumerate() {
                    let foreign = part == "desk" || owner != index;
                    for secret in secrets.iter().filter(|_| foreign) {
                        assert!(!contents.contains(secret.as_str()), "{}", path.display());
                    }
                }
            }
        }
    }
}

/// The four validators, ended with the test.
struct Validators(Vec<Child>);

impl Drop for Validators {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn start(operators: &[Operator], port: u16) -> Validators {
    let mut children = Vec::new();
    for (operator, index) in operators.iter().zip(0_u16..) {
        let peers: String = (0..4_u16)
            .map(|peer| format!("{peer} = \"127.0.0.1:{}\"\n", port + 500 + peer))
            .collect();
        let config = format!(
            "genesis = \"desk/genesis.json\"\ndata_dir = \"data\"\n[validator]\nauthor = {index}\n\
             secrets_dir = \"secrets\"\n[network]\nlisten = \"127.0.0.1:{}\"\n[network.peers]\n\
             {peers}[http]\nbind = \"127.0.0.1:{}\"\n[pacing]\nidle_interval_ms = 100\n",
            port + 500 + index,
            port + index
        );
        let path = operator.folder.path().join("node.toml");
        fs::write(&path, config).unwrap();
        let log = fs::File::create(operator.folder.path().join("log.txt")).unwrap();
        let child = Command::new(binary())
            .args(["node", "--parent-pipe", "--config"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        children.push(child);
    }
    Validators(children)
}

#[tokio::test(flavor = "multi_thread")]
async fn four_folders_make_a_network_and_survive_a_corrupt_dealing() {
    let operators = planned();
    dealt(&operators);
    corrupt(&operators);
    let said = responded(&operators);
    assert!(said[1].contains("operator 2 `east` is bad"), "{}", said[1]);
    assert!(said[0].is_empty(), "{}", said[0]);

    let before = secrets_of(&operators, &SECRETS);
    let reports: Vec<Value> = operators.iter().map(finished).collect();
    for report in &reports {
        assert_eq!(report, &reports[0], "all operators compute the same");
        assert_eq!(report["excluded"][0]["name"], "east");
        assert_eq!(report["excluded"].as_array().unwrap().len(), 1);
        assert_eq!(report["dealers"].as_array().unwrap().len(), 3);
    }
    assert_kept(&operators, &before);
    assert_kept(&operators, &secrets_of(&operators, &["coin.key"]));
    for operator in &operators {
        assert!(!operator.secret("ceremony.key").exists(), "it is of no use any more");
        assert!(operator.secret("unused").exists(), "the validator has not signed a vertex yet");
    }
    // Done again, nothing changes, though the ceremony's secret is gone.
    assert_eq!(finished(&operators[0]), reports[0]);

    let genesis = operators[3].desk("genesis.json");
    let transcript = operators[3].desk("transcript.json");
    let (genesis, transcript) = (genesis.to_str().unwrap(), transcript.to_str().unwrap());
    let output = run(&["genesis", "verify", genesis, transcript]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("left out        operator 2 `east`"));

    let port = free_port(4);
    let _running = start(&operators, port);
    for index in 0..4 {
        let client = Client::new(&format!("http://127.0.0.1:{}", port + index)).unwrap();
        until("a commit", async || {
            client.status().await.ok().filter(|status| status.commit.value() > 0)
        })
        .await;
    }
}

#[test]
fn a_genesis_or_transcript_that_was_touched_is_refused() {
    let operators = planned();
    dealt(&operators);
    assert!(responded(&operators).iter().all(String::is_empty));
    let report = finished(&operators[0]);
    assert!(report["excluded"].as_array().unwrap().is_empty());
    let (genesis, transcript) =
        (operators[0].desk("genesis.json"), operators[0].desk("transcript.json"));
    let touched = operators[0].desk("touched.json");
    let judge = |genesis: &Path, transcript: &Path| {
        let output =
            run(&["genesis", "verify", genesis.to_str().unwrap(), transcript.to_str().unwrap()]);
        assert!(!output.status.success());
        text(&output.stderr)
    };
    let mut value: Value = serde_json::from_slice(&fs::read(&genesis).unwrap()).unwrap();
    value["name"] = "other".into();
    fs::write(&touched, value.to_string()).unwrap();
    let said = judge(&touched, &transcript);
    assert!(said.contains("they differ in name"), "{said}");
    let mut value: Value = serde_json::from_slice(&fs::read(&transcript).unwrap()).unwrap();
    value["responses"][2]["verdicts"][0]["dealing"] = "00".repeat(32).into();
    fs::write(&touched, value.to_string()).unwrap();
    let said = judge(&genesis, &touched);
    assert!(said.contains("operator 2 `east`") && said.contains("altered"), "{said}");
}

#[test]
fn a_step_done_twice_or_with_wrong_files_does_no_harm() {
    let operators = planned();
    let other = planned();
    operators[0].must("deal", &[], &[]);
    let first = fs::read(operators[0].desk("dealing-0.json")).unwrap();
    operators[0].must("deal", &[], &[]);
    assert_eq!(fs::read(operators[0].desk("dealing-0.json")).unwrap(), first);
    dealt(&operators);
    dealt(&other);

    let fails = |operator: &Operator, step: &str, files: &[String], says: &[&str]| {
        let output = operator.step(step, files, &[]);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{step} must fail");
        for part in says {
            assert!(said.contains(part), "{step} must say `{part}`, says: {said}");
        }
    };
    fails(&operators[0], "receive", &files("dealing")[..3], &["operator 3 `west` is missing"]);
    fs::copy(other[2].desk("dealing-2.json"), operators[0].desk("foreign.json")).unwrap();
    let mut foreign = files("dealing");
    foreign[2] = "foreign.json".to_owned();
    fails(
        &operators[0],
        "receive",
        &foreign,
        &["foreign.json", "operator 2 `east`", "another plan", "fingerprint"],
    );
    fails(&operators[0], "finish", &files("dealing"), &["the response of operator 0 `north`"]);
    assert!(!operators[0].secret("coin.key").exists());
    assert!(operators[0].secret("ceremony.key").exists());

    responded(&operators);
    corrupt(&operators);
    fails(&operators[1], "receive", &files("dealing"), &["already signed another response"]);
    fails(
        &operators[1],
        "finish",
        &all_messages(),
        &["judged another dealing of operator 2 `east`", "left out"],
    );
    let outsider = Operator::new("outsider");
    fs::copy(operators[0].desk("plan.json"), outsider.desk("plan.json")).unwrap();
    fails(&outsider, "deal", &[], &["no card of the plan has the vertex key"]);
}
