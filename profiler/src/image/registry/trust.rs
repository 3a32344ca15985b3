//! Whom to trust: certificate authorities, and registries without any.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::Name;

/// Environment variable that lists, separated by commas, the registries that
/// may be spoken to without encryption.
pub const PLAIN_HTTP: &str = "PROFILER_PLAIN_HTTP";

/// Whether the user allows a registry without encryption.
pub fn may_be_plain(host: &str) -> bool {
    is_listed(&std::env::var(PLAIN_HTTP).unwrap_or_default(), host)
}

/// Whether a host is in the list of those without encryption.
fn is_listed(list: &str, host: &str) -> bool {
    list.split(',').any(|listed| !listed.trim().is_empty() && listed.trim() == host)
}

/// An HTTP client for a registry.
pub fn agent(name: &Name) -> Agent {
    let wait = |seconds| Some(Duration::from_secs(seconds));
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("profiler/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(wait(30))
        // A registry that stores a large layer answers late.
        .timeout_recv_response(wait(300))
        .timeout_per_read(wait(60))
        .timeout_per_write(wait(60))
        .tls_config(TlsConfig::builder().root_certs(roots(name)).build());
    if name.is_loopback() {
        config = config.proxy(None);
    }
    config.build().into()
}

/// Whom this machine trusts, and whom the engines trust for this registry.
fn roots(name: &Name) -> RootCerts {
    let mut trusted: Vec<Certificate<'static>> = rustls_native_certs::load_native_certs()
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    for directory in ["/etc/containers/certs.d", "/etc/docker/certs.d"] {
        let files = std::fs::read_dir(format!("{directory}/{}", name.host));
        for file in files.into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|extension| extension == "crt")
                && let Ok(pem) = std::fs::read(file.path())
            {
                trusted.extend(Certificate::from_pem(&pem).ok());
            }
        }
    }
    // A machine without any has at least those that browsers trust.
    if trusted.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&trusted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_hosts_named_in_full() {
        assert!(is_listed("a.example:5000, b.example", "b.example"));
        assert!(is_listed("a.example:5000", "a.example:5000"));
        for host in ["a.example", "example", ""] {
            assert!(!is_listed("a.example:5000,", host), "{host}");
        }
    }
}
