use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Why the descriptors that are needed cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process may open {allowed} files (RLIMIT_NOFILE) and {needed} are needed")]
pub struct DescriptorsError {
    /// What was asked for.
    pub needed: u64,
    /// The hard limit.
    pub allowed: u64,
}

/// Raises the soft limit of open files to at least `needed`, and the hard one where the process may.
///
/// # Errors
/// When the hard limit is lower and the process may not raise it; the soft limit is then as high
/// as that.
pub fn raise_descriptors(needed: u64) -> Result<(), DescriptorsError> {
    let limit = getrlimit(Resource::Nofile);
    let holds = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if holds(limit.current) {
        return Ok(());
    }
    let wanted = if holds(limit.maximum) {
        Rlimit { current: Some(needed), maximum: limit.maximum }
    } else {
        Rlimit { current: Some(needed), maximum: Some(needed) }
    };
    if setrlimit(Resource::Nofile, wanted).is_ok() {
        return Ok(());
    }
    let all = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Whether or not this helps, the caller is told what there is.
    let _ = setrlimit(Resource::Nofile, all);
    Err(DescriptorsError { needed, allowed: limit.maximum.unwrap_or(u64::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_can_be_had_and_more_cannot() {
        let current = getrlimit(Resource::Nofile).current.unwrap_or(1024);
        assert_eq!(raise_descriptors(current), Ok(()));
        // Above fs.nr_open, which not even root may exceed.
        let needed = 1 << 40;
        assert!(raise_descriptors(needed).is_err_and(|error| error.needed == needed));
    }
}
