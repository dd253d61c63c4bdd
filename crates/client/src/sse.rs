//! Server-sent events, as much of the format as our nodes speak: lines of `field: value`, an empty
//! line ends an event, a line that starts with a colon is a sign of life.
//!
//! Source: the WHATWG HTML standard, 9.2.6, Interpreting an event stream. A line may end in a line
//! feed or in a carriage return and a line feed.

/// The longest event that is taken.
pub(crate) const EVENT_BYTES_MAX: usize = 256 * 1_024;

/// Cuts a stream of bytes into the data of events. What is left over waits for more bytes.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
}

/// An event is longer than [`EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Splitter {
    /// Takes bytes and gives the data of every event that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut events = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.grow(piece)?;
            if pieces.peek().is_some() {
                let line = std::mem::take(&mut self.line);
                if let Some(event) = self.take_line(&line) {
                    events.push(event);
                }
            }
        }
        Ok(events)
    }

    fn grow(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        let held = self.line.len().saturating_add(self.data.len());
        if held.saturating_add(piece.len()) > EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    /// Takes one whole line; an empty one completes the event, if it has data.
    fn take_line(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return std::mem::take(&mut self.has_data).then_some(data);
        }
        let value = line.strip_prefix(b"data:")?;
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_however_the_bytes_are_cut() {
        let stream =
            b": hello\nid: 1\nevent: block\ndata: {\"a\":\ndata: 1}\n\r\n\n:\ndata:x\r\n\r\n";
        let expected = vec![b"{\"a\":\n1}".to_vec(), b"x".to_vec()];
        for cut in 0..stream.len() {
            let mut splitter = Splitter::default();
            let mut events = splitter.push(&stream[..cut]).unwrap();
            events.extend(splitter.push(&stream[cut..]).unwrap());
            assert_eq!(events, expected, "cut at {cut}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_taken_for_ever() {
        let mut splitter = Splitter::default();
        let line = vec![b'a'; EVENT_BYTES_MAX / 2];
        assert_eq!(splitter.push(&line), Ok(Vec::new()));
        assert_eq!(splitter.push(&line), Ok(Vec::new()));
        assert_eq!(splitter.push(b"a"), Err(TooLong));
    }
}
