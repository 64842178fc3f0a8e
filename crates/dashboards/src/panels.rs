/// Panels under one heading.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// From left to right.
    pub panels: &'static [Panel],
}

/// A chart.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// What to look for in it.
    pub says: &'static str,
    /// Of all its lines.
    pub unit: Unit,
    /// PromQL, and the name of each line.
    pub queries: &'static [(&'static str, &'static str)],
}

/// What a number is of.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// Anything counted.
    Count,
    /// Per second.
    Rate,
    /// Powers of 1,024.
    Bytes,
    /// Bytes per second.
    ByteRate,
    /// Time.
    Seconds,
    /// From 0 to 1, shown in percent.
    Ratio,
}

impl Unit {
    /// As Grafana calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::Rate => "cps",
            Self::Bytes => "bytes",
            Self::ByteRate => "binBps",
            Self::Seconds => "s",
            Self::Ratio => "percentunit",
        }
    }
}

/// The whole dashboard, from top to bottom.
pub const ROWS: &[Row] = &[
    Row { title: "Load", panels: LOAD },
    Row { title: "Limits", panels: LIMITS },
    Row { title: "Connections", panels: CONNECTIONS },
    Row { title: "Fleet", panels: FLEET },
    Row { title: "Control", panels: CONTROL },
    Row { title: "Process", panels: PROCESS },
];

const LOAD: &[Panel] = &[
    Panel {
        title: "ECPUs",
        says: "Metered work each second.",
        unit: Unit::Rate,
        queries: &[(
            r#"sum by (job) (rate(memtide_ecpu_units_total{job=~"$job"}[$__rate_interval])) / 1024"#,
            "{{job}}",
        )],
    },
    Panel {
        title: "Commands",
        says: "By command and what came of it.",
        unit: Unit::Rate,
        queries: &[(
            r#"sum by (command, status) (rate(memtide_item_commands_total{job=~"$job"}[$__rate_interval]))"#,
            "{{command}} {{status}}",
        )],
    },
    Panel {
        title: "Latency",
        says: "From the read of a command to the write of its reply, without the network.",
        unit: Unit::Seconds,
        queries: &[
            (
                r#"histogram_quantile(0.5, sum by (kind, le) (rate(memtide_command_duration_seconds_bucket{job=~"$job"}[$__rate_interval])))"#,
                "{{kind}} p50",
            ),
            (
                r#"histogram_quantile(0.99, sum by (kind, le) (rate(memtide_command_duration_seconds_bucket{job=~"$job"}[$__rate_interval])))"#,
                "{{kind}} p99",
            ),
        ],
    },
    Panel {
        title: "Hit ratio",
        says: "Of the keys that were asked for, how many were there.",
        unit: Unit::Ratio,
        queries: &[(
            r#"sum(rate(memtide_item_commands_total{job=~"$job",command="get",status="hit"}[$__rate_interval])) / sum(rate(memtide_item_commands_total{job=~"$job",command="get"}[$__rate_interval]))"#,
            "hits",
        )],
    },
    Panel {
        title: "Traffic",
        says: "Commands and replies, before TLS.",
        unit: Unit::ByteRate,
        queries: &[(
            r#"sum by (direction) (rate(memtide_network_bytes_total{job=~"$job"}[$__rate_interval]))"#,
            "{{direction}}",
        )],
    },
    Panel {
        title: "Error replies",
        says: "By who is to blame.",
        unit: Unit::Rate,
        queries: &[(
            r#"sum by (blame) (rate(memtide_error_replies_total{job=~"$job"}[$__rate_interval]))"#,
            "{{blame}}",
        )],
    },
];

