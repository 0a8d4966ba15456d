//! The worker against a world in memory: every crash point, random histories, months in seconds.

mod ca;
mod crash;
mod matrix;
mod months;
mod others;
mod random;
mod waiting;
mod world;
