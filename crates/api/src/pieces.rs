//! A long answer that many may ask for, handed on piece by piece as its peer takes it.

use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

/// The longest piece, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// A body whose bytes lie in memory once, for all who are sent it. Given to the framework whole, it is
/// copied for each connection, and who asks for it and reads nothing would hold all of it.
pub(crate) struct InPieces(Bytes);

impl InPieces {
    pub(crate) fn of(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl MessageBody for InPieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let piece_bytes = self.0.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(self.0.split_to(piece_bytes))))
    }
}

#[cfg(test)]
mod tests {
    use core::future::poll_fn;

    use actix_web::HttpResponse;
    use actix_web::rt::System;

    use super::*;

    #[test]
    fn all_of_it_comes_in_order_and_never_much_at_once() {
        System::new().block_on(async {
            for len in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES - 1] {
                let whole: Vec<u8> = (0..len)
                    .map(|place| (place * 31).to_le_bytes()[0])
                    .collect();
                // As a handler gives it to the framework, which must not put it together again.
                let answer = HttpResponse::Ok().body(InPieces::of(whole.clone().into()));
                let mut body = answer.into_body();
                assert_eq!(body.size(), BodySize::Sized(len as u64));
                let mut come = Vec::new();
                while let Some(piece) =
                    poll_fn(|context| body.as_pin_mut().poll_next(context)).await
                {
                    let piece = piece.unwrap();
                    assert!(piece.len() <= PIECE_BYTES, "{len}");
                    come.extend_from_slice(&piece);
                }
                assert!(come == whole, "{len}");
            }
        });
    }
}
