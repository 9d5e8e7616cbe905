//! Numbers that look random, the same on every machine.

/// Marsaglia's xorshift with 32 bits; its state is never zero.
pub struct Random(pub u32);

impl Random {
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        (u64::from(self.next()) * u64::from(end) >> 32) as u32
    }
}
