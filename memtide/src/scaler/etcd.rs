//! How this scaler is one of several.

use std::net::SocketAddr;

use memtide_etcd::Config;
use memtide_scaler::EtcdSettings;
use memtide_service::host;

use super::etcd_files::EtcdFiles;
use crate::failure::Failure;
use crate::settings::ScalerConfig;

/// Whether the files can be used that are to be shown to etcd.
///
/// # Errors
/// Which file cannot, and why.
pub fn check(config: &ScalerConfig) -> Result<(), Failure> {
    files(config).map(drop)
}

/// What is shown to etcd; `None` of one that is alone.
///
/// # Errors
/// Which file cannot be used, and why.
pub fn files(config: &ScalerConfig) -> Result<Option<EtcdFiles>, Failure> {
    let files = config.etcd.as_ref().map(EtcdFiles::load);
    files.transpose().map_err(Failure::environment)
}

/// As configured, with what is shown; `None` of one that is alone.
pub fn settings(
    config: &ScalerConfig,
    files: Option<&EtcdFiles>,
    admin: SocketAddr,
) -> Option<EtcdSettings> {
    let (given, files) = (config.etcd.as_ref()?, files?);
    let host = match (&config.advertise, config.bind) {
        (Some(host), _) => host.clone(),
        (None, Some(ip)) if !ip.is_unspecified() => ip.to_string(),
        (None, _) => host::name(),
    };
    let admin = match admin.ip().is_unspecified() {
        true => format!("{host}:{}", admin.port()),
        false => admin.to_string(),
    };
    let etcd = Config { endpoints: given.endpoints.clone(), access: files.access() };
    Some(EtcdSettings { etcd, prefix: given.prefix.clone(), host, admin })
}
