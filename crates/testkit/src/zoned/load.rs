use super::{CLIENT_PORT, Member, ZonedFleet};
use crate::{Metrics, PATIENCE, Verdict, Verifying, wait_until};

/// Few keys, so that each has a long history, and several requests in flight on each.
const LOAD: [&str; 6] = ["--keys", "300", "--connections", "8", "--pipeline", "4"];

/// The way that a load takes to a [`ZonedFleet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// All of its connections are to this proxy.
    Proxy(usize),
    /// Half of its connections are to either proxy, by the balancer; what one acknowledges the other has to know.
    Balancer,
}

/// Loads of a [`ZonedFleet`], which are checked.
#[derive(Debug)]
pub struct ZonedLoad {
    loads: Vec<(Via, Verifying)>,
}

impl Via {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Proxy(0), Self::Proxy(1), Self::Balancer];
}

impl ZonedFleet {
    /// Begins to load it by these ways, at so many requests a second each, and waits until both proxies answer.
    ///
    /// # Panics
    /// Where a load does not begin.
    #[must_use]
    pub fn load(&self, ways: &[Via], rate: u32) -> ZonedLoad {
        let loads = ways.iter().map(|&via| (via, self.load_via(via, rate))).collect();
        self.wait_answered(100);
        ZonedLoad { loads }
    }

    /// Waits until each proxy that runs has answered so many commands more.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_answered(&self, commands: u32) {
        let running: Vec<_> = self.running(Member::proxies()).collect();
        let wanted = running.iter().map(|it| self.answered(*it) + f64::from(commands));
        let wanted: Vec<_> = wanted.collect();
        wait_until("the load goes on", PATIENCE, || {
            let mut proxies = running.iter().zip(&wanted);
            proxies.all(|(proxy, wanted)| self.answered(*proxy) >= *wanted).then_some(())
        });
    }

    /// Waits until a proxy, which may be away, has refused another command: somebody asks it.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_refused(&self, proxy: Member) {
        let refused = || self.counted(proxy, "memtide_error_replies_total{blame=\"server\"}");
        let before = refused();
        wait_until("a command is refused", PATIENCE, || (refused() > before).then_some(()));
    }

    fn answered(&self, proxy: Member) -> f64 {
        self.counted(proxy, "memtide_commands_total")
    }

    fn counted(&self, proxy: Member, series: &str) -> f64 {
        let metrics = Metrics::parse(&self.role(proxy).get("/metrics").body);
        metrics.get(series).unwrap_or_else(|| panic!("{proxy} counts {series}"))
    }

    fn load_via(&self, via: Via, rate: u32) -> Verifying {
        let endpoint = match via {
            Via::Proxy(number) => {
                let host = self.hosts.address(Member::Proxy(number).host());
                format!("{via:?}={host}:{CLIENT_PORT}")
            }
            Via::Balancer => format!("{via:?}=localhost:{}", self.balancer.port()),
        };
        let program = self.hosts.command(Member::Clients.host(), &self.settings.program);
        let rate = rate.to_string();
        let words = LOAD.into_iter().chain(["--server-name", "localhost", "--rate", &rate]);
        Verifying::start_at(program, &endpoint, self.path("ca.pem").as_ref(), words)
    }
}

impl ZonedLoad {
    /// Ends all, and gives what each has found.
    ///
    /// # Panics
    /// When one does not end, or has written nothing.
    #[must_use]
    pub fn finish(self) -> Vec<(Via, Verdict)> {
        self.loads.into_iter().map(|(via, load)| (via, load.finish())).collect()
    }
}
