//! Bit reader and Huffman decoder of a scan.
//!
//! It never invents bits: a read past the end of the data returns `None`.

/// A Huffman code: maps bit sequences to symbols.
#[derive(Clone)]
pub(super) struct Codes {
    /// Indexed by the next [`LOOKUP_BITS`] bits: symbol and length; length 0 if the code is longer.
    short: Box<[(u8, u8); 1 << LOOKUP_BITS]>,
    /// For each length: the first left-aligned 16-bit value beyond the codes of that length.
    ends: [u32; 17],
    /// For each length: the offset from a code to the index of its symbol.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// The bits of a scan up to the next marker.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Index of the next byte to load.
    at: usize,
    /// The next bit is the most significant. Bits below the `count` loaded ones are zero.
    loaded: u64,
    count: u32,
}

/// Bits per table lookup; nearly all codes in use are at most this long.
const LOOKUP_BITS: u32 = 10;

/// Maximum bits of a code and its value.
const MAX_BITS: u32 = 32;

impl Codes {
    /// Builds the code with `counts[i]` symbols of `i + 1` bits; `None` if the counts are impossible.
    ///
    /// The standard reserves the all-ones code; files that use it are accepted.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Codes> {
        let mut short = Box::new([(0, 0); 1 << LOOKUP_BITS]);
        let (mut ends, mut offsets) = ([0; 17], [0; 17]);
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                if code >= 1 << length {
                    return None;
                }
                if length <= LOOKUP_BITS {
                    let spare = LOOKUP_BITS - length;
                    let same = (code as usize) << spare..(code as usize + 1) << spare;
                    short[same].fill((*symbols.get(place)?, length as u8));
                }
                (code, place) = (code + 1, place + 1);
            }
            ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(Codes { short, ends, offsets, symbols: symbols.to_vec() })
    }

    /// The symbol and length of the code at the start of 16 bits.
    #[inline]
    fn symbol(&self, next: u32) -> Option<(u8, u32)> {
        let (symbol, length) = self.short[(next >> (16 - LOOKUP_BITS)) as usize];
        if length > 0 {
            return Some((symbol, u32::from(length)));
        }
        self.long_symbol(next)
    }

    #[inline(never)]
    fn long_symbol(&self, next: u32) -> Option<(u8, u32)> {
        let length = (LOOKUP_BITS + 1..=16).find(|&length| next < self.ends[length as usize])?;
        let place = (next >> (16 - length)) as i32 + self.offsets[length as usize];
        Some((*self.symbols.get(usize::try_from(place).ok()?)?, length))
    }
}

impl<'a> Bits<'a> {
    /// Starts at byte `at`.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Bits<'a> {
        Bits { bytes, at, loaded: 0, count: 0 }
    }

    /// Reads a symbol of `codes`.
    #[inline]
    pub(super) fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        let (symbol, length) = self.next(codes)?;
        self.skip(length)?;
        Some(symbol)
    }

    /// Reads a symbol of `codes` and skips the value after it, whose length is the symbol's low nibble.
    #[inline]
    pub(super) fn symbol_without_value(&mut self, codes: &Codes) -> Option<u8> {
        let (symbol, length) = self.next(codes)?;
        self.skip(length + u32::from(symbol & 15))?;
        Some(symbol)
    }

    /// Looks up the next symbol and its length. The value after it is loaded too, if there is one.
    #[inline]
    fn next(&mut self, codes: &Codes) -> Option<(u8, u32)> {
        if self.count < MAX_BITS {
            self.load();
        }
        codes.symbol((self.loaded >> 48) as u32)
    }

    /// Reads the value of `length` bits, at most 15, after a symbol. The lower half of the range maps to negative
    /// numbers.
    #[inline]
    pub(super) fn value(&mut self, length: u32) -> Option<i32> {
        let bits = (self.loaded >> 1 >> (63 - length)) as i32;
        self.skip(length)?;
        Some(if bits < (1 << length) >> 1 { bits - (1 << length) + 1 } else { bits })
    }

    /// Reads a DC coefficient, coded as the difference from `last`.
    #[inline]
    pub(super) fn difference(&mut self, codes: &Codes, last: i32) -> Option<i32> {
        let length = self.symbol(codes)?;
        // Damaged data may overflow.
        if length <= 11 { self.value(u32::from(length)).map(|value| last.wrapping_add(value)) } else { None }
    }

    /// Skips loaded bits.
    #[inline]
    fn skip(&mut self, length: u32) -> Option<()> {
        self.count = self.count.checked_sub(length)?;
        self.loaded <<= length;
        Some(())
    }

    /// Reads `length` bits, at most 16, as an unsigned number.
    #[inline]
    pub(super) fn number(&mut self, length: u32) -> Option<u32> {
        if self.count < length {
            self.load();
        }
        let bits = (self.loaded >> 1 >> (63 - length)) as u32;
        self.skip(length)?;
        Some(bits)
    }

    /// Skips the marker `FF code`, which must follow, apart from the bits that pad the last byte.
    pub(super) fn restart(&mut self, code: u8) -> Option<()> {
        self.load();
        // Any number of `FF` fill bytes may precede a marker.
        while self.bytes.get(self.at..self.at + 2)? == [0xFF, 0xFF] {
            self.at += 1;
        }
        if self.count >= 8 || self.bytes.get(self.at..self.at + 2)? != [0xFF, code] {
            return None;
        }
        *self = Bits::new(self.bytes, self.at + 2);
        Some(())
    }

    /// Offset of the next marker, and the number of nonzero bytes before it.
    pub(super) fn rest(mut self) -> (usize, usize) {
        let mut stray = 0;
        self.loaded <<= self.count % 8;
        self.count -= self.count % 8;
        loop {
            self.load();
            if self.count == 0 {
                return (self.at, stray);
            }
            stray += usize::from(self.loaded >> 56 != 0);
            self.loaded <<= 8;
            self.count -= 8;
        }
    }

    #[inline]
    fn load(&mut self) {
        if let Some(&next) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<4>())
            && !next.contains(&0xFF)
            && self.count <= 32
        {
            self.loaded |= u64::from(u32::from_be_bytes(next)) << (32 - self.count);
            (self.count, self.at) = (self.count + 32, self.at + 4);
            return;
        }
        self.load_carefully();
    }

    /// Loads byte by byte: a zero after `FF` is stuffing and marks a data byte.
    #[inline(never)]
    fn load_carefully(&mut self) {
        while self.count <= 56 {
            let size = match self.bytes.get(self.at..).unwrap_or_default() {
                [0xFF, 0, ..] => 2,
                [0xFF, ..] | [] => return,
                _ => 1,
            };
            self.loaded |= u64::from(self.bytes[self.at]) << (56 - self.count);
            (self.count, self.at) = (self.count + 8, self.at + size);
        }
    }
}
