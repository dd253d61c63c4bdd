//! Applies commits to Bitcoin-format state, owns mempool rules and seals blocks.
