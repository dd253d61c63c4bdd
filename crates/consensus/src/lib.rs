//! Verified vertices and coin shares become one order of commits; pure, no clock.
