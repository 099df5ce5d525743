//! `erase`: every call that holds a person's number is removed.

use anyhow::{Context, Result};
use caller_popup::config::Config;
use caller_popup::phone::PhoneNumber;
use caller_popup::store::person::Person;
use caller_popup::store::{LONGEST_WRITE, Spool, Store};
use tokio::time::sleep;

use super::store_failure;

/// Removes the person from the store and prints how much that was.
pub async fn run(config: Config, number: &str, with_customers: bool) -> Result<()> {
    let number = PhoneNumber::parse(number, config.region).context("this is no public telephone number")?;
    let store = Store::open(&config).await.map_err(|cause| store_failure(&config, &cause))?;
    let embedded = config.mongodb.is_none();
    let person = Person::new(&number, config.region);
    anyhow::ensure!(
        !with_customers || store.may_remove_customers().await.map_err(|cause| store_failure(&config, &cause))?,
        "nothing was erased, because the user of MONGODB_URI may not remove documents of {}: give its role `remove` on that \
         collection, or leave --with-customers away",
        config.customers.collection
    );
    let settled = async {
        sleep(config.poll_interval + LONGEST_WRITE).await;
        Ok(())
    };
    let erased = store.erase(&person, with_customers || embedded, settled);
    let erased = erased.await.map_err(|cause| store_failure(&config, &cause))?;
    println!(
        "active_calls         {} removed\ncall_history         {} removed",
        erased.active_calls, erased.call_history
    );
    println!("notification_shapes  {} removed", erased.notification_shapes);
    println!("customers            {} removed of {} who have this number", erased.customers, erased.customers_found);
    if embedded { Ok(()) } else { erase_in_spool(&config, &person).await }
}

/// What waits for MongoDB belongs to the service that spooled it, so it is only looked at here.
async fn erase_in_spool(config: &Config, person: &Person) -> Result<()> {
    let spool = Spool::open(&config.data_dir).await.context("opening the spool in DATA_DIR")?;
    spool.erase(person).await.context("erasing in the spool in DATA_DIR")?;
    let waiting = spool.depth();
    anyhow::ensure!(
        waiting == 0,
        "{waiting} facts in DATA_DIR={} still wait for MongoDB and may bring this person back; a running service tells \
         them as soon as the database answers: erase again then",
        config.data_dir.display()
    );
    Ok(())
}
