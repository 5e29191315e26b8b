//! zdu-doubles
