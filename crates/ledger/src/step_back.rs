//! Who lets others go first: threads whose work no verification and no change waits for.

/// How far such a thread steps back, as in `nice(1)`: beside a thread that answers it gets a tenth of a core
/// that both want, and the whole of one that nobody wants.
const NICENESS: i32 = 10;

/// Lets the threads that answer go before this one, from now on.
///
/// Linux keeps a niceness for each thread, and for the calling one this needs no right. Where it is refused
/// all the same, the work is done as before: it is no matter of being right.
pub fn step_back() {
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_that_asks_steps_back() {
        let niceness = || rustix::process::getpriority_process(None).expect("it can be asked");
        let before = niceness();
        let stepped = std::thread::spawn(move || {
            step_back();
            niceness()
        });
        assert_eq!(stepped.join().expect("no panic"), NICENESS.max(before));
        assert_eq!(niceness(), before);
    }
}
