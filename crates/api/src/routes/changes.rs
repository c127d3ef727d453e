//! Several changes out of one body: all of them, or none.

use keyledger_domain::{Command, Position, decide};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

impl App {
    /// Executes commands in this order, after asking the rules about each of them: where one would
    /// be refused, none is executed.
    ///
    /// Each is one record of its own, so a crash between two leaves the first done and the second
    /// not, and so does a change by somebody else in that moment which turns the second into a
    /// refusal.
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
