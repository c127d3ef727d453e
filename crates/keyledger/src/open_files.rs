//! How many connections the system lets us have: each is an open file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the ledger, the logs and the listening sockets need of the open files.
const OTHERS: usize = 256;

/// Raises the limit on open files as far as this many connections need and the system allows, and
/// gives the number of connections there is room for. Without it a few hundred idle connections
/// would leave none for anybody else: the usual limit is 1,024 files.
pub(crate) fn make_room_for(connections: usize) -> usize {
    let before = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(connections.saturating_add(OTHERS)).unwrap_or(u64::MAX);
    let most = before.maximum.unwrap_or(u64::MAX);
    let raised = wanted.min(most);
    if before.current.is_some_and(|current| current < raised) {
        let limit = Rlimit {
            current: Some(raised),
            maximum: before.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit on open files could not be raised");
        }
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = fitting(connections, allowed);
    if room < connections {
        tracing::warn!(
            wanted = connections,
            room,
            open_files = allowed,
            "the limit on open files has room for fewer connections than max_connections says"
        );
    }
    room
}

/// How many of these connections so many open files have room for; never none.
fn fitting(connections: usize, open_files: u64) -> usize {
    let room = usize::try_from(open_files)
        .unwrap_or(usize::MAX)
        .saturating_sub(OTHERS);
    connections.min(room.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_other_files() {
        assert_eq!(fitting(20_000, 1_048_576), 20_000);
        assert_eq!(fitting(20_000, 1_024), 768);
        assert_eq!(fitting(100, u64::MAX), 100);
        assert_eq!(fitting(100, 10), 1);
    }
}
