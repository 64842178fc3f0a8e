//! Admin HTTP.
mod cache;
pub use self::cache::{
    Cache, CacheDescription, CacheLimits, CacheState, CacheUsage, Endpoint, Range,
};
