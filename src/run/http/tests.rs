use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;

#[derive(Default)]
struct Fake {
    reasons: Mutex<Vec<ReasonLine>>,
    projections: Mutex<Vec<ReasonLine>>,
    /// Systems whose breaker is open.
    open: Mutex<Vec<&'static str>>,
}

impl Health for Fake {
    fn reasons(&self) -> Vec<ReasonLine> {
        self.reasons.lock().unwrap().clone()
    }

    fn projections(&self) -> Vec<ReasonLine> {
        self.projections.lock().unwrap().clone()
    }

    fn details(&self) -> Value {
        json!({ "transactions": { "lag": 3 } })
    }

    fn proceed(&self, system: &str) -> Continued {
        if !["transactions", "users"].contains(&system) {
            return Continued::Unknown;
        }
        let mut open = self.open.lock().unwrap();
        let Some(found) = open.iter().position(|name| *name == system) else { return Continued::NotOpen };
        open.remove(found);
        Continued::Yes
    }
}

fn free() -> Http {
    Http { addr: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 0, token: None, hosts: Vec::new() }
}

struct Run {
    health: Arc<Fake>,
    addr: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

async fn run(http: &Http, change: impl FnOnce(&mut Limits)) -> Run {
    let health = Arc::new(Fake::default());
    let mut server = HttpServer::bind(http).await.unwrap();
    change(&mut server.limits);
    let addr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), server.addr().port());
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.serve(health.clone(), crate::run::telemetry::metrics().unwrap(), stop.clone()));
    Run { health, addr, stop, running }
}

/// Sends a request with these header lines besides `Host`.
async fn send(addr: SocketAddr, request: &str, host: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn call(addr: SocketAddr, request: &str) -> (u16, String) {
    send(addr, request, "localhost", "").await
}

#[tokio::test]
async fn it_answers_and_stops() {
    let Run { health, addr, stop, running } = run(&free(), |_| {}).await;
    assert_eq!(call(addr, "GET /livez").await.0, 200);
    let (status, body) = call(addr, "GET /readyz").await;
    assert_eq!((status, serde_json::from_str(&body).unwrap()), (200, json!({ "ready": true, "reasons": [] })));

    let away = ReasonLine { source: "postgres".into(), reason: "away".into(), see: "a page".into() };
    health.projections.lock().unwrap().push(away);
    let (status, body) = call(addr, "GET /readyz").await;
    let projections = json!([{ "source": "postgres", "reason": "away", "see": "a page" }]);
    let expected = json!({ "ready": true, "reasons": [], "projections": projections });
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, expected));
    health.projections.lock().unwrap().clear();

    let why = ReasonLine { source: "elasticsearch".into(), reason: "refused".into(), see: "a page".into() };
    health.reasons.lock().unwrap().push(why);
    let reasons = json!([{ "source": "elasticsearch", "reason": "refused", "see": "a page" }]);
    let (status, body) = call(addr, "GET /readyz").await;
    let expected = json!({ "ready": false, "reasons": reasons });
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (503, expected));
    let (status, body) = call(addr, "GET /health").await;
    let expected = json!({ "ready": false, "reasons": reasons, "details": { "transactions": { "lag": 3 } } });
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (503, expected));

    metrics::counter!("http_test_total").increment(1);
    assert!(call(addr, "GET /metrics").await.1.contains("http_test_total 1"));

    stop.cancel();
    running.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn only_the_open_breaker_that_is_named_goes_on_and_only_once() {
    let Run { health, addr, .. } = run(&free(), |_| {}).await;
    health.open.lock().unwrap().push("users");
    assert_eq!(call(addr, "GET /continue/users").await.0, 405);
    assert_eq!(call(addr, "POST /continue").await.0, 400);
    assert_eq!(call(addr, "POST /continue/reviews").await.0, 404);
    assert_eq!(call(addr, "POST /continue/transactions").await.0, 409);
    assert_eq!(*health.open.lock().unwrap(), ["users"]);
    assert_eq!(call(addr, "POST /continue/users").await.0, 202);
    assert_eq!(call(addr, "POST /continue/users").await.0, 409);
}

#[tokio::test]
async fn foreign_names_and_sites_are_refused() {
    let http = Http { hosts: vec!["millrace.example".into()], ..free() };
    let Run { health, addr, .. } = run(&http, |_| {}).await;
    let own = addr.to_string();
    let refused = [
        ("evil.example", ""),
        ("evil.example:8080", ""),
        ("10.0.0.1", ""),
        ("localhost.evil.example", ""),
        ("localhost", "Host: evil.example\r\n"),
        ("localhost", "Origin: http://evil.example\r\n"),
        ("localhost", "Origin: null\r\n"),
        ("localhost:1", "Origin: http://localhost:2\r\n"),
        ("localhost", "Origin: http://localhost\r\nOrigin: http://evil.example\r\n"),
        ("localhost", "Sec-Fetch-Site: cross-site\r\n"),
        ("localhost", "Sec-Fetch-Site: same-site\r\n"),
    ];
    health.open.lock().unwrap().push("users");
    for (host, headers) in refused {
        let (status, body) = send(addr, "POST /continue/users", host, headers).await;
        assert!(status == 403 || status == 400, "{host} {headers}: {status} {body}");
    }
    assert_eq!(send(addr, "POST http://evil.example/continue/users", "localhost", "").await.0, 400);
    assert_eq!(*health.open.lock().unwrap(), ["users"]);
    let allowed = [
        ("localhost", String::new()),
        ("LOCALHOST:9", "Sec-Fetch-Site: none\r\n".into()),
        ("[::1]:9", String::new()),
        ("millrace.example", String::new()),
        (own.as_str(), format!("Origin: http://{own}\r\nSec-Fetch-Site: same-origin\r\n")),
    ];
    for (host, headers) in allowed {
        assert_eq!(send(addr, "POST /continue/transactions", host, &headers).await.0, 409, "{host} {headers}");
    }
    // Whoever only looks comes under any name: probes and scrapers use the address of the pod.
    assert_eq!(send(addr, "GET /readyz", "evil.example", "").await.0, 200);
}

