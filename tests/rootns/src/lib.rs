//! Helpers of the rootns tier.
