//! Request, event and error types of the API and a typed async client.
