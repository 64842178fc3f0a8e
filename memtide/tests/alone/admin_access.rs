//! Who may ask the admin HTTP, and what hostile input gets there.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use memtide_testkit::{
    Authority, Client, Fleet, Identity, Memtide, PATIENCE, RoleProcess, Signal, TlsClient,
    TlsVersions, wait_until,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");
const LET_IN: &str = "200";

/// The status code, and all of the answer.
fn send(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that refuses early closes before it has all.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).unwrap_or_default().to_owned(), answer)
}

fn get(address: SocketAddr, path: &str, token: &str) -> String {
    let header = format!("Authorization: Bearer {token}\r\n");
    let header = if token.is_empty() { "" } else { &header };
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n")).0
}

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM).args(words).env_clear().output().unwrap()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

#[test]
fn an_address_that_others_reach_is_refused_without_a_token() {
    let home = tempfile::tempdir().unwrap();
    for role in
        [&["serve"][..], &["proxy", "--join", "x:1"], &["engine", "--join", "x:1"], &["scaler"]]
    {
        let rest = ["--admin", "0.0.0.0:0", "--data-dir", home.path().to_str().unwrap()];
        let output = run(&[role, &rest].concat());
        assert_eq!(output.status.code(), Some(64), "{role:?}");
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(line.contains("--admin-token-file FILE") && line.lines().count() == 1, "{line}");
    }
    let file = home.path().join("token");
    std::fs::write(&file, "too short").unwrap();
    let words = ["serve", "--admin", "127.0.0.1:0", "--admin-token-file", file.to_str().unwrap()];
    let home = home.path().join("data");
    let rest = ["--port", "0", "--read-port", "0", "--data-dir", home.to_str().unwrap()];
    let output = run(&[&words[..], &rest].concat());
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no token; write one line"));
}

#[test]
fn a_token_is_made_asked_for_and_changed_while_it_runs() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("token");
    let arguments = ["--admin", "0.0.0.0:0", "--admin-token-file", file.to_str().unwrap()];
    let memtide = Memtide::builder(PROGRAM).args(["--memory", "16m"]).reachable(&arguments).start();
    let admin = SocketAddr::from(([127, 0, 0, 1], memtide.admin_address().port()));
    let token = read(&file);
    assert_eq!(token.len(), 64);
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(get(admin, path, ""), LET_IN, "{path}");
    }
    for path in ["/v1/cache", "/v1/cache/usage", "/v1/events", "/v1/nothing"] {
        assert_eq!(get(admin, path, ""), "401", "{path}");
        assert_eq!(get(admin, path, &token[1..]), "401", "{path}");
    }
    assert_eq!(get(admin, "/v1/cache", &token), LET_IN);

    let at = admin.to_string();
    let events = |more: &[&str]| run(&[&["cache", "events", "--admin", &at], more].concat());
    let refused = events(&[]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--admin-token-file"));
    let shown = ["--admin-token-file", file.to_str().unwrap()];
    assert!(events(&shown).status.success());
    assert!(run(&["healthcheck", "--admin", &at]).status.success());

    std::fs::write(&file, "another-token-of-some-length\n").unwrap();
    memtide.signal(Signal::HUP);
    wait_until("the new token to be asked for", PATIENCE, || {
        (get(admin, "/v1/cache", "another-token-of-some-length") == LET_IN).then_some(())
    });
    assert_eq!(get(admin, "/v1/cache", &token), "401");
}

