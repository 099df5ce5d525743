//! A replica set whose nodes can be killed one by one, whose primary can step down, and whose oplog can be overrun.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::time::Duration;

use mongodb::bson::{Document, Timestamp, doc};
use mongodb::options::{Acknowledgment, ClientOptions, CollectionOptions, WriteConcern};
use mongodb::{Client, Database};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::process::start_helper;
use super::{eventually, mongod, within};

/// A replica set of a test's own.
pub struct Cluster {
    folder: TempDir,
    ports: Vec<u16>,
    /// Closing it is the node's SIGKILL.
    alive: Vec<Option<ChildStdin>>,
    oplog_mb: &'static str,
    /// Seconds between checkpoints; what none has saved yet stays in the oplog, however small that is.
    checkpoints: &'static str,
}

impl Cluster {
    pub async fn start(nodes: usize) -> Self {
        Self::with(nodes, "64", "60").await
    }

    /// Nodes whose oplog is soon overrun.
    pub async fn forgetful(nodes: usize) -> Self {
        Self::with(nodes, "1", "1").await
    }

    async fn with(nodes: usize, oplog_mb: &'static str, checkpoints: &'static str) -> Self {
        // All held at once, or the same port would come twice.
        let held: Vec<_> = (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = held.iter().map(|port| port.local_addr().unwrap().port()).collect();
        drop(held);
        let alive = (0..nodes).map(|_| None).collect();
        let mut cluster = Self { folder: tempfile::tempdir().unwrap(), ports, alive, oplog_mb, checkpoints };
        (0..nodes).for_each(|node| cluster.launch(node));
        let admin = cluster.node(0).await;
        let member = |(id, port)| doc! { "_id": id, "host": format!("127.0.0.1:{port}") };
        let members: Vec<_> = (0i32..).zip(&cluster.ports).map(member).collect();
        let set = doc! { "_id": "chaos", "members": members, "settings": { "electionTimeoutMillis": 2000 } };
        eventually("the replica set begins", async || {
            admin.run_command(doc! { "replSetInitiate": set.clone() }).await.ok()
        })
        .await;
        cluster.primary().await;
        cluster
    }

    pub fn launch(&mut self, node: usize) {
        let folder = self.folder(node);
        std::fs::create_dir_all(&folder).unwrap();
        let (dbpath, log) = (folder.display().to_string(), folder.join("log").display().to_string());
        let port = self.ports[node].to_string();
        #[rustfmt::skip]
        let arguments = [
            "--dbpath", &dbpath, "--bind_ip", "127.0.0.1", "--port", &port, "--nounixsocket", "--replSet", "chaos",
            "--oplogSize", self.oplog_mb, "--syncdelay", self.checkpoints, "--wiredTigerCacheSizeGB", "0.25", "--logpath", &log, "--logappend",
            "--setParameter", "diagnosticDataCollectionEnabled=false",
        ];
        // The guard removes the folder it is given; the node's own is needed for its next life.
        let nothing = folder.join("nothing");
        let (alive, _) = start_helper(&mongod::program(), &arguments, nothing).unwrap();
        self.alive[node] = Some(alive);
    }

    pub fn kill(&mut self, node: usize) {
        self.alive[node] = None;
    }

    /// Stops a node's process: it hangs, and closes no connection.
    pub async fn stop(&self, node: usize) -> Pid {
        let status =
            self.node(node).await.run_command(doc! { "serverStatus": 1, "repl": 0, "metrics": 0 }).await.unwrap();
        let pid = status.get_i64("pid").unwrap();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        pid
    }

    /// Lets a stopped node go on.
    pub fn go_on(&self, pid: Pid) {
        kill_process(pid, Signal::CONT).unwrap();
    }

    /// The primary among the nodes other than this.
    pub async fn primary_beside(&self, node: usize) -> usize {
        within(Duration::from_secs(60), "another primary", async || {
            for other in (0..self.ports.len()).filter(|other| *other != node) {
                if self.says(other, "isWritablePrimary").await {
                    return Some(other);
                }
            }
            None
        })
        .await
    }

    fn folder(&self, node: usize) -> PathBuf {
        self.folder.path().join(node.to_string())
    }

    pub fn uri(&self) -> String {
        let hosts: Vec<_> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("mongodb://{}/?replicaSet=chaos", hosts.join(","))
    }

    pub async fn client(&self) -> Client {
        Client::with_uri_str(self.uri()).await.unwrap()
    }

    /// One node and no other.
    async fn node(&self, node: usize) -> Database {
        let uri = format!(
            "mongodb://127.0.0.1:{}/?directConnection=true&serverSelectionTimeoutMS=500&connectTimeoutMS=500",
            self.ports[node]
        );
        Client::with_options(ClientOptions::parse(uri).await.unwrap()).unwrap().database("admin")
    }

    pub async fn primary(&self) -> usize {
        within(Duration::from_secs(60), "a primary", async || {
            for node in (0..self.ports.len()).filter(|node| self.alive[*node].is_some()) {
                if self.says(node, "isWritablePrimary").await {
                    return Some(node);
                }
            }
            None
        })
        .await
    }

    pub async fn secondary(&self, node: usize) {
        let back =
            async || (self.says(node, "secondary").await || self.says(node, "isWritablePrimary").await).then_some(());
        within(Duration::from_secs(60), "the node is back", back).await;
    }

    /// The primary steps down: for another one, or where it is alone it is elected again soon.
    pub async fn step_down(&self) {
        let alone = self.ports.len() == 1;
        let seconds = if alone { 1 } else { 20 };
        let command = doc! { "replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": 0, "force": true };
        // A node that is busy may not answer in time.
        let primary = eventually("the primary steps down", async || {
            let primary = self.primary().await;
            self.node(primary).await.run_command(command.clone()).await.ok().map(|_| primary)
        })
        .await;
        assert_eq!(self.primary().await == primary, alone, "who follows");
    }

    /// Writes elsewhere until the oplog remembers nothing of before.
    pub async fn overrun_oplog(&self) {
        let client = self.client().await;
        let oplog = client.database("local").collection::<Document>("oplog.rs");
        // On every node, or one falls so far behind that it is of no more use.
        let everywhere = WriteConcern::builder().w(Acknowledgment::Nodes(self.ports.len() as u32)).build();
        let options = CollectionOptions::builder().write_concern(everywhere).build();
        let filler = client.database("filler").collection_with_options::<Document>("filler", options);
        let end = async |from: i32| -> Timestamp {
            let entry = oplog.find_one(doc! {}).sort(doc! { "$natural": from }).await.unwrap().unwrap();
            entry.get_timestamp("ts").unwrap()
        };
        let now = end(-1).await;
        while end(1).await <= now {
            let some = (0..16).map(|_| doc! { "filler": "x".repeat(16 * 1024) });
            filler.insert_many(some).await.unwrap();
        }
        filler.drop().await.unwrap();
    }

    async fn says(&self, node: usize, what: &str) -> bool {
        let hello = self.node(node).await.run_command(doc! { "hello": 1 }).await;
        hello.is_ok_and(|hello| hello.get_bool(what).unwrap_or(false))
    }
}
