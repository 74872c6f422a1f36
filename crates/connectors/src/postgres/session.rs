//! One session for one call: connected within the egress policy, bounded in time, and gone with the
//! call. Role changes are rare, and a session that is kept would hold one of the server's few places.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use accede_domain::fault::{Class, Fault};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Error, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::answers::{Stage, fault, too_slow};
use super::{Postgres, sql};
use crate::CALL_DEADLINE;

/// Time kept back so that a method ends by itself before the worker's deadline.
const RESERVE: Duration = Duration::from_secs(2);

type Driver = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A parameter of a question and its type.
pub(super) type Parameter<'p> = (&'p (dyn ToSql + Sync), Type);

/// A session, and what it is a session with.
pub(super) struct Session {
    client: Client,
    /// Moves the bytes while an answer is waited for; gone once the connection has ended.
    driver: Option<Driver>,
    until: Instant,
    pub(super) server: Server,
}

/// What a server says about itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    /// The cluster's own number, from when it was made; kept by standbys and backups of its files.
    pub(super) cluster: String,
    pub(super) version: String,
    pub(super) is_superuser: bool,
}

impl Session {
    /// Signs in and makes sure that this is a server which can be changed.
    pub(super) async fn open(home: &Postgres) -> Result<Session, Fault> {
        let until = Instant::now() + (CALL_DEADLINE - RESERVE);
        let signing_in = async {
            let stream = home.egress.connect(&home.host, home.port).await;
            let stream = stream.map_err(|error| error.fault("host"))?;
            connect(home, stream).await.map_err(|error| fault(&error, Stage::Connecting))
        };
        let signed_in = tokio::time::timeout_at(until, signing_in).await;
        let (client, driver) = signed_in.map_err(|_| too_slow(Stage::Connecting))??;
        let mut session =
            Session { client, driver: Some(driver), until, server: Server::default() };
        session.greet().await.map_err(|mut fault| {
            // Whatever keeps us from knowing the server keeps us from using it.
            if fault.class == Class::Permanent {
                fault.class = Class::Target;
            }
            fault
        })?;
        Ok(session)
    }

    async fn greet(&mut self) -> Result<(), Fault> {
        self.ask(sql::SESSION, &[]).await?;
        let rows = self.ask(sql::SERVER, &[]).await?;
        let row = rows.first().ok_or_else(unreadable)?;
        if row.try_get::<_, bool>(0).map_err(|_| unreadable())? {
            let message = "this server is a standby and cannot be changed; give the address of the \
                           primary in `host`";
            return Err(Fault::new(Class::Target, "standby", message));
        }
        self.server =
            Server { cluster: cell(row, 1)?, version: cell(row, 2)?, is_superuser: cell(row, 3)? };
        Ok(())
    }

    /// Asks a question; changes nothing that outlives the transaction.
    pub(super) async fn ask(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Fault> {
        let Session { client, driver, until, .. } = self;
        let asked = client.query_typed(sql, parameters);
        drive(driver, *until, Stage::Working, asked).await
    }

    /// Carries out a command inside a transaction.
    pub(super) async fn tell(&mut self, sql: &str) -> Result<(), Fault> {
        let Session { client, driver, until, .. } = self;
        drive(driver, *until, Stage::Working, client.batch_execute(sql)).await
    }

    /// Makes a transaction last. From here on a lost connection leaves it open what happened.
    pub(super) async fn commit(&mut self) -> Result<(), Fault> {
        let Session { client, driver, until, .. } = self;
        drive(driver, *until, Stage::Committing, client.batch_execute("commit")).await
    }

    /// Ends a transaction that failed, so that the session can be used for the next.
    pub(super) async fn roll_back(&mut self) -> Result<(), Fault> {
        self.tell("rollback").await
    }
}

/// Waits for an answer while the connection's bytes are moved.
async fn drive<T>(
    driver: &mut Option<Driver>,
    until: Instant,
    stage: Stage,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    let mut work = pin!(work);
    let waiting = async {
        if let Some(moving) = driver {
            tokio::select! {
                biased;
                answer = &mut work => return answer,
                // Dropped below, which ends the wait for answers that cannot come any more.
                _ended = moving => {}
            }
        }
        *driver = None;
        work.await
    };
    let answer = tokio::time::timeout_at(until, waiting).await.map_err(|_| too_slow(stage))?;
    answer.map_err(|error| fault(&error, stage))
}

async fn connect(home: &Postgres, stream: TcpStream) -> Result<(Client, Driver), Error> {
    let mut config = Config::new();
    config
        .user(&home.user)
        .password(&home.password)
        .dbname(&home.database)
        .application_name("accede");
    match &home.tls {
        Some(tls) => {
            let mut tls = MakeRustlsConnect::new(rustls::ClientConfig::clone(Arc::as_ref(tls)));
            let host = home.host.trim_start_matches('[').trim_end_matches(']');
            let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, host)
                .map_err(|never| match never {})?;
            let (client, connection) =
                config.ssl_mode(SslMode::Require).connect_raw(stream, tls).await?;
            Ok((client, Box::pin(connection)))
        }
        None => {
            let (client, connection) =
                config.ssl_mode(SslMode::Disable).connect_raw(stream, NoTls).await?;
            Ok((client, Box::pin(connection)))
        }
    }
}

/// A cell of a row that we asked for ourselves.
pub(super) fn cell<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    index: usize,
) -> Result<T, Fault> {
    row.try_get(index).map_err(|_| unreadable())
}

fn unreadable() -> Fault {
    let message = "the server does not answer as PostgreSQL does; check `host` and `port`";
    Fault::new(Class::Target, "unreadable-answer", message)
}
