//! Free loopback ports that two tests, also of two test processes, never share.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use rand::Rng;

/// A port that no other process uses, for UDP and TCP on 127.0.0.1, kept by a lock until dropped.
///
/// BIND and Knot listen with SO_REUSEPORT: two of one user would share a port silently. So a check
/// whether a port is free is not enough, and a lock that ends with the process keeps it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes a port below the range the kernel hands out by itself.
    pub fn take() -> Self {
        let directory = std::env::temp_dir().join(format!("prevalidate-test-ports.{}", user()));
        std::fs::create_dir_all(&directory).unwrap();
        for _ in 0..1000 {
            let number = rand::rng().random_range(12_000..32_000);
            let lock = File::create(directory.join(number.to_string())).unwrap();
            if lock.try_lock().is_ok() && is_free(number) {
                return Self {
                    number,
                    _lock: lock,
                };
            }
        }
        panic!("no free port on 127.0.0.1 between 12000 and 32000");
    }

    /// Where to listen and where to ask.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.number))
    }
}

fn is_free(number: u16) -> bool {
    TcpListener::bind(("127.0.0.1", number)).is_ok()
        && UdpSocket::bind(("127.0.0.1", number)).is_ok()
}

/// Lock files of root are not writable for others: each user has a directory.
fn user() -> String {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self")
        .map(|own| own.uid().to_string())
        .unwrap_or_default()
}
