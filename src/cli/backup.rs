//! `backup`: a checked copy of the embedded store, also while the service runs.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use caller_popup::config::Config;
use caller_popup::store::backup;

/// Copies the file and prints what is in the copy.
pub fn run(config: &Config, target: &Path) -> Result<()> {
    ensure!(config.mongodb.is_none(), "calls are in MongoDB, not in a file; back it up with mongodump");
    let source = config.data_dir.join("caller-popup.sqlite");
    let copied = backup(&source, target).with_context(|| format!("copying {}", source.display()))?;
    println!("active_calls  {}\ncall_history  {}", copied.active_calls, copied.call_history);
    Ok(())
}
