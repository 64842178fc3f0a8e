"""Values that the chart is tried with, beside those in its ci/."""

# Values that must be refused, and what is said.
WRONG = [
    ({"nodes": {"memoryMx": "1Gi"}}, "memoryMx"),
    ({"nodes": {"memoryMax": "8 gigs"}}, "memoryMax"),
    ({"nodes": {"memory": "8Gi"}}, "nodes.memory is more than nodes.memoryMax"),
    ({"nodes": {"zones": []}}, "zones"),
    ({"nodes": {"zones": [{"name": "a"}, {"name": "a"}]}}, "two zones are alike"),
    ({"nodes": {"zones": [{"name": "a.b"}, {"name": "a-b"}]}}, "two zones are alike"),
    ({"nodes": {"zones": [{"name": ""}, {"name": "default"}]}}, "two zones are alike"),
    ({"nodes": {"readyIn": "1.5m"}}, "readyIn"),
    ({"fullnameOverride": "1"}, "fullnameOverride"),
    ({"cache": {"dataStorageMin": "2g", "dataStorageMax": "1g"}}, "dataStorageMin is more than"),
    ({"cache": {"ecpuPerSecondMin": 2_000_000, "ecpuPerSecondMax": "1.5M"}}, "ecpuPerSecondMin is more than"),
    ({"cache": {"replicas": 3}, "scaler": {"nodesMax": 3}}, "needs at least 4 nodes"),
    ({"scaler": {"replicas": 0}}, "replicas"),
    ({"scaler": {"nodesMin": 8, "nodesMax": 7}}, "nodesMin is more than scaler.nodesMax"),
    ({"proxies": {"service": {"type": "ExternalName"}}}, "type"),
    ({"proxies": {"service": {"readPort": 11211}}}, "readPort"),
    ({"proxies": {"autoscaling": {"enabled": True, "maxReplicas": 1}}}, "minReplicas is more than"),
    ({"etcd": {"endpoints": ["etcd:2379"]}}, "endpoints"),
    ({"etcd": {"endpoints": ["https://etcd:2379"]}}, "etcd.tlsSecret"),
    ({"admin": {"host": "127.0.0.1"}}, "host"),
]

SIZES_WRONG = ["1.5TB", "1.5m", "1.5", "-1", "1e6", "0x10", "9" * 20, "99999999t", "1 m", "1m "]
LIMITS = (["64m", "2GiB", "0", ""], [*SIZES_WRONG, "1", "1k", "5001g"])
COUNTS = (
    ["30000", "100k", "1.5M", "0", "", 0, 1_000_000, 15_000_000],
    [".5k", "1.5", "1.", "1.0005k", "0.5k", "-1", -1, 1.5, "1e3", "1kb", "01k", "16M", 15_000_001, "999999999G"],
)

# Of each value what must be taken, and what the chart refuses or the program takes.
ODD = {
    "cache.name": (["shop-1", "1", "A" * 40], ["a b", "a.b", "a_b", "A" * 41, "ä", ""]),
    "cache.itemSizeMax": (["1m", "8MiB", "1024", "512m"], ["1.5m", "1023", "0", "", "513m", "2g"]),
    "cache.replicas": ([0, 4], [-1, 5, 1.5, "1"]),
    "cache.wireVersionMax": ([1, 2, "1", ""], [0, -1, 1.5, "x"]),
    "cache.dataStorageMax": LIMITS,
    "cache.dataStorageMin": LIMITS,
    "cache.ecpuPerSecondMax": COUNTS,
    "cache.ecpuPerSecondMin": COUNTS,
    "log.level": (
        ["info", "off", "WARN", "info,memtide_proxy=debug", "memtide[link]=debug"],
        ["", "info memtide=debug"],
    ),
    "scaler.nodesMin": ([1, 24], [0, 25, 1025, 1.5]),
    "scaler.nodesMax": ([2, 1024], [1, 0, 1025, 1.5]),
    "scaler.spares": ([0, 1000], [-1, 1001]),
    "scaler.scaleInAfter": (
        ["1s", "1000ms", "90", "24h"],
        ["", "0", "999ms", "25h", "86401", "1.5m", "1d", "99999999999999999999h"],
    ),
    "nodes.memory": (["16Mi", "4Gi"], ["15Mi", "1.5Gi", "4097Mi", "020Mi", "0Gi", "64m"]),
    "nodes.memoryMax": (["64Mi", "1Ti"], ["63Mi", "1.5Gi", "0Gi", "99999999Ti", "-1Gi"]),
    "nodes.cpus": (["1", "0.5", "0.001", "1.0"], [".5", "0", "0.000", "0.0005", "1.5", "2", "500m", ""]),
    "nodes.ecpuMax": (["75k", 2_000_000, ""], [".5k", "1.5", "1.0005k", "1e3", -1, 1.5]),
    "nodes.networkMax": (["100m", "0", ""], SIZES_WRONG),
    "nodes.readyIn": (["60s", "2m", "90"], ["1.5m", "", "1d"]),
    "nodes.drainTimeoutSeconds": ([1, 86_400], [0, 86_401, 1_000_000]),
    "nodes.zones": (
        [[{"name": "1"}], [{"name": "no"}], [{"name": "eu.1"}]],
        [[{"name": "a b"}], [{"name": "a,b"}], [{"name": "a=b"}]],
    ),
    "proxies.threads": ([1, "4", 1024, "1024", ""], [0, "0", 1025, "1025", "x", 1.5, -1]),
    "proxies.connectionsMax": (
        [1, "50000", 2_000_000, 16_777_216, ""],
        [0, 16_777_217, "16777217", "50k", "1e6", -1],
    ),
    "proxies.drainTimeoutSeconds": ([1, 86_400], [0, 86_401]),
    "proxies.advertise": (
        ["cache.example", "cache.example.", "10.0.0.7", "fd00::7", "fd00::", ""],
        ["a b", "https://a", "a/b"],
    ),
    "admin.host": (["0.0.0.0", "[::]"], ["::", "", "127.0.0.1", "localhost"]),
}

# Zones of providers, a set each: what they are called has to differ whatever the name before it is.
ZONES = [
    ["eu-central-1a", "eu-central-1b", "eu-central-1c"],
    ["us-central1-a", "us-central1-b", "europe-west1-b", "europe-west1-c"],
    ["northeurope-1", "northeurope-2", "northamerica-northeast1-a", "northamerica-northeast1-b"],
    ["rack-a-0000001", "rack-b-0000001"],
    ["us-east-1-bos-1a", "us-east-1-mia-1a", "us-east-1a", "1", "0", "no"],
]
LONG = "a-name-" + 56 * "x"