/// A certificate authority of clients, and files of its own and of one that it has issued.
struct Clients {
    authority: Authority,
    known: Identity,
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Clients {
    fn new(home: &Path, name: &str) -> Self {
        let file = |extension: &str| home.join(format!("{name}{extension}"));
        let (ca, cert, key) = (file("-ca.pem"), file(".pem"), file(".key"));
        let authority = Authority::new(name);
        let known = authority.issue("operator");
        std::fs::write(&ca, &authority.certificate_pem).unwrap();
        std::fs::write(&cert, &known.certificate_pem).unwrap();
        std::fs::write(&key, &known.key_pem).unwrap();
        Self { authority, known, ca, cert, key }
    }

    fn flags(&self) -> [&str; 4] {
        ["--admin-cert", self.cert.to_str().unwrap(), "--admin-key", self.key.to_str().unwrap()]
    }
}

/// The status code and all of the answer over TLS, or how the handshake failed.
fn get_tls(
    admin: SocketAddr,
    path: &str,
    (ca, who, token): (&Path, Option<&Identity>, &str),
) -> Result<(String, String), String> {
    let identity = who.map(|it| (it.certificate_pem.as_str(), it.key_pem.as_str()));
    let tls = TlsClient::with(ca, TlsVersions::All, identity).asking_for("127.0.0.1");
    let header = format!("Authorization: Bearer {token}\r\n");
    let header = if token.is_empty() { "" } else { &header };
    let request = format!("GET {path} HTTP/1.0\r\n{header}\r\n");
    let mut client = Client::try_tls(admin, &tls).map_err(|error| error.to_string())?;
    let sent = client.send(request.as_bytes()).and_then(|()| client.read_to_end());
    let (bytes, ending) = sent.map_err(|error| error.to_string())?;
    let answer = String::from_utf8(bytes).unwrap();
    let status = answer.split(' ').nth(1).map(str::to_owned);
    status.map(|status| (status, answer)).ok_or_else(|| format!("{ending:?}"))
}

#[test]
fn a_certificate_of_the_right_ca_opens_the_admin_http_and_no_other_does() {
    let home = tempfile::tempdir().unwrap();
    let (clients, strangers) = (Clients::new(home.path(), "a"), Clients::new(home.path(), "b"));
    let arguments = ["--admin", "0.0.0.0:0", "--admin-client-ca", clients.ca.to_str().unwrap()];
    let memtide = Memtide::builder(PROGRAM).args(["--memory", "16m"]).reachable(&arguments).start();
    let admin = SocketAddr::from(([127, 0, 0, 1], memtide.admin_address().port()));
    let ask = |path: &str, who: Option<&Identity>| {
        get_tls(admin, path, (memtide.ca_file(), who, "")).map(|(status, _)| status)
    };
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(ask(path, None).as_deref(), Ok(LET_IN), "{path}");
    }
    for path in ["/v1/cache", "/v1/cache/usage", "/v1/events"] {
        assert_eq!(ask(path, None).as_deref(), Ok("401"), "{path}");
        assert_eq!(ask(path, Some(&clients.known)).as_deref(), Ok(LET_IN), "{path}");
        let refused = ask(path, Some(&strangers.known)).unwrap_err();
        assert!(refused.contains("ertificate") || refused.contains("UnknownCA"), "{refused}");
    }
    let (_, answer) = get_tls(admin, "/v1/cache", (memtide.ca_file(), None, "x")).unwrap();
    assert!(answer.ends_with("show a certificate of a CA in the file of --admin-client-ca\n"));
    assert!(!send(admin, "GET /metrics HTTP/1.0\r\n\r\n").1.contains("HTTP/"), "in the clear");
    let (_, metrics) = get_tls(admin, "/metrics", (memtide.ca_file(), None, "")).unwrap();
    assert!(metrics.contains("\nmemtide_admin_unauthorized_total 4\n"), "{metrics}");

    // The file has another CA: who was known is a stranger.
    std::fs::write(&clients.ca, &strangers.authority.certificate_pem).unwrap();
    memtide.signal(Signal::HUP);
    wait_until("the new CA to be asked for", PATIENCE, || {
        (ask("/v1/cache", Some(&strangers.known)).as_deref() == Ok(LET_IN)).then_some(())
    });
    ask("/v1/cache", Some(&clients.known)).unwrap_err();
    std::fs::write(&clients.ca, "no certificate").unwrap();
    memtide.signal(Signal::HUP);
    let told = memtide.logs().find(PATIENCE, |line| {
        line.contains("who may ask the admin HTTP stays as it was").then_some(line.to_owned())
    });
    assert!(told.is_some_and(|line| line.contains("holds no certificate")));
    assert_eq!(ask("/v1/cache", Some(&strangers.known)).as_deref(), Ok(LET_IN));
}

