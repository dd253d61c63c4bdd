//! The event log as a stream that outlives connections.
//!
//! The stream remembers the number of the last event that it gave, and asks for what comes after
//! it, at this node or at any other one: numbers are the same everywhere. So no event is missed and
//! none is given twice, whatever happens to a connection.

use std::collections::VecDeque;

use futures_util::Stream;
use futures_util::stream;
use reqwest::Response;
use reqwest::Url;

use crate::Client;
use crate::ClientError;
use crate::api::Event;
use crate::api::EventQuery;
use crate::backoff::Backoff;
use crate::http::decode;
use crate::http::malformed;
use crate::http::unreachable;
use crate::http::within;
use crate::sse::EVENT_BYTES_MAX;
use crate::sse::Splitter;

/// One reader of the event log.
struct Reader {
    client: Client,
    query: EventQuery,
    connection: Option<Connection>,
    ready: VecDeque<Event>,
    backoff: Backoff,
    ended: bool,
}

/// One connection's stream of bytes.
struct Connection {
    response: Response,
    splitter: Splitter,
}

impl Client {
    /// `GET /v1/events`: everything after `query.after`, then what happens, without an end. A lost
    /// connection, a busy node and a node that restarts are waited out, with growing pauses; an
    /// error that waiting does not heal is given, and ends the stream.
    ///
    /// Dropping the stream, or a pending wait on it, loses nothing: start again after the last
    /// event's number.
    pub fn events(
        &self,
        query: EventQuery,
    ) -> impl Stream<Item = Result<Event, ClientError>> + Send + use<> {
        let reader = Reader {
            client: self.clone(),
            query,
            connection: None,
            ready: VecDeque::new(),
            backoff: Backoff::default(),
            ended: false,
        };
        stream::unfold(reader, async |mut reader| {
            if reader.ended {
                return None;
            }
            let event = reader.next().await;
            reader.ended = event.is_err();
            Some((event, reader))
        })
    }
}

impl Reader {
    async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.query.after = event.sequence;
                return Ok(event);
            }
            match self.advance().await {
                Ok(()) => {}
                Err(error) if error.is_passing() => {
                    self.connection = None;
                    tokio::time::sleep(self.backoff.next_pause()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Connects, or reads one piece of the connection that stands.
    async fn advance(&mut self) -> Result<(), ClientError> {
        let url = self.url();
        let Some(connection) = &mut self.connection else {
            let response = self.client.open_stream(&url, self.query.after).await?;
            self.connection = Some(Connection { response, splitter: Splitter::default() });
            return Ok(());
        };
        let chunk =
            async { connection.response.chunk().await.map_err(|error| unreachable(&url, &error)) };
        let silence = self.client.deadlines().silence;
        let Some(chunk) = within(&url, silence, chunk).await? else {
            let reason = "the node closed the stream of events".to_owned();
            return Err(ClientError::Unreachable { url: url.to_string(), reason });
        };
        let events = connection.splitter.push(&chunk).map_err(|_| ClientError::TooLarge {
            url: url.to_string(),
            limit_bytes: EVENT_BYTES_MAX,
        })?;
        for data in events {
            let event: Event = decode(&url, &data)?;
            let last = self.ready.back().map_or(self.query.after, |event| event.sequence);
            if event.sequence <= last {
                let reason = format!("event {} came after event {last}", event.sequence);
                return Err(malformed(&url, reason));
            }
            self.ready.push_back(event);
            self.backoff.reset();
        }
        Ok(())
    }

    fn url(&self) -> Url {
        let EventQuery { after, scripthash, txid, kind } = &self.query;
        let mut url = self.client.route("/v1/events");
        {
            let mut pairs = url.query_pairs_mut();
            pairs.append_pair("after", &after.to_string());
            if let Some(scripthash) = scripthash {
                pairs.append_pair("scripthash", scripthash);
            }
            if let Some(txid) = txid {
                pairs.append_pair("txid", &txid.to_string());
            }
            if let Some(kind) = kind {
                pairs.append_pair("kind", kind.as_str());
            }
        }
        url
    }
}
