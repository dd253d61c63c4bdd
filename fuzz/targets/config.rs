//! A configuration file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use node::Config;

fuzz_target!(|text: &str| {
    let Ok(config) = Config::parse(text) else { return };
    let Ok(text) = config.to_toml() else { return };
    let again = Config::parse(&text).expect("what was written can be read");
    assert_eq!(again.to_toml().ok(), Some(text));
});
