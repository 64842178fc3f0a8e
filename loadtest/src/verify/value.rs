/// The name of a key of a run.
#[must_use]
pub fn key_name(seed: u64, key: u32) -> String {
    format!("v{seed:016x}-{key}")
}
