use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;
use types::Genesis;
use types::test_utils::TestNetwork;

use super::*;

/// Writes a network's genesis and the secrets of validator 0 and gives its configuration.
pub(crate) fn written(
    network: &TestNetwork,
    change: impl FnOnce(&mut Genesis),
) -> (TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let mut genesis = network.genesis.clone();
    change(&mut genesis);
    let text = serde_json::to_string(&genesis).unwrap();
    std::fs::write(folder.path().join("genesis.json"), text).unwrap();
    let secrets = folder.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    let own = &network.secrets[0];
    let files: [(&str, [u8; 32]); 4] = [
        (crate::keys::VERTEX_FILE, *own.vertex.to_seed()),
        (crate::keys::TRANSPORT_FILE, *own.transport.to_seed()),
        (crate::keys::CHECKPOINT_FILE, *own.checkpoint.to_bytes()),
        (crate::keys::COIN_FILE, *own.coin.to_bytes()),
    ];
    for (name, secret) in files {
        write_secret(&secrets.join(name), &hex::encode(secret));
    }
    std::fs::write(secrets.join(crate::keys::UNUSED_FILE), "").unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, Config::example()).unwrap();
    let config = Config::load(&file).unwrap();
    (folder, config)
}

pub(crate) fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
}

#[test]
fn the_example_is_a_configuration_that_passes_its_check() {
    let (folder, config) = written(&TestNetwork::new(4), |_| {});
    let checked = config.check().unwrap();
    assert_eq!(checked.identity.author().unwrap().value(), 0);
    assert_eq!(checked.peers.len(), 3);
    assert_eq!(checked.data_dir, folder.path().join("data"));
    assert_eq!(checked.min_round_interval, types::Span::from_millis(10));
    assert!(checked.limits.verify_threads >= 1);
    assert!(checked.faucet_key.is_none());
}

#[test]
fn the_example_shows_the_defaults() {
    let example = Config::parse(Config::example()).unwrap();
    assert_eq!(example.pacing, PacingConfig::default());
    assert_eq!(example.limits, LimitsConfig::default());
    let commented = Config::example().lines().skip_while(|line| *line != "# [development]");
    let section: String = commented
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.starts_with('[') || line.contains(" = "))
        .map(|line| format!("{line}\n"))
        .collect();
    let text = format!("{}\n{section}", Config::example());
    let development = Config::parse(&text).unwrap().development.unwrap();
    let shown = DevelopmentConfig {
        faucet_key_file: Some("faucet.wif".into()),
        ..DevelopmentConfig::default()
    };
    assert_eq!(development, shown);
}

#[test]
fn a_configuration_survives_its_file() {
    let mut config = Config::parse(Config::example()).unwrap();
    config.development = Some(DevelopmentConfig::default());
    assert_eq!(Config::parse(&config.to_toml().unwrap()).unwrap(), config);
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let text = Config::example().replace("idle_interval_ms", "idle_intervall_ms");
    std::fs::write(&file, text).unwrap();
    let error = Config::load(&file).unwrap_err().to_string();
    for part in ["node.toml", "idle_intervall_ms", "unknown field", "line "] {
        assert!(error.contains(part), "{error:?} does not name {part:?}");
    }
}

/// What to spoil, and what the error has to name.
type Row = (fn(&mut Config), &'static [&'static str]);

