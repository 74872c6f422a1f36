//! The doors of Accede: the APIs, the portal and the command line.

pub mod api;
pub mod auth;
pub mod portal;
