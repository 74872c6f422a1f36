//! The one binary: `accede serve`, and the commands beside it.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use accede_app::App;
use accede_app::clock::{SystemClock, SystemEntropy};
use accede_server::api::Web;
use accede_server::cli::{self, Cli, Command, DemoArgs, Failure, data::ServeArgs};
use accede_server::config::{Config, LogFormat};
use accede_server::portal::Portal;
use accede_server::{demo, serve};
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
            Command::Demo(args) => demonstrate(args).await,
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
    let web = cli::data::web(&config);
    let proxies = serve::trusted(config.trusted_proxies.clone());
    let router = serve::router(&app, web, Portal::default(), proxies);
    serve_until_told(app, listener, router, |address| format!("ready http://{address}")).await
}

/// Plays the demo's story, or serves its organization until told to stop.
async fn demonstrate(args: DemoArgs) -> Result<(), Failure> {
    eprintln!("Making an organization with {} requests …", demo::REQUESTS);
    let demo = demo::prepare().await?;
    if args.once {
        let good = demo::play(&demo).await?;
        return if good { Ok(()) } else { Err(Failure::new("the story did not end as it should")) };
    }
    demo.mend().await?;
    let listener = match tokio::net::TcpListener::bind(&args.listen).await {
        Ok(listener) => listener,
        Err(_) => tokio::net::TcpListener::bind("127.0.0.1:0").await?,
    };
    let personas = demo.organization.sign_ins();
    let web =
        Web { public_url: None, clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) };
    let portal = Portal { personas: personas.clone(), ..Portal::default() };
    let router = serve::router(&demo.app, web, portal, serve::trusted(Vec::new()));
    serve_until_told(demo.app.clone(), listener, router, |address| {
        let mut text = format!("\nAccede demo: http://{address}\n\nSign in as (one click):\n");
        for persona in &personas {
            text.push_str(&format!("  {:16} {}\n", persona.display_name, persona.part));
        }
        text.push_str(
            "\nLast night the customer CRM had no licences left; this morning it has. As Rita:\n  \
             Identity Governance > Access packages > Campaign > Requests > filter the failed > \
             select > Reprocess\n\nCtrl-C ends the demo; nothing of it stays.",
        );
        text
    })
    .await
}

/// Serves and works until the process is told to stop. What `ready` says is printed once the
/// address answers.
async fn serve_until_told(
    app: App,
    listener: tokio::net::TcpListener,
    router: axum::Router,
    ready: impl FnOnce(SocketAddr) -> String,
) -> Result<(), Failure> {
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(app.run_worker(until(stopped.clone())));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let web = axum::serve(listener, service).with_graceful_shutdown(until(stopped));
    let mut web = tokio::spawn(web.into_future());
    let mut out = std::io::stdout();
    writeln!(out, "{}", ready(address))?;
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
