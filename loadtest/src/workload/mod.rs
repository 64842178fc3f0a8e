//! What is asked, and when: pure, with every random choice from a seed.
//!
//! - [`quantity`]: numbers, sizes, times and rates as they are written on the command line.
//! - [`Profile`] and [`Arrivals`]: when requests are due.
//! - [`KeyNames`], [`ValueSizes`], [`Popularity`], [`Mix`]: which keys, of what size, how often, and
//!   what is done to them; [`Shape`]: defaults of these from published caches.
//! - [`LoadSettings`]: the flags drawn together; [`LoadTraffic`] asks by them, [`Fill`] stores every
//!   key once before.
//! - [`trace`]: requests that were recorded.
//!
//! The keys of a run are the ids 0 to `--keys` - 1. Name, sizes and popularity of an id are
//! functions of the id alone, the same in every run whatever its seed: what one run has filled,
//! another can ask for.

mod arrivals;
mod fill;
mod load;
mod mix;
mod names;
mod popularity;
mod profile;
pub mod quantity;
mod random;
mod settings;
mod shape;
mod sizes;
pub mod trace;
mod values;

pub use arrivals::{Arrivals, Spacing, SpacingError};
pub use fill::{Fill, FillRequest};
pub use load::{LoadRequest, LoadTraffic};
pub use mix::{Mix, MixError};
pub use names::{KeyNames, KeyNamesError};
pub use popularity::{Popularity, PopularityError, PopularitySampler};
pub use profile::{Profile, ProfileError, ProfileStep};
pub use random::{RunRng, rng};
pub use settings::{LoadSettings, SettingsError, SettingsProblem};
pub use shape::{Shape, ShapeError};
pub use sizes::{KEY_BYTES_MAX, KeySizes, SizesError, VALUE_BYTES_MAX, ValueSizes};
