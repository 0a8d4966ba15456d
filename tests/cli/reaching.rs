//! A host whose first address swallows connections: the next one is used.

use std::process::Command;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::Said;
use super::life::Lab;

/// A listener whose queue is full: it swallows further connections.
async fn full_at(port: u16) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 2], port).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let (address, mut held) = (listener.local_addr().unwrap(), Vec::new());
    let moment = Duration::from_millis(200);
    while let Ok(stream) = timeout(moment, TcpStream::connect(address)).await {
        held.push(stream.unwrap());
    }
    (listener, held)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_of_two_addresses_is_reached_when_the_first_swallows_connections() {
    let lab = Lab::of(&["a.example"]).await;
    let text = lab.sandbox.configuration();
    let port: u16 = text
        .lines()
        .find_map(|line| line.strip_prefix("server = \"127.0.0.1:"))
        .and_then(|rest| rest.trim_end_matches('"').parse().ok())
        .unwrap();
    let _silent = full_at(port).await;
    lab.configure(
        &format!("server = \"127.0.0.1:{port}\""),
        &format!("server = \"primary.test:{port}\""),
    );
    let hosts = lab.folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.2 primary.test\n127.0.0.1 primary.test\n").unwrap();
    let run = move || {
        let mut command = Command::new("unshare");
        command
            .args(["-r", "-m", "sh", "-c"])
            .arg("mount --make-rprivate / && mount --bind \"$0\" /etc/hosts && exec \"$@\"")
            .arg(&hosts)
            .arg(env!("CARGO_BIN_EXE_prevalidate"))
            .args(["providers", "check"])
            .current_dir(hosts.parent().unwrap());
        Said::of(&mut command)
    };
    let said = tokio::task::spawn_blocking(run).await.unwrap();
    said.ends(0).says("primary.test");
}
