//! What proxies want of the limit of ECPUs and what they are granted, as messages.

use memtide_limits::{Demand, Grant, ProxyId, Report, Succession};

use crate::schema;

/// What a proxy says that it wants.
pub fn to_demand(process: u64, report: &Report) -> schema::Demand {
    let Demand { used_units, refused_units, dry_ns, weight } = report.demand;
    let Succession { line, generation } =
        report.succession.unwrap_or(Succession { line: 0, generation: 0 });
    schema::Demand {
        process,
        line,
        generation,
        number: report.number,
        scaler: report.scaler,
        confirmed: report.confirmed,
        rate: report.rate,
        fallback: report.fallback,
        elapsed_ns: report.elapsed_ns,
        used_units,
        refused_units,
        dry_ns,
        weight,
    }
}

/// The same, heard.
pub fn of_demand(it: &schema::Demand) -> (ProxyId, Report) {
    let succession = Succession { line: it.line, generation: it.generation };
    let report = Report {
        number: it.number,
        succession: Some(succession).filter(|it| it.line != 0),
        confirmed: it.confirmed,
        scaler: it.scaler,
        rate: it.rate,
        fallback: it.fallback,
        elapsed_ns: it.elapsed_ns,
        demand: Demand {
            used_units: it.used_units,
            refused_units: it.refused_units,
            dry_ns: it.dry_ns,
            weight: it.weight,
        },
    };
    (ProxyId(it.process), report)
}

/// What a scaler says that may be used.
pub const fn to_grant(grant: &Grant) -> schema::Grant {
    schema::Grant {
        scaler: grant.scaler,
        number: grant.number,
        demand: grant.report,
        rate: grant.rate,
        fallback: grant.fallback,
        term_ns: grant.term_ns,
        limit: grant.limit,
    }
}

/// The same, heard.
pub const fn of_grant(it: &schema::Grant) -> Grant {
    Grant {
        scaler: it.scaler,
        number: it.number,
        report: it.demand,
        rate: it.rate,
        fallback: it.fallback,
        term_ns: it.term_ns,
        limit: it.limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let demand = Demand { used_units: 1, refused_units: 2, dry_ns: 3, weight: 4 };
        let (rate, fallback) = (Some(9), None);
        for succession in [None, Some(Succession { line: 15, generation: 16 })] {
            let report = Report {
                number: 5,
                succession,
                confirmed: 6,
                scaler: 7,
                rate,
                fallback,
                elapsed_ns: 8,
                demand,
            };
            assert_eq!(of_demand(&to_demand(10, &report)), (ProxyId(10), report));
        }
        let (rate, limit) = (None, Some(15));
        let grant =
            Grant { scaler: 11, number: 12, report: 13, rate, fallback, term_ns: 14, limit };
        assert_eq!(of_grant(&to_grant(&grant)), grant);
    }
}
