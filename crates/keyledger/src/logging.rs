//! Log lines: for people on a terminal, one JSON object a line otherwise. Always to standard error.
//!
//! No line holds a secret, whatever the level: ours name routes, not addresses, and what libraries
//! tell below a warning (of queries that could not be read, of headers) is not written at all.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::Metadata;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Config, LogFormat};

/// Begins to log.
///
/// # Errors
/// When the filter cannot be read.
pub(crate) fn begin(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| format!("the log filter \"{}\" is not right: {error}", config.log))?;
    write_lines(filter, config.log_format);
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Begins to log the warnings and errors of a command that is no server.
pub(crate) fn begin_warnings(format: Option<LogFormat>) {
    write_lines(EnvFilter::new("warn"), format);
}

fn write_lines(filter: EnvFilter, format: Option<LogFormat>) {
    let by_terminal = if std::io::stderr().is_terminal() {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format.unwrap_or(by_terminal) {
        LogFormat::Pretty => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // One filter, with a most verbose level: of two in a row, or of one that names none, everybody who
    // could log a line has to ask first, at every level.
    let ours = filter_fn(is_ours_or_warns).with_max_level_hint(LevelFilter::TRACE);
    let filter = filter.and(ours);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
}

/// Whether a line may be written. Libraries know nothing of secrets: at `debug` the web framework
/// repeats addresses and headers that it could not read.
fn is_ours_or_warns(line: &Metadata<'_>) -> bool {
    let target = line.target();
    *line.level() <= tracing::Level::WARN
        || target == "keyledger"
        || target.starts_with("keyledger::")
        || target.starts_with("keyledger_")
}

/// Tells where something panicked. What it said is told only where it stands in the source as it is:
/// words that were put together may hold what a request carried.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let words = panic.payload().downcast_ref::<&'static str>();
    let thread = std::thread::current();
    tracing::error!(
        place,
        words,
        thread = thread.name(),
        "this program has a fault: it panicked"
    );
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn n82_libraries_tell_nothing_below_a_warning_and_a_panic_only_its_place() {
        let written = Written::default();
        let writer = written.clone();
        let lines = fmt::layer().with_writer(move || writer.clone());
        let lines = tracing_subscriber::registry()
            .with(EnvFilter::new("trace"))
            .with(lines.with_filter(filter_fn(is_ours_or_warns)));
        tracing::subscriber::with_default(lines, || {
            tracing::debug!(target: "actix_web::types::query", "canary-1");
            tracing::trace!(target: "h2::codec", "canary-2");
            tracing::info!(target: "keyledgerish", "canary-3");
            tracing::warn!(target: "actix_server", "told-1");
            tracing::debug!(target: "keyledger_api::edge", "told-2");
            tracing::debug!(target: "keyledger::boot", "told-3");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        for told in ["told-1", "told-2", "told-3"] {
            assert!(text.contains(told), "{told} is missing in {text}");
        }
        assert!(!text.contains("canary"), "{text}");
    }
}
