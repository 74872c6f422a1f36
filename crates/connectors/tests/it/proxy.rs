//! Stands between a connector and a real server, and misbehaves as a test says.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One HTTP request, as far as tests care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub body: String,
}

/// What becomes of a request.
pub enum Action {
    /// The server answers it.
    Pass,
    /// The server answers another one instead.
    Forward(Request),
    /// It is answered here: the status, further headers, the body (as SCIM JSON if it is JSON).
    Answer(u16, String, String),
    /// The server does it, and its answer is lost.
    LoseAnswer,
    /// The server does it, and no answer ever comes.
    Hang,
}

type Rule = Arc<dyn Fn(&Request) -> Action + Send + Sync>;

/// A proxy for HTTP.
#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    rule: Arc<Mutex<Rule>>,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Proxy {
    pub async fn before(upstream: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy {
            port: listener.local_addr().unwrap().port(),
            rule: Arc::new(Mutex::new(Arc::new(|_| Action::Pass))),
            log: Arc::default(),
        };
        let shared = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let _client_left = shared.serve(client, upstream).await;
                });
            }
        });
        proxy
    }

    pub fn rule(&self, rule: impl Fn(&Request) -> Action + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Arc::new(rule);
    }

    pub fn pass(&self) {
        self.rule(|_| Action::Pass);
    }

    /// The requests since this was last asked.
    pub fn take_log(&self) -> Vec<Request> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    async fn serve(&self, mut client: TcpStream, upstream: u16) -> std::io::Result<()> {
        let (head, request) = read_request(&mut client).await?;
        self.log.lock().unwrap().push(request.clone());
        let rule = Arc::clone(&self.rule.lock().unwrap());
        match rule(&request) {
            Action::Pass => {
                let answer = exchange(upstream, &head, &request).await?;
                client.write_all(&answer).await?;
            }
            Action::Forward(request) => {
                let answer = exchange(upstream, &head, &request).await?;
                client.write_all(&answer).await?;
            }
            Action::Answer(status, headers, body) => {
                let kind = match body.starts_with('{') {
                    true => "application/scim+json",
                    false => "text/html",
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n{headers}\r\n{body}"
                );
                client.write_all(answer.as_bytes()).await?;
            }
            Action::LoseAnswer => {
                exchange(upstream, &head, &request).await?;
            }
            Action::Hang => {
                exchange(upstream, &head, &request).await?;
                // Until the client gives up.
                let _never = client.read_u8().await;
            }
        }
        client.shutdown().await
    }
}

/// The headers worth forwarding, and the request.
async fn read_request(client: &mut TcpStream) -> std::io::Result<(Vec<String>, Request)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let length: usize = head
        .to_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0);
    while bytes.len() < end + length {
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let kept = lines
        .filter(|line| {
            let name = line.split(':').next().unwrap_or_default().to_lowercase();
            !matches!(name.as_str(), "" | "connection" | "content-length")
        })
        .map(str::to_owned)
        .collect();
    let body = String::from_utf8_lossy(&bytes[end..end + length]).into_owned();
    Ok((kept, Request { method: method.to_owned(), path: path.to_owned(), body }))
}

async fn exchange(upstream: u16, head: &[String], request: &Request) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    let Request { method, path, body } = request;
    let (headers, length) = (head.join("\r\n"), body.len());
    let text = format!(
        "{method} {path} HTTP/1.1\r\n{headers}\r\nContent-Length: {length}\r\nConnection: close\
         \r\n\r\n{body}"
    );
    server.write_all(text.as_bytes()).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// What becomes of what a client says on a line that stays open.
pub enum Way {
    /// The server answers it.
    Pass,
    /// The server is told this instead, and answers that.
    Instead(Vec<u8>),
    /// The server does it, its answer is lost, and so is the line.
    LoseAnswer,
}

type LineRule = Arc<dyn Fn(&[u8]) -> Way + Send + Sync>;

/// A proxy for protocols of long conversations: LDAP, PostgreSQL's. It judges what a client says
/// piece by piece; a question that is asked alone is one piece.
#[derive(Clone)]
pub struct LineProxy {
    pub port: u16,
    rule: Arc<Mutex<LineRule>>,
}

impl LineProxy {
    pub async fn before(upstream: u16) -> LineProxy {
        LineProxy::on("127.0.0.1", upstream).await
    }

    /// The same on another address of this machine.
    pub async fn on(address: &str, upstream: u16) -> LineProxy {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let proxy = LineProxy {
            port: listener.local_addr().unwrap().port(),
            rule: Arc::new(Mutex::new(Arc::new(|_| Way::Pass))),
        };
        let shared = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let _client_left = shared.forward(client, upstream).await;
                });
            }
        });
        proxy
    }

    pub fn rule(&self, rule: impl Fn(&[u8]) -> Way + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Arc::new(rule);
    }

    async fn forward(&self, mut client: TcpStream, upstream: u16) -> std::io::Result<()> {
        let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
        let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
        let mut lose = false;
        loop {
            tokio::select! {
                count = client.read(&mut asked) => {
                    let count = count?;
                    if count == 0 {
                        return Ok(());
                    }
                    let rule = Arc::clone(&self.rule.lock().unwrap());
                    let way = rule(&asked[..count]);
                    lose = matches!(way, Way::LoseAnswer);
                    match way {
                        Way::Instead(other) => server.write_all(&other).await?,
                        Way::Pass | Way::LoseAnswer => server.write_all(&asked[..count]).await?,
                    }
                }
                count = server.read(&mut answered) => {
                    let count = count?;
                    if count == 0 || lose {
                        return Ok(());
                    }
                    client.write_all(&answered[..count]).await?;
                }
            }
        }
    }
}
