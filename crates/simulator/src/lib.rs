//! Virtual clock, network and disk under the same replica, with independent checkers.
