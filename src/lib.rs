//! The program: configuration, commands, the systems and the stores.

pub mod cli;
pub mod config;
pub mod maintenance;
pub mod run;
pub mod stores;
pub mod synthetic;
pub mod systems;
pub mod walk;
