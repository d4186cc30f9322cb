//! A small HTTP service that can say what still works in the image it runs in.

mod selfcheck;

use std::{future::Future, io, time::Duration};

use axum::{routing::get, Json, Router};
use serde_json::{json, Value};
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tracing::info;

/// When the service is told to stop, requests that are under way have this long to end.
const GRACE: Duration = Duration::from_millis(800);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    tracing_subscriber::fmt().json().init();
    let told_to_stop = told_to_stop()?;
    let listener = TcpListener::bind("0.0.0.0:8080").await?;
    info!(address = %listener.local_addr()?, "listening");
    axum::serve(listener, routes())
        .with_graceful_shutdown(told_to_stop)
        .await?;
    info!("stopped");
    Ok(())
}

/// Comes true on SIGTERM or Ctrl-C: the first process of a container ignores both unless it listens.
fn told_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        tokio::spawn(async {
            tokio::time::sleep(GRACE).await;
            info!("stopped before all requests ended");
            std::process::exit(0);
        });
    })
}

fn routes() -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({"ok": true})) }))
        .route("/", get(|| async { about() }))
        .route("/selfcheck", get(|| async { Json(selfcheck::run().await) }))
}

fn about() -> Json<Value> {
    Json(json!({
        "app": "shiplight",
        "language": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    }))
}
