//! Runs a plan: schedules builds and steps, asks the cache, emits events.

pub mod event;
