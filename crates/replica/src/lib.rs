//! One validator as one deterministic machine: joins the cores, fetch, retry, catch-up.
