//! The worker against a world in memory: every crash point, random histories, months in seconds.

mod agree;
mod by_orders;
mod ca;
mod clients;
mod crash;
mod forecast;
mod issuing;
mod lapse;
mod matrix;
mod months;
mod others;
mod persistent;
mod random;
mod shape;
mod waiting;
mod world;
