//! The code that lets the first owner in, on a server that nobody has set up yet.

use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// A one-time code, or none once the server is set up. Whoever has it becomes the first owner.
///
/// There is no default account, whose password all the world would know: without the code there is
/// no way in.
pub struct SetUpCode(Mutex<Option<Waiting>>);

struct Waiting {
    code: Zeroizing<String>,
    when_spent: Box<dyn FnOnce() + Send>,
}

impl SetUpCode {
    /// The server waits for its first owner, who shows this code; `when_spent` runs once they are
    /// there, and takes away what the code was written to.
    pub fn waiting(code: String, when_spent: impl FnOnce() + Send + 'static) -> Self {
        let when_spent = Box::new(when_spent);
        Self(Mutex::new(Some(Waiting {
            code: Zeroizing::new(code),
            when_spent,
        })))
    }

    /// The server has its owner.
    pub const fn used() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether this is the code.
    ///
    /// # Errors
    /// 404, the same for a wrong code and for a server that is set up.
    pub(crate) fn check(&self, shown: &str) -> Result<(), Problem> {
        let waiting = self.0.lock();
        let matches = waiting
            .as_ref()
            .is_some_and(|waiting| bool::from(waiting.code.as_bytes().ct_eq(shown.as_bytes())));
        if matches {
            Ok(())
        } else {
            Err(Problem::not_found())
        }
    }

    /// The first owner is there: the code is good no longer.
    pub(crate) fn spend(&self) {
        let waiting = self.0.lock().take();
        if let Some(waiting) = waiting {
            (waiting.when_spent)();
        }
    }

    /// Whether the server still waits for its first owner.
    pub fn is_waiting(&self) -> bool {
        self.0.lock().is_some()
    }
}
