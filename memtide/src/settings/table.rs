//! Every setting of every role, in one table.

use memtide_service::config::Setting;

use super::Role;

macro_rules! setting {
    ($roles:ident, $name:literal, $value:literal, $default:expr, $help:literal) => {
        Setting {
            name: $name,
            value_name: $value,
            default: $default,
            help: $help,
            roles: $roles,
            is_guard: false,
        }
    };
}

/// One that keeps somebody out.
macro_rules! guard {
    ($($setting:tt)*) => {
        Setting { is_guard: true, ..setting!($($setting)*) }
    };
}

const SERVE: &[&str] = &[Role::Serve.name()];
const PROXY: &[&str] = &[Role::Proxy.name()];
const ENGINE: &[&str] = &[Role::Engine.name()];
const SCALER: &[&str] = &[Role::Scaler.name()];
const CACHE: &[&str] = &[Role::Cache.name()];
/// Those that clients connect to.
const CLIENTS: &[&str] = &[Role::Serve.name(), Role::Proxy.name()];
/// Those that join a scaler.
const JOINERS: &[&str] = &[Role::Proxy.name(), Role::Engine.name()];
/// Those that say how many copies there are, and keep the cache's limits.
const PLACERS: &[&str] = &[Role::Serve.name(), Role::Scaler.name()];
/// Those that are linked to nodes.
const LINKED: &[&str] = &[Role::Serve.name(), Role::Proxy.name(), Role::Engine.name()];
const ALL: &[&str] =
    &[Role::Serve.name(), Role::Proxy.name(), Role::Engine.name(), Role::Scaler.name()];

