//! The one binary: `accede serve`, and the commands beside it.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use accede_app::App;
use accede_app::clock::{SystemClock, SystemEntropy};
use accede_app::crash::{Point, point};
use accede_server::api::Web;
use accede_server::cli::{self, Cli, Command, DemoArgs, Failure, data::ServeArgs};
use accede_server::config::{self, Config, LogFormat};
use accede_server::portal::Portal;
use accede_server::{demo, serve};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use clap::Parser;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;
use tracing_subscriber::EnvFilter;

/// How long answers and calls in flight may take once the process is told to stop.
const FAREWELL: Duration = Duration::from_secs(8);
/// How long a client of the demo may be silent.
const DEMO_SILENCE: Duration = Duration::from_secs(75);
/// Bytes of a connection that are read ahead; longer headers end it, see [`serve::MAX_HEADERS`].
const READ_AHEAD: usize = 64 * 1024;
/// How long to wait when the system gives no connection, for example for want of open files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// The signal for a file that grows beyond the limit of this process; the number is the same on
/// every system that we are built for.
const SIGXFSZ: i32 = 25;

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
    // A write beyond the limit of file size fails, as on a full disk, and does not end the process.
    let _unheard = signal(SignalKind::from_raw(SIGXFSZ))?;
    let app = args.open(&config).await?;
    let listener =
        TcpListener::bind(&config.listen).await.map_err(|error| deaf(&config.listen, &error))?;
    let web = cli::data::web(&config);
    let proxies = serve::trusted(config.trusted_proxies.clone());
    let router = serve::router(&app, web, Portal::default(), proxies);
    let silence = config.client_timeout;
    serve_until_told(app, listener, router, silence, |address| format!("ready http://{address}"))
        .await
}

/// Why nobody can be heard on an address.
fn deaf(address: &str, error: &std::io::Error) -> Failure {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another process listens there; stop it, or name another port in `server.listen`"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 are for root; name another in `server.listen`"
        }
        _ => "name an address of this machine in `server.listen`",
    };
    Failure::new(format!("cannot listen on {address}: {error}; {advice}"))
}

/// Plays the demo's story, or serves its organization until told to stop.
async fn demonstrate(args: DemoArgs) -> Result<(), Failure> {
    let listen = config::listen(&args.listen, "--listen")?;
    eprintln!("Making an organization with {} requests …", demo::REQUESTS);
    let demo = demo::prepare().await?;
    if args.once {
        let good = demo::play(&demo).await?;
        return if good { Ok(()) } else { Err(Failure::new("the story did not end as it should")) };
    }
    demo.mend().await?;
    let listener = match TcpListener::bind(&listen).await {
        Ok(listener) => listener,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            eprintln!("Another process listens on {listen}; a free port is taken.");
            TcpListener::bind("127.0.0.1:0").await?
        }
        Err(error) => return Err(deaf(&listen, &error)),
    };
    let personas = demo.organization.sign_ins();
    let web =
        Web { public_url: None, clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) };
    let portal = Portal { personas: personas.clone(), ..Portal::default() };
    let router = serve::router(&demo.app, web, portal, serve::trusted(Vec::new()));
    serve_until_told(demo.app.clone(), listener, router, DEMO_SILENCE, |address| {
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
    router: Router,
    silence: Duration,
    ready: impl FnOnce(SocketAddr) -> String,
) -> Result<(), Failure> {
    // Before anybody is told that it is ready: whoever stops it at once stops it in order too.
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let address = listener.local_addr()?;
    point(Point::OpenListening);
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(app.run_worker(until(stopped.clone())));
    let mut web = tokio::spawn(accept(listener, router, silence, stopped));
    let mut out = std::io::stdout();
    writeln!(out, "{}", ready(address))?;
    out.flush()?;

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        ended = &mut web => {
            return Err(Failure::new(format!("the server ended by itself: {ended:?}")));
        }
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    point(Point::StopTold);
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

/// Takes connections until told to stop; then answers what was asked already, and returns.
async fn accept(
    listener: TcpListener,
    router: Router,
    silence: Duration,
    stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(until(stopped.clone()));
    loop {
        tokio::select! {
            () = &mut stop => break,
            // Only to forget those that are over.
            Some(_) = connections.join_next() => {}
            taken = listener.accept() => match taken {
                Ok((stream, peer)) => {
                    let router = router.clone();
                    connections.spawn(attend(stream, peer, router, silence, stopped.clone()));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

/// Answers the requests of one connection, one after another.
///
/// A client that is silent for too long before a request is whole is not waited for: `hyper` counts
/// from the moment that it waits for headers, so that holds between two requests too.
async fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    silence: Duration,
    stopped: watch::Receiver<bool>,
) {
    let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(serve::Silence(silence));
        router.clone().oneshot(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(silence)
        .max_buf_size(READ_AHEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = until(stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = %accede_server::chain(&error), "a connection broke");
    }
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
