//! Where Core's data files lie: inside the sources of a package, which cargo has unpacked.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::Failure;

const PACKAGE: &str = "libbitcoinkernel-sys";
const FOLDER: &str = "bitcoin/src/test/data";

/// The folder with the data files.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version=1", "--manifest-path", manifest];
    let output = Command::new(cargo).args(arguments).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut manifests = packages
        .filter(|package| package["name"] == PACKAGE)
        .filter_map(|package| package["manifest_path"].as_str());
    let manifest = manifests.next().ok_or("the package with Core's sources is not locked")?;
    Ok(PathBuf::from(manifest).with_file_name(FOLDER))
}

/// One data file.
pub(crate) fn file(name: &str) -> Result<Value, Failure> {
    let path = folder()?.join(name);
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// The rows of a data file that are no comments.
pub(crate) fn rows(name: &str) -> Result<Vec<Vec<Value>>, Failure> {
    let Value::Array(rows) = file(name)? else { return Err(format!("{name} is no list").into()) };
    let rows = rows.into_iter().filter_map(|row| match row {
        Value::Array(row) if row.len() > 1 => Some(row),
        _ => None,
    });
    Ok(rows.collect())
}
