use anyhow::{anyhow, bail};

use super::Target;

/// Gives the processes of `--server-pid [NAME=]PID` to the endpoints of these names.
pub(super) fn give(words: &[String], targets: &mut [Target]) -> anyhow::Result<()> {
    for word in words {
        let (name, pid) = match word.split_once('=') {
            Some((name, pid)) => (Some(name), pid),
            None => (None, word.as_str()),
        };
        let target = match (name, &mut *targets) {
            (None, [target]) => target,
            (None, _) => bail!("--server-pid {word}: whose? give NAME={word}"),
            (Some(name), targets) => targets
                .iter_mut()
                .find(|it| it.run.endpoint.name == name)
                .ok_or_else(|| anyhow!("--server-pid {word}: no --endpoint is called {name}"))?,
        };
        for pid in pid.split(',') {
            let pid = pid.parse().ok().filter(|&pid| pid > 0);
            let pid = pid.ok_or_else(|| anyhow!("--server-pid {word}: give a process id"))?;
            target.server_pids.push(pid);
        }
    }
    Ok(())
}
