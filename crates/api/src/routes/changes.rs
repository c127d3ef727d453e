//! Several changes out of one body.

use keyledger_domain::{Command, Position, decide};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

impl App {
    /// Executes commands in this order. Each is asked about on the present state before the first
    /// is carried out, but is a record of its own: a crash or another caller in between can leave
    /// the first done and the rest not.
    ///
    /// # Errors
    /// The first refusal, or that nothing can be changed now.
    pub(crate) async fn execute_all(
        &self,
        caller: &Caller,
        commands: Vec<Command>,
    ) -> Result<Position, Problem> {
        let mut position = {
            let (directory, now) = (self.directory(), self.now());
            for command in &commands {
                decide(&directory, caller.authority(), command.clone(), now)?;
            }
            directory.position()
        };
        for command in commands {
            position = self.execute(caller, command).await?.position;
        }
        Ok(position)
    }
}