/// All settings, by flag name. A name stands twice where its default or its meaning is another.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting!(ALL, "config", "FILE", None, "TOML file with any of these settings"),
    setting!(ALL, "name", "NAME", Some("default"), "The cache's name"),
    setting!(SERVE, "nodes", "NODES", Some("embedded"), "Where items are: embedded in this process, or processes=N on this host, or processes=A..B, which follow the load: A at the start, B at most"),
    setting!(SERVE, "zones", "ZONES", None, "Zones that the node processes are spread over, parted by commas"),
    setting!(PLACERS, "replicas", "COUNT", Some("0"), "Copies of each slot beside its primary; a cache that was told another number by memtide cache keeps that until this says something else than it did"),
    setting!(SCALER, "nodes-min", "COUNT", Some("1"), "Nodes that must be there before a new cache begins; a scaler that changes their number keeps as many"),
    setting!(SCALER, "nodes-max", "COUNT", Some("0"), "Most nodes that there are to be: their number and memory follow the load; 0 leaves them as others start and drain them"),
    setting!(SCALER, "provision", "PROGRAM", None, "Program that starts and ends nodes, and its first arguments, parted by commas; see docs/operations.md"),
    setting!(SCALER, "provision-timeout", "DURATION", Some("60s"), "Longest call of that program, which is then killed"),
    setting!(SCALER, "kubernetes-statefulsets", "ZONE=NAME", None, "StatefulSets of Kubernetes whose pods are the nodes, and which this scaler scales, parted by commas; see docs/operations.md"),
    setting!(PLACERS, "spares", "COUNT", Some("0"), "Nodes that are kept ready in each zone beside those that serve"),
    setting!(PLACERS, "scale-in-after", "DURATION", Some("2m"), "Nodes and memory are given back once the rest could have carried the load of so long"),
    setting!(JOINERS, "join", "HOST:PORT", None, "The scaler to join; several parted by commas are tried in turn"),
    setting!(ENGINE, "zone", "ZONE", Some("default"), "The failure domain that this node is in"),
    setting!(PROXY, "zone", "ZONE", None, "The zone whose copies are read first on the read-optimized port"),
    setting!(CLIENTS, "bind", "ADDRESSES", None, "IP addresses to listen on, parted by commas; all where none is given"),
    setting!(ENGINE, "bind", "ADDRESS", None, "IP address to listen on for proxies and nodes; all where none is given"),
    setting!(SCALER, "bind", "ADDRESS", None, "IP address to listen on for proxies and nodes; all where none is given"),
    setting!(CLIENTS, "port", "PORT", Some("11211"), "Primary port (TLS); 0 takes a free one"),
    setting!(ENGINE, "port", "PORT", Some("11214"), "Port for proxies and nodes (TLS); 0 takes a free one"),
    setting!(SCALER, "port", "PORT", Some("11213"), "Port for proxies and nodes (TLS); 0 takes a free one"),
    setting!(CLIENTS, "read-port", "PORT", Some("11212"), "Read-optimized port (TLS); 0 takes a free one"),
    setting!(CLIENTS, "admin", "ADDRESS:PORT", Some("127.0.0.1:9150"), "Admin HTTP: /metrics, /healthz, /readyz, /v1/cache, /v1/events"),
    setting!(CACHE, "admin", "ADDRESS:PORT", Some("127.0.0.1:9150"), "Admin HTTP of a memtide serve or scaler"),
    setting!(SCALER, "admin", "ADDRESS:PORT", Some("127.0.0.1:9151"), "Admin HTTP: /metrics, /healthz, /readyz, /v1/topology, /v1/nodes, /v1/events"),
    setting!(ENGINE, "admin", "ADDRESS:PORT", Some("127.0.0.1:9152"), "Admin HTTP: /metrics, /healthz, /readyz, /v1/events"),
    guard!(ALL, "admin-token-file", "FILE", None, "Who asks the admin HTTP for more than /metrics, /healthz and /readyz must show the token in this file, which is made where there is none; needed where --admin is not an address of this host alone"),
    setting!(CACHE, "admin-token-file", "FILE", None, "The token in this file is shown to the admin HTTP"),
    guard!(ALL, "admin-client-ca", "FILE", None, "PEM CAs; the admin HTTP then speaks TLS, and who asks it for more than /metrics, /healthz and /readyz must show a certificate that one of them issued, or the token where there is one too"),
    setting!(CACHE, "admin-ca", "FILE", None, "PEM CAs; the admin HTTP is asked over TLS, and must show a certificate that one of them issued"),
    setting!(CACHE, "admin-cert", "FILE", None, "PEM certificate chain that is shown to the admin HTTP"),
    setting!(CACHE, "admin-key", "FILE", None, "PEM private key that belongs to it"),
    setting!(CACHE, "admin-name", "HOST", None, "Host name in the certificate of the admin HTTP, such as scaler.memtide; its address where none is given"),
    setting!(CLIENTS, "advertise", "HOST", None, "Host name that clients are told; this host's where none is given"),
    setting!(ENGINE, "advertise", "HOST", None, "Host at which proxies and nodes reach this one; that of --bind, or this host's name, where none is given"),
    setting!(SCALER, "advertise", "HOST", None, "Host at which nodes and proxies reach this one where it is one of several; that of --bind, or this host's name, where none is given"),
    setting!(SCALER, "etcd", "URLS", None, "Members of the etcd by which several scalers of a cache agree who leads, such as https://etcd-1.example:2379, parted by commas; this scaler is the only one where none is given"),
    setting!(SCALER, "etcd-prefix", "PREFIX", Some("/memtide"), "What the keys in etcd begin with"),
    setting!(SCALER, "etcd-ca", "FILE", None, "PEM CAs of etcd's members"),
    setting!(SCALER, "etcd-cert", "FILE", None, "PEM certificate chain that is shown to etcd"),
    setting!(SCALER, "etcd-key", "FILE", None, "PEM private key that belongs to it"),
    setting!(SCALER, "etcd-user", "NAME", None, "User that etcd knows this scaler by"),
    setting!(SCALER, "etcd-password-file", "FILE", None, "The password of that user is in this file"),
    setting!(ALL, "data-dir", "DIR", Some("memtide-data"), "Directory for what memtide makes itself, such as its certificates"),
    setting!(ALL, "fleet-tls", "DIR", None, "Directory of the certificates that roles know each other by; fleet/tls in the data directory where none is given"),
    setting!(CLIENTS, "tls-cert", "FILE", None, "PEM certificate chain of the server; made in the data directory where none is given"),
    setting!(CLIENTS, "tls-key", "FILE", None, "PEM private key that belongs to it"),
    guard!(CLIENTS, "tls-client-ca", "FILE", None, "PEM CAs; clients must then show a certificate that one of them issued"),
    setting!(SERVE, "memory", "SIZE", Some("60%"), "Memory for items and their index: 512m, 2GiB, or a share of what this host or cgroup allows; of the embedded node A..B too, which follows the data: A at the start, B at most"),
    setting!(ENGINE, "memory", "SIZE", Some("60%"), "Memory for items and their index: 512m, 2GiB, or a share of what this host or cgroup allows"),
    setting!(ENGINE, "memory-max", "SIZE", None, "Most memory that the scaler may grant this node, who begins with --memory: 8g, or a share of what this host or cgroup allows; that of --memory where none is given"),
    setting!(ENGINE, "cpus", "CORES", None, "Share of a core that this node may use, such as 0.5; a whole one, or what its cgroup allows, where none is given"),
    setting!(ENGINE, "ecpu-max", "COUNT", None, "ECPUs a second that this node can do; 150k for a whole core of --cpus where none is given"),
    setting!(ENGINE, "network-max", "SIZE", Some("0"), "Bytes a second that this node can take in and send, such as 100m; 0 is unknown"),
    setting!(ENGINE, "instance", "NAME", None, "What whoever starts this node calls it: no two have the same at one time"),
    setting!(ENGINE, "spare", "true|false", Some("false"), "Wait until the scaler takes this process as a node, and wait again once it was drained"),
    setting!(LINKED, "wire-version-max", "VERSION", None, "Newest version of the node protocol that this process speaks with nodes and proxies, for an upgrade from one that knows no newer; the newest that it knows where none is given"),
    setting!(ALL, "item-size-max", "SIZE", Some("1m"), "Largest item as memcached counts it; the same for all roles of a fleet"),
    setting!(PLACERS, "data-storage-max", "SIZE", None, "Most data of the cache, beyond which items are evicted, such as 10GB; 0 is no limit, and so is none. A limit that memtide cache limits changed stays changed until another one is given"),
    setting!(PLACERS, "data-storage-min", "SIZE", None, "Data is metered as at least this much; 1GB where none is given"),
    setting!(PLACERS, "ecpu-per-second-max", "COUNT", None, "Most ECPUs a second, beyond which commands wait and are refused, such as 100k; 0 is no limit, and so is none"),
    setting!(PLACERS, "ecpu-per-second-min", "COUNT", None, "ECPUs a second that are metered at least; 0 is none"),
    setting!(CLIENTS, "connections-max", "COUNT", Some("10000"), "Most client connections at one time"),
    setting!(CLIENTS, "handshakes-per-second", "COUNT", Some("0"), "Most TLS handshakes a second, others wait; 0 is no limit"),
    setting!(CLIENTS, "address-connections-max", "COUNT", Some("0"), "Most connections of one address at one time, others are closed; 0 is no limit"),
    setting!(CLIENTS, "address-handshakes-per-second", "COUNT", Some("0"), "Most new connections of one address a second, others are closed; 0 is no limit"),
    guard!(CLIENTS, "allow", "NETWORKS", None, "Networks whose clients may connect, such as 10.0.0.0/8,fd00::/8; all where none is given"),
    guard!(CLIENTS, "read-allow", "NETWORKS", None, "The same of the read-optimized port; those of --allow where none is given"),
    guard!(CLIENTS, "proxy-protocol-from", "NETWORKS", None, "Balancers, who name each client in a header of the PROXY protocol, version 2"),
    setting!(CLIENTS, "threads", "COUNT", None, "Most threads that serve; one a core where none is given"),
    setting!(CLIENTS, "idle-timeout", "DURATION", Some("0"), "Close connections after this much silence; 0 never does"),
    setting!(CLIENTS, "handshake-timeout", "DURATION", Some("10s"), "Longest TLS handshake"),
    setting!(ALL, "drain-timeout", "DURATION", Some("30s"), "Longest drain after SIGTERM"),
    setting!(ALL, "log-format", "FORMAT", Some("auto"), "text, json, or auto: text on a terminal"),
    setting!(ALL, "log-level", "FILTER", Some("info"), "error, warn, info, debug, trace, or a list such as info,memtide_proxy=debug"),
    setting!(ENGINE, "parent", "PID/TOKEN", None, ""),
];
