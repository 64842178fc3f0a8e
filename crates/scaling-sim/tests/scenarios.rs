//! Scenarios.
use memtide_scaling_sim::{Scenario, run};
#[test]
fn look() {
    let names = std::env::var("S").unwrap_or("steady".into());
    for n in names.split(',') {
        let t = std::time::Instant::now();
        let report = run(&Scenario::named(n).unwrap(), 1);
        println!("{report}");
        for e in report.events.iter().take(40) {
            println!("{:>6} {}", e.at.as_secs(), e.text);
        }
        println!("events {} took {:?}", report.events.len(), t.elapsed());
    }
}
