//! What was answered is kept: through `kill -9`, through power cuts, through a stop; and the ledger
//! verifies afterwards.
//!
//! These tests start and break servers of their own. `KEYLEDGER_KILLS` and `KEYLEDGER_CUTS` say how
//! often, `KEYLEDGER_SEED` repeats a run.

mod books;
mod disk_full;
mod kills;
mod power_cuts;
mod stop;
mod sync_order;
mod writers;
