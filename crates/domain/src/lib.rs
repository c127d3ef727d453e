//! (room being furnished)

mod position;

pub use position::Position;
