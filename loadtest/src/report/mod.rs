//! A run's result: the model, and how it is told.

mod model;

pub use model::*;