#[test]
fn every_nonsense_is_refused_with_key_reason_and_remedy() {
    let rows: [Row; 9] = [
        (
            |config| config.validator.as_mut().unwrap().author = 4,
            &["validator.author", "4 validators", "counted"],
        ),
        (
            |config| {
                config.network.peers.remove("2");
            },
            &["network.peers.2", "missing"],
        ),
        (
            |config| {
                config.network.peers.insert("04".into(), "h:1".into());
            },
            &["network.peers.04", "no such validator"],
        ),
        (
            |config| {
                config.network.peers.insert("1".into(), "nowhere".into());
            },
            &["network.peers.1", "host:port"],
        ),
        (|config| config.pacing.idle_interval_ms = 5, &["pacing.idle_interval_ms", "5", "10 to"]),
        (|config| config.limits.peer_inflight_mib = 0, &["limits.peer_inflight_mib", "4 to"]),
        (|config| config.limits.pending_handshakes = 0, &["limits.pending_handshakes"]),
        (|config| config.genesis = "/nonexistent/genesis.json".into(), &["/nonexistent", "path"]),
        (
            |config| {
                config.development =
                    Some(DevelopmentConfig { link_loss_percent: 101, ..Default::default() });
            },
            &["development.link_loss_percent", "0 to 100"],
        ),
    ];
    let (_folder, config) = written(&TestNetwork::new(4), |_| {});
    for (change, parts) in rows {
        let mut changed = config.clone();
        change(&mut changed);
        let error = changed.check().unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{error:?} does not name {part:?}");
        }
    }
}

#[test]
fn only_a_development_network_may_have_a_development_section() {
    let (_folder, mut config) =
        written(&TestNetwork::new(4), |genesis| genesis.development = false);
    assert!(config.check().is_ok());
    config.development = Some(DevelopmentConfig::default());
    let error = config.check().unwrap_err().to_string();
    assert!(error.contains("no development network"), "{error}");
}

/// The same node as a follower, with its key made.
fn following(config: &Config) -> Config {
    let mut config = config.clone();
    let secrets_dir = config.validator.take().unwrap().secrets_dir.join("follower");
    config.follower = Some(FollowerConfig { secrets_dir, submit_to: Vec::new() });
    config.network.listen = None;
    config.network.peers.retain(|author, _| author == "2");
    config
}

#[test]
fn a_follower_needs_a_key_of_its_own_and_one_peer() {
    let (_folder, config) = written(&TestNetwork::new(4), |_| {});
    let mut config = following(&config);
    let error = config.check().unwrap_err().to_string();
    assert!(error.contains("transport.key"), "{error}");
    assert_eq!(config.prepare(), Ok(true));
    assert_eq!(config.prepare(), Ok(false));
    let checked = config.check().unwrap();
    assert_eq!(checked.identity.author(), None);
    assert_eq!(checked.listen, None);
    assert_eq!(checked.peers.len(), 1);
    let again = config.check().unwrap();
    let key = |checked: &Checked| checked.identity.transport().public().to_bytes();
    assert_eq!(key(&again), key(&checked), "the key stays");
    config.follower.as_mut().unwrap().submit_to = vec!["ftp://nowhere".to_owned()];
    let error = config.check().unwrap_err().to_string();
    assert!(error.contains("follower.submit_to"), "{error}");
}

#[test]
fn a_node_is_a_validator_or_a_follower_and_followers_are_let_in_by_validators_only() {
    let (_folder, config) = written(&TestNetwork::new(4), |_| {});
    let follower = following(&config);
    follower.prepare().unwrap();
    let any = FollowersConfig { admit: Admit::Any, keys: Vec::new(), count_max: 16 };
    let listed = FollowersConfig { admit: Admit::Listed, ..any.clone() };
    let none = FollowersConfig { count_max: 0, ..any.clone() };
    let with = |followers: FollowersConfig, config: &Config| {
        let mut config = config.clone();
        config.network.followers = Some(followers);
        config
    };
    let rows = [
        (Config { follower: follower.follower.clone(), ..config.clone() }, "follower"),
        (Config { validator: None, ..config.clone() }, "validator"),
        (with(any.clone(), &follower), "network.followers"),
        (with(listed, &config), "network.followers.keys"),
        (with(none, &config), "network.followers.count_max"),
    ];
    for (config, key) in rows {
        let error = config.check().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{key}: ")), "{error}");
    }
    let mut listens = follower;
    listens.network.listen = config.network.listen;
    assert!(listens.check().unwrap_err().to_string().starts_with("network.listen"));
    let checked = with(any, &config).check().unwrap();
    assert_eq!(checked.followers, Admission::Any { count_max: 16 });
}
