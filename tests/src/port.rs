use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// First port that is tried, and how many follow it. They lie below the range from which Linux
/// takes the near ends of outgoing connections: else a client that calls a server just killed could
/// be given the server's own port, and speak to itself.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A loopback port that nobody listens on now.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run side by side begin at different places.
    let offset = u16::try_from((std::process::id().wrapping_mul(97)) % u32::from(COUNT))
        .expect("below COUNT");
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST
            + u16::try_from((u32::from(offset) + u32::from(step)) % u32::from(COUNT))
                .expect("below COUNT");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!(
        "no free loopback port between {FIRST} and {}",
        FIRST + COUNT
    );
}
