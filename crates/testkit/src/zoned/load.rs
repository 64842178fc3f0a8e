use super::{CLIENT_PORT, Member, ZonedFleet};
use crate::{Metrics, PATIENCE, Verdict, Verifying, wait_until};

/// Few keys, so that each has a long history, and several requests in flight on each.
const LOAD: [&str; 8] = ["--keys", "300", "--connections", "8", "--pipeline", "4", "--rate", "200"];

/// The way that a load takes to a [`ZonedFleet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// All of its connections are to this proxy.
    Proxy(usize),
    /// Half of its connections are to either proxy, by the balancer; what one acknowledges the other has to know.
    Balancer,
}

/// Loads of a [`ZonedFleet`], which are checked: one for each proxy, and one of both.
#[derive(Debug)]
pub struct ZonedLoad {
    loads: Vec<(Via, Verifying)>,
}

impl ZonedFleet {
    /// Begins to load it, with more words of the command line of `loadtest`, and waits until both proxies answer.
    ///
    /// # Panics
    /// Where a load does not begin.
    #[must_use]
    pub fn load<S: AsRef<str>>(&self, words: &[S]) -> ZonedLoad {
        let ways = [Via::Proxy(0), Via::Proxy(1), Via::Balancer];
        let loads = ways.map(|via| (via, self.load_via(via, words)));
        self.wait_answered(200);
        ZonedLoad { loads: loads.into_iter().collect() }
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

    fn answered(&self, proxy: Member) -> f64 {
        let metrics = Metrics::parse(&self.role(proxy).get("/metrics").body);
        metrics.get("memtide_commands_total").expect("a proxy counts commands")
    }

    fn load_via<S: AsRef<str>>(&self, via: Via, words: &[S]) -> Verifying {
        let endpoint = match via {
            Via::Proxy(number) => {
                let host = self.hosts.address(Member::Proxy(number).host());
                format!("{via:?}={host}:{CLIENT_PORT}")
            }
            Via::Balancer => format!("{via:?}=localhost:{}", self.balancer.port()),
        };
        let program = self.hosts.command(Member::Clients.host(), &self.settings.program);
        let own = LOAD.into_iter().chain(["--server-name", "localhost"]);
        let words = own.chain(words.iter().map(AsRef::as_ref));
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
