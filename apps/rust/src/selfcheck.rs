//! What this image still offers its program. Every app answers the same fields.

use std::{fs, os::unix::fs::MetadataExt, time::Duration};

use serde::Serialize;
use tokio::{net::lookup_host, time::timeout};

#[derive(Serialize)]
pub struct SelfCheck {
    /// How many certificate authorities were found; 0: HTTPS to others fails.
    ca_certificates: usize,
    /// Whether the system's zone Europe/Paris loads.
    time_zones: bool,
    /// Whether a file can be written to /tmp.
    tmp_writable: bool,
    /// 0 is root.
    user_id: u32,
    /// Whether the name localhost has an address.
    resolves_localhost: bool,
    /// Whether the container's host name has an address.
    resolves_own_name: bool,
}

pub async fn run() -> SelfCheck {
    SelfCheck {
        ca_certificates: rustls_native_certs::load_native_certs().certs.len(),
        time_zones: tz::TimeZone::from_posix_tz("Europe/Paris").is_ok(),
        tmp_writable: tmp_writable(),
        user_id: fs::metadata("/proc/self").map_or(u32::MAX, |process| process.uid()),
        resolves_localhost: resolves("localhost").await,
        resolves_own_name: resolves(&own_name()).await,
    }
}

fn tmp_writable() -> bool {
    let path = format!("/tmp/selfcheck-{}", std::process::id());
    fs::write(&path, b"x")
        .and_then(|()| fs::remove_file(&path))
        .is_ok()
}

fn own_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}

/// Through the C library, as most Rust programs ask: it reads /etc/hosts, then asks a name server.
async fn resolves(name: &str) -> bool {
    let found = timeout(Duration::from_secs(2), lookup_host((name, 0))).await;
    found.is_ok_and(|answer| answer.is_ok_and(|mut addresses| addresses.next().is_some()))
}
