//! What a person sees who starts memtide in a terminal.
#![expect(clippy::print_stdout, reason = "this is the command line's own output")]

use std::net::SocketAddr;
use std::path::Path;

use memtide_service::admin::Endpoint;

/// Prints a text as it is.
pub fn print(text: &str) {
    print!("{text}");
}

/// Prints the endpoint, and lines that can be pasted.
pub fn greet(endpoint: &Endpoint, admin: SocketAddr, ca: Option<&Path>) {
    let (port, read_port) = (endpoint.port, endpoint.read_port);
    println!("memtide {} serves a cache over TLS", env!("CARGO_PKG_VERSION"));
    println!("  primary         {}:{port}", endpoint.host);
    println!("  read-optimized  {}:{read_port}", endpoint.host);
    println!("  admin           http://{admin}/v1/cache, /metrics, /healthz, /readyz");
    let Some(ca) = ca else { return };
    let ca = std::path::absolute(ca).unwrap_or_else(|_| ca.to_owned());
    let ca = ca.display();
    println!("  CA              {ca}");
    println!();
    println!("Try it, on this host:");
    println!(
        "  printf 'set hi 0 0 5\\r\\nthere\\r\\nget hi\\r\\nquit\\r\\n' | openssl s_client -quiet \
         -verify_return_error -connect localhost:{port} -CAfile '{ca}'"
    );
    println!(
        "  python3 -c \"import ssl; from pymemcache import Client; c = Client(('localhost', {port}), \
         tls_context=ssl.create_default_context(cafile='{ca}')); c.set('hi', 'there'); \
         print(c.get('hi'))\""
    );
}
