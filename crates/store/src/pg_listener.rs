//! Hearing notifications of PostgreSQL, on a connection of its own.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio_postgres::{AsyncMessage, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::Result;
use crate::pg_error::{error, lost, unreachable_server};

/// Longest pause between two attempts to reconnect a listener.
const LISTEN_PAUSE: Duration = Duration::from_secs(5);

/// A connection of its own that hears notifications, driven by whoever waits on it.
pub(crate) struct Listener {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    place: String,
    channel: String,
    link: Option<Link>,
    pause: Duration,
}

struct Link {
    /// Dropping it would end the connection.
    _client: tokio_postgres::Client,
    connection: Connection<Socket, TlsStream>,
}

type TlsStream = <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream;

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl Listener {
    /// Listens on a channel.
    pub(crate) async fn open(
        config: tokio_postgres::Config,
        tls: MakeRustlsConnect,
        place: String,
        channel: &str,
    ) -> Result<Listener> {
        let mut listener = Listener {
            config,
            tls,
            place,
            channel: channel.to_owned(),
            link: None,
            pause: Duration::ZERO,
        };
        listener.link = Some(listener.connect().await?);
        Ok(listener)
    }

    async fn connect(&self) -> Result<Link> {
        let (client, mut connection) = self
            .config
            .connect(self.tls.clone())
            .await
            .map_err(|cause| unreachable_server(&self.place, &cause))?;
        let listen = format!("listen \"{}\"", self.channel.replace('"', "\"\""));
        {
            let mut listening = pin!(client.batch_execute(&listen));
            poll_fn(|cx| {
                loop {
                    if let Poll::Ready(done) = listening.as_mut().poll(cx) {
                        return Poll::Ready(done.map_err(|cause| error(&cause)));
                    }
                    match connection.poll_message(cx) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(cause))) => return Poll::Ready(Err(error(&cause))),
                        Poll::Ready(None) => return Poll::Ready(Err(lost())),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await?;
        }
        Ok(Link { _client: client, connection })
    }

    pub(crate) async fn next(&mut self) -> Result<()> {
        loop {
            let Some(link) = &mut self.link else {
                tokio::time::sleep(self.pause).await;
                match self.connect().await {
                    Ok(link) => {
                        self.link = Some(link);
                        self.pause = Duration::ZERO;
                        // Whatever was told while nobody listened is lost, so look now.
                        return Ok(());
                    }
                    Err(error) => {
                        self.pause =
                            (self.pause * 2).clamp(Duration::from_millis(100), LISTEN_PAUSE);
                        return Err(error);
                    }
                }
            };
            let heard = poll_fn(|cx| {
                let mut heard = false;
                loop {
                    match link.connection.poll_message(cx) {
                        Poll::Ready(Some(Ok(AsyncMessage::Notification(_)))) => heard = true,
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(false),
                        Poll::Pending if heard => return Poll::Ready(true),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await;
            if heard {
                return Ok(());
            }
            self.link = None;
        }
    }
}