#[test]
fn the_command_line_asks_over_tls_and_a_token_serves_beside_a_certificate() {
    let home = tempfile::tempdir().unwrap();
    let clients = Clients::new(home.path(), "a");
    let (token, ca) = (home.path().join("token"), clients.ca.to_str().unwrap());
    let both = ["--admin-token-file", token.to_str().unwrap(), "--admin-client-ca", ca];
    let memtide = Memtide::builder(PROGRAM).args(["--memory", "16m"]).args(both).start();
    let admin = memtide.admin_address();
    let asked = (memtide.ca_file(), None, read(&token));
    let by_token = get_tls(admin, "/v1/cache", (asked.0, asked.1, &asked.2)).unwrap();
    assert_eq!(by_token.0, LET_IN);

    let (at, server_ca) = (admin.to_string(), memtide.ca_file().to_str().unwrap());
    let cache = |more: &[&str]| {
        let words = ["cache", "limits", "set", "--ecpu-per-second-max", "2k", "--admin", &at];
        run(&[&words, more].concat())
    };
    let says = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let known = cache(&[&clients.flags()[..], &["--admin-ca", server_ca]].concat());
    assert!(known.status.success(), "{}", says(&known));
    assert!(String::from_utf8_lossy(&known.stdout).contains("2k"));
    let by_token = cache(&["--admin-ca", server_ca, both[0], both[1]]);
    assert!(by_token.status.success(), "{}", says(&by_token));
    let nobody = cache(&["--admin-ca", server_ca]);
    assert_eq!(nobody.status.code(), Some(64));
    assert!(says(&nobody).contains("or show a certificate of a CA"), "{}", says(&nobody));
    let impostor = cache(&[&clients.flags()[..], &["--admin-ca", ca]].concat());
    assert_eq!(impostor.status.code(), Some(69));
    assert!(says(&impostor).contains("UnknownIssuer"), "{}", says(&impostor));
    let in_the_clear = cache(&[]);
    assert_eq!(in_the_clear.status.code(), Some(69));
    assert!(says(&in_the_clear).contains("--admin-ca where that has"), "{}", says(&in_the_clear));
    for (flags, problem) in [
        (&clients.flags()[..], "give --admin-ca too"),
        (&["--admin-ca", server_ca, "--admin-cert", "x"], "needs --admin-key too"),
        (&["--admin-ca", "/none"], "--admin-ca /none: "),
    ] {
        let output = cache(flags);
        assert!(says(&output).contains(problem), "{}", says(&output));
    }
    for arguments in [&[][..], &["--ready"]] {
        let check = ["healthcheck", "--admin", &at, "--admin-client-ca", ca];
        assert!(run(&[&check, arguments].concat()).status.success());
    }
}

/// It shows the certificate of its role.
#[test]
fn the_admin_http_of_a_scaler_speaks_tls_too() {
    let home = tempfile::tempdir().unwrap();
    let clients = Clients::new(home.path(), "a");
    let (tls, data) = (home.path().join("tls"), home.path().join("data"));
    let (tls, data) = (tls.to_str().unwrap(), data.to_str().unwrap());
    assert!(run(&["tls", "init", "--dir", tls]).status.success());
    let words = ["--port", "0", "--fleet-tls", tls, "--data-dir", data, "--admin-client-ca"];
    let words = [&words[..], &[clients.ca.to_str().unwrap()]].concat();
    let scaler = RoleProcess::start(PROGRAM, "scaler", words);
    let (at, fleet_ca) = (scaler.admin_address().to_string(), format!("{tls}/ca.pem"));
    let named = ["--admin-ca", &fleet_ca, "--admin-name", "scaler.memtide"];
    let ask = ["cache", "topology", "--admin", &at];
    assert!(run(&[&ask[..], &named, &clients.flags()].concat()).status.success());
    assert_eq!(run(&[&ask[..], &named].concat()).status.code(), Some(64));
}

#[test]
fn hostile_requests_are_refused_and_bounded() {
    let fleet = Fleet::start(PROGRAM, 1, "a", 0);
    let admin = fleet.memtide().admin_address();
    let before = fleet.memtide().rss_bytes();
    let put = |length: usize, body: &str| {
        send(
            admin,
            &format!(
                "PUT /v1/replicas HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        )
    };
    let huge = "x".repeat(8 << 20);
    assert_eq!(put(huge.len(), &huge).0, "413");
    assert_eq!(put(1 << 40, "{").0, "413", "by what it says");
    let chunked = format!(
        "PUT /v1/replicas HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n{huge}\r\n0\r\n\r\n"
    );
    assert_eq!(send(admin, &chunked).0, "413", "without a length");
    for wrong in
        [r#"{"replicas":"1"}"#, r#"{"replicas":-1}"#, r#"{"replicas":1,"x":2}"#, "[]", "", "\u{0}"]
    {
        let (status, answer) = put(wrong.len(), wrong);
        assert_eq!(status, "400", "{wrong}: {answer}");
    }
    let nested = "[".repeat(100_000);
    assert_eq!(put(nested.len(), &nested).0, "400");
    // Slow bodies, slow headers and connections that say nothing, more than are served at once.
    let slow =
        ["PUT /v1/replicas HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", "GET /v1/cac", ""];
    let streams: Vec<_> = (0..150)
        .map(|number| {
            let mut stream = TcpStream::connect(admin).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(slow[number % 3].as_bytes()).unwrap();
            stream
        })
        .collect();
    // Whoever comes behind them all is answered once their time is over.
    assert_eq!(get(admin, "/readyz", ""), LET_IN);
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_default();
        assert!(answer.is_empty() || answer.contains(" 408 "), "{answer}");
    }
    let grown = fleet.memtide().rss_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more than before");
}
