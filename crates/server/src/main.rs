//! The one binary: `accede serve`, and the commands beside it.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use accede_server::cli::{self, Cli, Command, Failure, data::ServeArgs};
use accede_server::config::{Config, LogFormat};
use accede_server::portal::Portal;
use accede_server::serve;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// How long answers and calls in flight may take once the process is told to stop.
const FAREWELL: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Whatever speaks TLS finds the one cryptographic library here; a second call changes nothing.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).report(),
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => run(args).await,
            other => cli::run(other).await,
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Serves until told to stop.
async fn run(args: ServeArgs) -> Result<(), Failure> {
    let config = args.config()?;
    log_to_stderr(&config);
    let app = args.open(&config).await?;
    let listener = tokio::net::TcpListener::bind(&config.listen)
        .await
        .map_err(|error| Failure::new(format!("cannot listen on {}: {error}", config.listen)))?;
    let address = listener.local_addr()?;
    let web = cli::data::web(&config);
    let proxies = serve::trusted(config.trusted_proxies.clone());
    let router = serve::router(&app, web, Portal::default(), proxies);

    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(app.run_worker(until(stopped.clone())));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let web = axum::serve(listener, service).with_graceful_shutdown(until(stopped));
    let mut web = tokio::spawn(web.into_future());
    let mut out = std::io::stdout();
    writeln!(out, "ready http://{address}")?;
    out.flush()?;

    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        ended = &mut web => {
            return Err(Failure::new(format!("the server ended by itself: {ended:?}")));
        }
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    let farewell = async {
        let _ = worker.await;
        let _ = web.await;
    };
    tokio::select! {
        () = farewell => tracing::info!("stopped"),
        () = tokio::time::sleep(FAREWELL) => {
            tracing::warn!("stopped with answers or calls in flight; their leases will run out");
        }
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Resolves when the process is told to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is as good.
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn log_to_stderr(config: &Config) {
    let filter = EnvFilter::builder().parse_lossy(&config.log_level);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "something broke down: {info}");
    }));
}
