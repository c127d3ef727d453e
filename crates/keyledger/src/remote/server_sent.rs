//! Server-sent events (WHATWG HTML §9.2), with the fields that a ledger is followed by.

use std::io::{self, BufRead, Read as _};

/// The longest event that is taken, in bytes. One that names six thousand keys has some hundred thousand.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Something that was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerSent {
    /// Behind what to go on after an end: the last `id` so far.
    pub(crate) id: String,
    /// What it says; nothing where only the `id` was told.
    pub(crate) data: String,
}

/// What is sent, event by event.
pub(super) struct ServerSentEvents<R> {
    from: R,
    id: String,
}

impl<R: BufRead> ServerSentEvents<R> {
    pub(super) fn of(from: R) -> Self {
        Self {
            from,
            id: String::new(),
        }
    }

    /// The next one, once it is whole; `None` at the end. What the end cut off was not sent.
    ///
    /// # Errors
    /// If nothing can be read, or what is read is no text or has no end.
    pub(super) fn next(&mut self) -> io::Result<Option<ServerSent>> {
        let mut data: Option<String> = None;
        let mut is_told = false;
        let mut bytes = 0;
        loop {
            let mut line = String::new();
            let room = EVENT_BYTES_MAX.saturating_sub(bytes);
            let limit = u64::try_from(room).unwrap_or(u64::MAX);
            bytes += self.from.by_ref().take(limit).read_line(&mut line)?;
            if !line.ends_with('\n') {
                let is_endless = bytes == EVENT_BYTES_MAX;
                return if is_endless {
                    Err(io::ErrorKind::FileTooLarge.into())
                } else {
                    Ok(None)
                };
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if is_told {
                    return Ok(Some(ServerSent {
                        id: self.id.clone(),
                        data: data.unwrap_or_default(),
                    }));
                }
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "data" => match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => data = Some(value.to_owned()),
                },
                "id" => value.clone_into(&mut self.id),
                _ => continue,
            }
            is_told = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(String, String)> {
        let mut events = ServerSentEvents::of(text.as_bytes());
        let next = || events.next().unwrap().map(|event| (event.id, event.data));
        std::iter::from_fn(next).collect()
    }

    fn pair(id: &str, data: &str) -> (String, String) {
        (id.to_owned(), data.to_owned())
    }

    #[test]
    fn events_are_told_whole_and_with_the_last_id() {
        let text = "retry: 2000\n: here\n\nid: 7\ndata: {\"a\":1}\n\ndata:x\r\ndata: y\r\n\r\n\
                    : here\nid: 9\n\nid: 10\ndata: cut off";
        let expected = [pair("7", "{\"a\":1}"), pair("7", "x\ny"), pair("9", "")];
        assert_eq!(all(text), expected);
        assert!(all("").is_empty() && all("\n\n:\n\n").is_empty());
    }

    #[test]
    fn an_event_without_end_is_not_waited_for() {
        let endless = format!("data: {}", "x".repeat(EVENT_BYTES_MAX));
        assert!(ServerSentEvents::of(endless.as_bytes()).next().is_err());
        let endless = "data: x\n".repeat(EVENT_BYTES_MAX / 8 + 1);
        assert!(ServerSentEvents::of(endless.as_bytes()).next().is_err());
    }
}
