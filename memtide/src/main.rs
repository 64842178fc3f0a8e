//! memtide: a self-hosted serverless Memcached.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use memtide_service::drain::Drain;
use memtide_service::tls::{Identity, Tls, TlsSettings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Flags {
    #[arg(long, default_value_t = 11211)]
    port: u16,
    #[arg(long, default_value_t = 11212)]
    read_port: u16,
    #[arg(long, default_value = "127.0.0.1:9150")]
    admin: String,
    #[arg(long)]
    bind: Vec<IpAddr>,
    #[arg(long, default_value = "memtide-data")]
    data_dir: PathBuf,
    #[arg(long)]
    log_format: Option<String>,
    #[arg(long, default_value_t = 10_000)]
    connections_max: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value_t = 512)]
    memory_mb: u64,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).init();
    let settings = TlsSettings {
        identity: Identity::Made { dir: flags.data_dir.join("tls"), names: vec![] },
        client_ca: None,
    };
    let tls = Arc::new(Tls::open(settings)?.0);
    let primary = memtide_service::listen::listen("--port", &flags.bind, flags.port)?;
    let read_optimized =
        memtide_service::listen::listen("--read-port", &flags.bind, flags.read_port)?;
    let (port, read_port) =
        (primary[0].local_addr()?.port(), read_optimized[0].local_addr()?.port());
    let config = memtide_proxy::ProxyConfig {
        advertise: "localhost".into(),
        threads: flags.threads,
        memory_max: flags.memory_mb << 20,
        item_size_max: 1 << 20,
        connections_max: flags.connections_max,
        idle_timeout: None,
        handshake_timeout: Duration::from_secs(10),
        handshakes_per_second_max: None,
        seed: memtide_topology::HashSeed::new(1, 2),
        metered_bytes_min: 1 << 30,
    };
    let drain = Drain::new();
    let listeners = memtide_proxy::Listeners { primary, read_optimized };
    let proxy = memtide_proxy::Proxy::start(config, listeners, &tls, drain.watch())?;
    tracing::info!(port, read_port, admin = flags.admin, "listening");
    proxy.join();
    Ok(())
}
