//! Counters, and a small HTTP server that tells them.
//!
//! The text is that of OpenMetrics 1.0, which Prometheus reads.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::{Lookup, Watcher};

/// Most pairs of image and package that are counted apart.
const SERIES_MAX: usize = 2000;

/// What the counts beyond that are called.
const OTHER: &str = "(other)";

/// Most connections at a time; more wait.
const CONNECTIONS: usize = 16;

/// How long one may take, all in all.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Removed {
    image: String,
    package: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: String,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Registry,
    removed: Family<Removed, Counter>,
    lost: Family<Cause, Counter>,
    untold: Counter,
    renewals: Counter,
    containers: Gauge,
    series: std::sync::Mutex<HashSet<Removed>>,
}

impl Metrics {
    /// All zero.
    pub fn new() -> Self {
        let mut metrics = Self::default();
        let registry = metrics.registry.sub_registry_with_prefix("profiler");
        registry.register(
            "removed_lookups",
            "Lookups of what the minimizer removed, first of each container, name and program",
            metrics.removed.clone(),
        );
        registry.register(
            "removed_lookups_untold",
            "Lookups of what was removed beyond those that are told of one container",
            metrics.untold.clone(),
        );
        registry.register("events_lost", "Events lost on this machine", metrics.lost.clone());
        registry.register("renewals", "How often all was attached anew", metrics.renewals.clone());
        registry.register(
            "containers_watched",
            "Running containers that are watched",
            metrics.containers.clone(),
        );
        metrics
    }

    /// Counts a lookup.
    pub fn count(&self, lookup: &Lookup) {
        let package = lookup.package.clone().unwrap_or_default();
        let mut labels = Removed { image: lookup.image.clone(), package };
        let mut series = self.series.lock().expect("no panic under the lock");
        if !series.contains(&labels) {
            if series.len() < SERIES_MAX {
                series.insert(labels.clone());
            } else {
                labels = Removed { image: OTHER.into(), package: OTHER.into() };
            }
        }
        self.removed.get_or_create(&labels).inc();
    }

    /// Takes over what the watcher counts.
    pub fn update(&self, watcher: &Watcher<'_>) {
        self.containers.set(watcher.watched() as i64);
        raise(&self.untold, watcher.untold());
        raise(&self.renewals, watcher.renewals());
        for (cause, count) in watcher.lost().by_cause() {
            raise(&self.lost.get_or_create(&Cause { cause: cause.into() }), count);
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}

/// Raises a counter to a sum that is kept elsewhere.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

/// Answers at `/metrics` until it is dropped. A client gets a few seconds, and
/// few are served at a time: nothing else waits for any.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::info!("a connection was not accepted: {error}");
                // Out of descriptors, most likely.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let response = answer(&request, &metrics);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).keep_alive(false).max_buf_size(16 * 1024);
            let connection = http.serve_connection(TokioIo::new(stream), answer);
            match tokio::time::timeout(PATIENCE, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => log::debug!("a client of the metrics: {error}"),
                Err(_) => log::debug!("a client of the metrics took too long"),
            }
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            metrics.text(),
        ),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n".into()),
        _ => (StatusCode::NOT_FOUND, "text/plain", "see /metrics\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Kind;

    fn lookup(image: &str, package: Option<&str>) -> Lookup {
        Lookup {
            time: String::new(),
            container: String::new(),
            container_name: String::new(),
            image: image.into(),
            image_id: String::new(),
            name: "/a".into(),
            path: "/a".into(),
            links: Vec::new(),
            package: package.map(str::to_owned),
            kind: Kind::Open,
            comm: String::new(),
            pid: 1,
            exe: None,
        }
    }

    #[test]
    fn lookups_are_counted_by_image_and_package_in_a_bounded_number_of_series() {
        let metrics = Metrics::new();
        metrics.count(&lookup("a", None));
        metrics.count(&lookup("b\"\n", Some("libc6")));
        for number in 0..SERIES_MAX {
            metrics.count(&lookup(&number.to_string(), None));
        }
        metrics.count(&lookup("a", None));
        let text = metrics.text();
        let has = |line: &str| text.lines().any(|one| one == line);
        assert!(has(r#"profiler_removed_lookups_total{image="a",package=""} 2"#), "{text}");
        assert!(
            has(r#"profiler_removed_lookups_total{image="b\"\n",package="libc6"} 1"#),
            "{text}"
        );
        assert!(
            has(r#"profiler_removed_lookups_total{image="(other)",package="(other)"} 2"#),
            "{text}"
        );
        assert!(has("profiler_containers_watched 0") && text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_sum_that_is_kept_elsewhere_never_falls() {
        let counter = Counter::default();
        for (to, is) in [(3, 3), (3, 3), (2, 3), (5, 5)] {
            raise(&counter, to);
            assert_eq!(counter.get(), is);
        }
    }
}
