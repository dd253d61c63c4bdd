//! The world outside: sockets, tasks, verification threads, HTTP, metrics, configuration.
