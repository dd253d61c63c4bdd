//! Answers to peers that lack vertices, straight from the store and off the core's thread.
//!
//! **Invariant:** one answer costs a bounded read and is at most
//! [`MESSAGE_BYTES_MAX`](crate::wire::MESSAGE_BYTES_MAX) long, whatever was asked.

use bytes::Bytes;
use types::Round;
use types::VertexRef;
use types::table::TableFault;
use types::table::TableRead;

use crate::tables;
use crate::wire::FETCH_VERTICES_MAX;
use crate::wire::FetchRounds;
use crate::wire::Message;
use crate::wire::RANGE_ROUNDS_MAX;
use crate::wire::RANGE_VERTICES_MAX;
use crate::wire::Range;
use crate::wire::SERVED_BYTES_MAX;

/// Rows that the first read of a range takes; it grows while rows turn out small.
const PAGE_ROWS_MIN: usize = 4;
const PAGE_ROWS_MAX: usize = 256;
const PAGE_BYTES_SMALL: usize = 64 * 1024;

/// What a peer asks of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Vertices by name.
    Vertices(Vec<VertexRef>),
    /// All vertices of some rounds.
    Rounds(FetchRounds),
}

/// Answers a request with what the store holds. Vertices that it does not hold are left out.
///
/// # Errors
/// When the store fails.
pub fn serve(read: &dyn TableRead, request: &Request) -> Result<Message, TableFault> {
    match request {
        Request::Vertices(references) => serve_vertices(read, references),
        Request::Rounds(rounds) => serve_rounds(read, rounds),
    }
}

fn serve_vertices(read: &dyn TableRead, references: &[VertexRef]) -> Result<Message, TableFault> {
    let mut vertices = Vec::new();
    let mut bytes = 0;
    for reference in references.iter().take(FETCH_VERTICES_MAX) {
        if bytes >= SERVED_BYTES_MAX {
            break;
        }
        if let Some(vertex) = tables::vertex(read, reference)? {
            bytes += vertex.len();
            vertices.push(vertex);
        }
    }
    Ok(Message::Vertices(vertices))
}

fn serve_rounds(read: &dyn TableRead, request: &FetchRounds) -> Result<Message, TableFault> {
    let until = request.until.min(request.from.round.saturating_add(RANGE_ROUNDS_MAX));
    let mut vertices = Vec::new();
    let next = collect(read, request.from, until, &mut vertices)?;
    let end = next.map_or(until, |next| next.round.next().min(until));
    let limit = usize::try_from(RANGE_ROUNDS_MAX).unwrap_or(usize::MAX);
    let coins = tables::coins(read, request.from.round, end, limit)?;
    Ok(Message::Range(Range { from: request.from, next, coins, vertices }))
}

/// Adds vertices until the answer is full, and then says where the next one stands.
fn collect(
    read: &dyn TableRead,
    from: VertexRef,
    until: Round,
    vertices: &mut Vec<Bytes>,
) -> Result<Option<VertexRef>, TableFault> {
    let mut from = tables::vertex_key(&from);
    let mut rows = PAGE_ROWS_MIN;
    let mut bytes = 0;
    loop {
        let page = tables::vertices_from(read, &from, rows)?;
        let is_last = page.len() < rows;
        let before = bytes;
        for (key, vertex) in page {
            let reference = tables::vertex_of_key(&key)?;
            if reference.round >= until {
                return Ok(None);
            }
            if bytes >= SERVED_BYTES_MAX || vertices.len() >= RANGE_VERTICES_MAX {
                return Ok(Some(reference));
            }
            bytes += vertex.len();
            vertices.push(vertex);
            // The key that follows directly: scans start at the first one that is not below.
            from.clear();
            from.extend_from_slice(&key);
            from.push(0);
        }
        if is_last {
            return Ok(None);
        }
        if bytes - before < PAGE_BYTES_SMALL {
            rows = (rows * 2).min(PAGE_ROWS_MAX);
        }
    }
}

#[cfg(test)]
mod tests;
