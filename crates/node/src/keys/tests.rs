use std::os::unix::fs::PermissionsExt as _;

use types::test_utils::TestNetwork;

use super::*;
use crate::config::tests::write_secret;
use crate::config::tests::written;

#[test]
fn the_secrets_of_a_validator_are_read_back() {
    let network = TestNetwork::new(4);
    let (_folder, config) = written(&network, |_| {});
    let dir = &config.validator.as_ref().unwrap().secrets_dir;
    let keys = Keys::load(dir, Author::new(0), &network.committee).unwrap();
    assert_eq!(keys.vertex.public(), network.secrets[0].vertex.public());
    assert_eq!(keys.coin.public(), network.secrets[0].coin.public());
    assert!(!format!("{keys:?}").contains(&hex::encode(*keys.vertex.to_seed())));
}

#[test]
fn a_secret_that_others_may_read_is_refused_with_the_command_that_helps() {
    let network = TestNetwork::new(4);
    let (_folder, config) = written(&network, |_| {});
    for mode in [0o440, 0o404, 0o660, 0o401] {
        let file = config.validator.as_ref().unwrap().secrets_dir.join(COIN_FILE);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("chmod 0400"), "{error}");
        assert!(error.contains(COIN_FILE), "{error}");
    }
}

#[test]
fn the_secret_of_another_validator_is_refused() {
    let network = TestNetwork::new(4);
    let (_folder, mut config) = written(&network, |_| {});
    config.validator.as_mut().unwrap().author = 1;
    config.network.peers.insert("0".to_owned(), "127.0.0.1:7000".to_owned());
    let error = config.check().unwrap_err().to_string();
    assert!(error.contains("not the one of validator 1"), "{error}");
    assert!(error.contains("vertex_key"), "{error}");
}

#[test]
fn a_spoilt_secret_is_refused_and_never_shown() {
    let network = TestNetwork::new(4);
    let (_folder, config) = written(&network, |_| {});
    let file = config.validator.as_ref().unwrap().secrets_dir.join(VERTEX_FILE);
    let spoilt = ["", "abcd", &"zz".repeat(32), &"ab".repeat(33), &"ab".repeat(100)];
    for text in spoilt {
        std::fs::remove_file(&file).unwrap();
        write_secret(&file, text);
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(VERTEX_FILE), "{error}");
        assert!(text.is_empty() || !error.contains(text), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(config.check(), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn a_faucet_key_of_the_main_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faucet.wif");
    // The key of the number one, in both spellings.
    write_secret(&file, "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA\n");
    assert!(read_wif(&file).is_ok());
    std::fs::remove_file(&file).unwrap();
    write_secret(&file, "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn\n");
    assert!(read_wif(&file).unwrap_err().to_string().contains("main network"));
}

#[test]
fn a_key_has_one_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faucet.wif");
    // From Core's `key_io_invalid.json`: the byte for "compressed" is not 1.
    write_secret(&file, "cPTVQ1hbo4qdoysf6Jx5GthqucNmdfqt6J2pZRFeXv8Ep7Kmjqud\n");
    assert!(read_wif(&file).unwrap_err().to_string().contains("no key"));
}
