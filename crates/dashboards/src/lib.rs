//! The Grafana dashboard of `deploy/grafana`, as a table of panels.
//!
//! A JSON of a thousand lines is nothing that people review, so it is made from [`ROWS`]. Change that
//! and run `UPDATE_EXPECT=1 cargo test -p memtide-dashboards`.

mod panels;

use serde_json::{Value, json};

pub use panels::{Panel, ROWS, Row, Unit};

/// How many panels stand side by side, and Grafana's grid.
const COLUMNS: usize = 3;
const GRID_WIDTH: usize = 24;
const PANEL_HEIGHT: usize = 8;

/// The dashboard as Grafana imports it.
#[must_use]
pub fn dashboard() -> Value {
    let mut panels = Vec::new();
    let mut top = 0;
    for row in ROWS {
        panels.push(heading(row, panels.len() + 1, top));
        top += 1;
        for (number, panel) in row.panels.iter().enumerate() {
            let (line, column) = (number / COLUMNS, number % COLUMNS);
            let place = (column * GRID_WIDTH / COLUMNS, top + line * PANEL_HEIGHT);
            panels.push(chart(panel, panels.len() + 1, place));
        }
        top += row.panels.len().div_ceil(COLUMNS) * PANEL_HEIGHT;
    }
    json!({
        "uid": "memtide",
        "title": "memtide",
        "tags": ["memtide"],
        "schemaVersion": 39,
        "refresh": "15s",
        "time": { "from": "now-1h", "to": "now" },
        "timezone": "browser",
        "templating": { "list": [job_variable()] },
        "panels": panels,
    })
}

/// Which jobs are shown.
fn job_variable() -> Value {
    json!({
        "name": "job",
        "type": "query",
        "datasource": datasource(),
        "query": "label_values(memtide_build_info, job)",
        "refresh": 2,
        "multi": true,
        "includeAll": true,
        "current": { "text": "All", "value": "$__all" },
    })
}

fn heading(row: &Row, id: usize, top: usize) -> Value {
    json!({
        "id": id,
        "type": "row",
        "title": row.title,
        "collapsed": false,
        "gridPos": { "x": 0, "y": top, "w": GRID_WIDTH, "h": 1 },
        "panels": [],
    })
}

fn chart(panel: &Panel, id: usize, (left, top): (usize, usize)) -> Value {
    let targets: Vec<_> = panel
        .queries
        .iter()
        .zip('A'..='Z')
        .map(|((query, legend), name)| {
            json!({
                "refId": name.to_string(),
                "datasource": datasource(),
                "expr": query,
                "legendFormat": legend,
            })
        })
        .collect();
    json!({
        "id": id,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.says,
        "datasource": datasource(),
        "gridPos": { "x": left, "y": top, "w": GRID_WIDTH / COLUMNS, "h": PANEL_HEIGHT },
        "fieldConfig": {
            "defaults": { "unit": panel.unit.name(), "min": 0, "custom": { "fillOpacity": 10 } },
            "overrides": [],
        },
        "options": { "legend": { "displayMode": "list", "placement": "bottom" } },
        "targets": targets,
    })
}

/// The one that `deploy/grafana/provisioning` makes.
fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "prometheus" })
}
