//! Whatever the settings say, they are read or refused with a reason. A line is a variable's name and its value.
#![no_main]

use caller_popup::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A path names a file, and not every file ends.
    let vars: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| *name != "JWT_PUBLIC_KEY").collect();
    let read = Config::from_vars(|asked| vars.iter().find(|(name, _)| *name == asked).map(|(_, value)| value.to_string()));
    if let (Err(problems), [(name, _)]) = (read, &vars[..]) {
        let alias = ["MONGO_URL", "DB_NAME"].contains(name);
        assert!(alias || problems.to_string().contains(name), "{problems}");
    }
});