#[tokio::test]
async fn a_token_is_asked_for_where_it_is_set_and_off_loopback() {
    let Run { addr, .. } = run(&Http { addr: Ipv4Addr::UNSPECIFIED.into(), ..free() }, |_| {}).await;
    let (status, body) = call(addr, "POST /continue/users").await;
    assert!(status == 403 && body.contains("HTTP_TOKEN"), "{status} {body}");

    for bound in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
        let token = Some(SecretString::from("s3cret"));
        let Run { addr, .. } = run(&Http { addr: bound.into(), token, ..free() }, |_| {}).await;
        for wrong in
            ["", "Authorization: Bearer s3cre\r\n", "Authorization: Basic s3cret\r\n", "Authorization: s3cret\r\n"]
        {
            assert_eq!(send(addr, "POST /continue/users", "localhost", wrong).await.0, 401, "{wrong}");
        }
        let right = "Authorization: Bearer s3cret\r\n";
        assert_eq!(send(addr, "POST /continue/users", "localhost", right).await.0, 409);
        let foreign = format!("{right}Origin: http://evil.example\r\n");
        assert_eq!(send(addr, "POST /continue/users", "localhost", &foreign).await.0, 403);
        assert_eq!(call(addr, "GET /readyz").await.0, 200);
    }
}

/// Opens a connection, sends this, and stays.
async fn hold(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The server may have heard enough before it heard all.
    stream.write_all(bytes).await.ok();
    stream
}

/// Waits until the server has let go of a connection.
async fn closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok();
}

/// The ways to hold a port that need no more than bytes.
fn holds() -> Vec<Vec<u8>> {
    let head = "POST /continue/users HTTP/1.1\r\nHost: localhost\r\n";
    let mut huge = format!("{head}X: ").into_bytes();
    huge.resize(1 << 20, b'a');
    let mut many = head.as_bytes().to_vec();
    (0..10_000).for_each(|n| many.extend(format!("X{n}: 1\r\n").into_bytes()));
    let mut body = format!("{head}Content-Length: 67108864\r\n\r\n").into_bytes();
    body.resize(1 << 20, b'a');
    let mut garbage = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    garbage.resize(1 << 18, 0xfe);
    vec![
        Vec::new(),
        b"GET /liv".to_vec(),
        head.as_bytes().to_vec(),
        format!("{head}Content-Length: 100\r\n\r\n").into_bytes(),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nab").into_bytes(),
        huge,
        many,
        body,
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        garbage,
    ]
}

#[tokio::test]
async fn whoever_holds_the_port_is_let_go_and_holds_up_nobody() {
    let limit = |limits: &mut Limits| limits.header = Duration::from_millis(200);
    let Run { addr, .. } = run(&free(), limit).await;
    for bytes in holds() {
        let held = hold(addr, &bytes).await;
        assert_eq!(call(addr, "GET /livez").await.0, 200);
        closed(held).await;
    }
}

#[tokio::test]
async fn a_slow_client_is_let_go_however_often_it_says_something() {
    let limits = |limits: &mut Limits| limits.header = Duration::from_millis(300);
    let Run { addr, .. } = run(&free(), limits).await;
    let mut slow = hold(addr, b"GET /livez HTTP/1.1\r\nX: ").await;
    let (mut reader, mut writer) = slow.split();
    let mut byte = [0];
    let drip = async {
        while writer.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = drip => {}
        _ = reader.read(&mut byte) => {}
    }
}

#[tokio::test]
async fn the_oldest_of_too_many_gives_way() {
    let Run { addr, .. } = run(&free(), |limits| limits.connections = 8).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(hold(addr, b"GET /liv").await);
    }
    assert_eq!(call(addr, "GET /livez").await.0, 200);
    let youngest = held.split_off(199);
    for old in held.drain(..100) {
        closed(old).await;
    }
    drop(youngest);
}

#[tokio::test]
async fn nobody_who_holds_the_port_keeps_the_server_from_ending() {
    // Limits that never come by themselves: what ends the connections is the end of the server.
    let limits = |limits: &mut Limits| {
        *limits = Limits { header: HOURS, whole: HOURS, leave: Duration::from_millis(100), connections: 1000 };
    };
    const HOURS: Duration = Duration::from_secs(7200);
    let Run { addr, stop, running, .. } = run(&free(), limits).await;
    let mut held = Vec::new();
    for bytes in holds() {
        held.push(hold(addr, &bytes).await);
    }
    assert_eq!(call(addr, "GET /livez").await.0, 200);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_taken_port_names_address_and_variable() {
    let first = HttpServer::bind(&free()).await.unwrap();
    let taken = Http { port: first.addr().port(), ..free() };
    let error = HttpServer::bind(&taken).await.err().unwrap().to_string();
    assert!(error.contains(&first.addr().to_string()) && error.contains("HTTP_PORT"), "{error}");
}