const LIMITS: &[Panel] = &[
    Panel {
        title: "Memory",
        says: "Items and index of each process, and what they may take.",
        unit: Unit::Bytes,
        queries: &[
            (r#"memtide_memory_used_bytes{job=~"$job"}"#, "{{instance}}"),
            (r#"memtide_memory_limit_bytes{job=~"$job"}"#, "{{instance}} limit"),
        ],
    },
    Panel {
        title: "Evicted and reclaimed",
        says: "Items dropped for room, and items removed after they had expired. In this process only.",
        unit: Unit::Rate,
        queries: &[
            (r#"sum(rate(memtide_items_evicted_total{job=~"$job"}[$__rate_interval]))"#, "evicted"),
            (
                r#"sum(rate(memtide_items_reclaimed_total{job=~"$job"}[$__rate_interval]))"#,
                "reclaimed",
            ),
        ],
    },
    Panel {
        title: "Throttled commands",
        says: "Refused for the limit of ECPUs, or because the nodes take no more.",
        unit: Unit::Rate,
        queries: &[(
            r#"sum by (job) (rate(memtide_throttled_commands_total{job=~"$job"}[$__rate_interval]))"#,
            "{{job}}",
        )],
    },
];

const CONNECTIONS: &[Panel] = &[
    Panel {
        title: "Connections",
        says: "Open ones, and how many there may be.",
        unit: Unit::Count,
        queries: &[
            (r#"memtide_connections{job=~"$job"}"#, "{{instance}}"),
            (r#"memtide_connections_limit{job=~"$job"}"#, "{{instance}} limit"),
        ],
    },
    Panel {
        title: "Handshakes",
        says: "Many in full are clients that do not resume; many failed are clients without our CA, or no clients.",
        unit: Unit::Rate,
        queries: &[(
            r#"sum by (outcome) (rate(memtide_tls_handshakes_total{job=~"$job"}[$__rate_interval]))"#,
            "{{outcome}}",
        )],
    },
    Panel {
        title: "Turned away and closed by us",
        says: "Before any handshake: of a network, or too many of an address. After it: over the maximum, idle, not reading, speaking plaintext.",
        unit: Unit::Rate,
        queries: &[
            (
                r#"sum by (reason) (rate(memtide_connections_refused_total{job=~"$job"}[$__rate_interval]))"#,
                "refused: {{reason}}",
            ),
            (
                r#"sum(rate(memtide_connections_rejected_total{job=~"$job"}[$__rate_interval]))"#,
                "rejected",
            ),
            (
                r#"sum by (reason) (rate(memtide_connections_kicked_total{job=~"$job"}[$__rate_interval]))"#,
                "{{reason}}",
            ),
        ],
    },
];

const FLEET: &[Panel] = &[
    Panel {
        title: "Slots without all copies",
        says: "Short while nodes come and go; longer is a missing node. Empty without a fleet.",
        unit: Unit::Count,
        queries: &[
            (r#"sum by (state) (memtide_slots{job=~"$job",state!="complete"})"#, "{{state}}"),
            (r#"sum(memtide_slots_unserved{job=~"$job"})"#, "unserved"),
            (r#"sum(memtide_slots_remaining{job=~"$job"})"#, "to be moved"),
        ],
    },
    Panel {
        title: "Memory of nodes",
        says: "As nodes report it to the scaler, copies included.",
        unit: Unit::Bytes,
        queries: &[(r#"memtide_node_memory_used_bytes{job=~"$job"}"#, "{{node}}")],
    },
    Panel {
        title: "Requests of nodes",
        says: "One node far above the others has the hot slots.",
        unit: Unit::Rate,
        queries: &[(
            r#"sum by (node) (rate(memtide_node_requests_total{job=~"$job",node!=""}[$__rate_interval]))"#,
            "{{node}}",
        )],
    },
];

const CONTROL: &[Panel] = &[
    Panel {
        title: "Nodes",
        says: "By zone and state: `silent`, `gone` and `dead` ones are lost, and a zone that is lost has no others.",
        unit: Unit::Count,
        queries: &[(r#"sum by (zone, state) (memtide_nodes{job=~"$job"})"#, "{{zone}} {{state}}")],
    },
    Panel {
        title: "Slots that changed hands",
        says: "Handed over as planned; failed over, because a node was lost; lost with all that had them.",
        unit: Unit::Rate,
        queries: &[
            (
                r#"sum(rate(memtide_slots_handed_over_total{job=~"$job"}[$__rate_interval]))"#,
                "handed over",
            ),
            (
                r#"sum(rate(memtide_slots_failed_over_total{job=~"$job"}[$__rate_interval]))"#,
                "failed over",
            ),
            (r#"sum(rate(memtide_slots_lost_total{job=~"$job"}[$__rate_interval]))"#, "lost"),
        ],
    },
    Panel {
        title: "Scalers",
        says: "One leads, and the others are at 0. While etcd is away, or the topology cannot be stored, nothing fails over.",
        unit: Unit::Count,
        queries: &[
            (
                r#"sum(memtide_scaler_leads{job=~"$job"}) or count(memtide_topology_store_failing{job=~"$job"})"#,
                "lead",
            ),
            (r#"sum(memtide_etcd_away{job=~"$job"}) or vector(0)"#, "without etcd"),
            (r#"sum(memtide_topology_store_failing{job=~"$job"})"#, "cannot store"),
            (r#"sum(memtide_topology_store_behind{job=~"$job"})"#, "stand still"),
        ],
    },
    Panel {
        title: "Proxies",
        says: "Those that the scaler hears of, and those that do not reach the primary of every slot.",
        unit: Unit::Count,
        queries: &[
            (r#"sum(memtide_fleet_proxies{job=~"$job"})"#, "heard"),
            (r#"count(memtide_fleet_reached{job=~"$job"} == 0) or vector(0)"#, "without a primary"),
        ],
    },
    Panel {
        title: "Evicted by nodes",
        says: "Items dropped for room: the limit of data is reached, or the memory of these nodes.",
        unit: Unit::Rate,
        queries: &[(
            r#"sum by (node) (rate(memtide_node_evictions_total{job=~"$job"}[$__rate_interval]))"#,
            "{{node}}",
        )],
    },
    Panel {
        title: "Scaling by itself",
        says: "What is under way, and spares that wait; the resource that is used the most, of what there is of it. At 1 for long, there are no more nodes to be had.",
        unit: Unit::Count,
        queries: &[
            (r#"sum(memtide_scaling_steps{job=~"$job"}) or vector(0)"#, "under way"),
            (r#"sum(memtide_spares{job=~"$job"}) or vector(0)"#, "spares"),
            (
                r#"max(memtide_scaling_load{job=~"$job"} / (memtide_scaling_capacity{job=~"$job"} > 0)) or vector(0)"#,
                "used of what there is",
            ),
        ],
    },
];

const PROCESS: &[Panel] = &[
    Panel {
        title: "CPU",
        says: "Seconds of CPU time each second: cores.",
        unit: Unit::Count,
        queries: &[(
            r#"rate(process_cpu_seconds_total{job=~"$job"}[$__rate_interval])"#,
            "{{instance}}",
        )],
    },
    Panel {
        title: "Resident memory",
        says: "All of the process: items, connections and itself.",
        unit: Unit::Bytes,
        queries: &[(r#"process_resident_memory_bytes{job=~"$job"}"#, "{{instance}}")],
    },
    Panel {
        title: "Certificate",
        says: "Time until the end of the one in force, for clients and within the fleet.",
        unit: Unit::Seconds,
        queries: &[
            (r#"memtide_tls_certificate_not_after_seconds{job=~"$job"} - time()"#, "{{instance}}"),
            (
                r#"memtide_fleet_certificate_not_after_seconds{job=~"$job"} - time()"#,
                "{{instance}} {{role}}",
            ),
        ],
    },
];
