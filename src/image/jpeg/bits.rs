//! The bits of a scan and the codes they spell.
//!
//! Promises that no bit is made up: where the data end before what is asked for, the answer is `None`.

/// A prefix code: which symbol each sequence of bits stands for.
#[derive(Clone)]
pub(super) struct Codes {
    /// By the next [`SHORT`] bits: a symbol and its length, or length 0 where the code is longer.
    short: Box<[(u8, u8); 1 << SHORT]>,
    /// For each length: the first 16-bit number, as a code is followed by zeros, that is beyond its codes.
    ends: [u32; 17],
    /// For each length: what to add to a code for its place among the symbols.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// The bits of a scan, up to the next marker.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Of the next byte to load.
    at: usize,
    /// The next bit is the highest; below the `count` loaded ones are zeros.
    loaded: u64,
    count: u32,
}

/// Bits that are looked up at once; nearly all codes in use are no longer.
const SHORT: u32 = 10;

/// Bits that a code and the value behind it have at most.
const LONGEST: u32 = 32;

impl Codes {
    /// The code with `counts[i]` symbols of `i + 1` bits; `None` if there are more than that many bits can tell apart.
    ///
    /// The standard reserves the code of ones only; files that use it are read all the same.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Codes> {
        let mut short = Box::new([(0, 0); 1 << SHORT]);
        let (mut ends, mut offsets) = ([0; 17], [0; 17]);
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                if code >= 1 << length {
                    return None;
                }
                if length <= SHORT {
                    let spare = SHORT - length;
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

    /// The symbol that the highest of 16 bits spell, and its length.
    #[inline]
    fn symbol(&self, next: u32) -> Option<(u8, u32)> {
        let (symbol, length) = self.short[(next >> (16 - SHORT)) as usize];
        if length > 0 {
            return Some((symbol, u32::from(length)));
        }
        self.long_symbol(next)
    }

    #[inline(never)]
    fn long_symbol(&self, next: u32) -> Option<(u8, u32)> {
        let length = (SHORT + 1..=16).find(|&length| next < self.ends[length as usize])?;
        let place = (next >> (16 - length)) as i32 + self.offsets[length as usize];
        Some((*self.symbols.get(usize::try_from(place).ok()?)?, length))
    }
}

impl<'a> Bits<'a> {
    /// The bits from the byte `at`.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Bits<'a> {
        Bits { bytes, at, loaded: 0, count: 0 }
    }

    /// The next symbol of `codes`.
    #[inline]
    pub(super) fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        let (symbol, length) = self.next(codes)?;
        self.skip(length)?;
        Some(symbol)
    }

    /// The next symbol of `codes`, and passes over the value behind it, whose length is the symbol's lower half.
    #[inline]
    pub(super) fn symbol_without_value(&mut self, codes: &Codes) -> Option<u8> {
        let (symbol, length) = self.next(codes)?;
        self.skip(length + u32::from(symbol & 15))?;
        Some(symbol)
    }

    /// The next symbol and its length; the value behind it is loaded as well, if there is one.
    #[inline]
    fn next(&mut self, codes: &Codes) -> Option<(u8, u32)> {
        if self.count < LONGEST {
            self.load();
        }
        codes.symbol((self.loaded >> 48) as u32)
    }

    /// The number in the next `length` bits, at most 15 of them, after a symbol: the lower half of them are negative.
    #[inline]
    pub(super) fn value(&mut self, length: u32) -> Option<i32> {
        let bits = (self.loaded >> 1 >> (63 - length)) as i32;
        self.skip(length)?;
        Some(if bits < (1 << length) >> 1 { bits - (1 << length) + 1 } else { bits })
    }

    /// The next DC coefficient, of which a code and a value tell the difference to the `last` one.
    #[inline]
    pub(super) fn difference(&mut self, codes: &Codes, last: i32) -> Option<i32> {
        let length = self.symbol(codes)?;
        // Damaged data may add up to anything.
        if length <= 11 { self.value(u32::from(length)).map(|value| last.wrapping_add(value)) } else { None }
    }

    /// Passes over bits that are loaded.
    #[inline]
    fn skip(&mut self, length: u32) -> Option<()> {
        self.count = self.count.checked_sub(length)?;
        self.loaded <<= length;
        Some(())
    }

    /// The next `length` bits, at most 16 of them, as a number.
    #[inline]
    pub(super) fn number(&mut self, length: u32) -> Option<u32> {
        if self.count < length {
            self.load();
        }
        let bits = (self.loaded >> 1 >> (63 - length)) as u32;
        self.skip(length)?;
        Some(bits)
    }

    /// Goes beyond the marker `FF code`, which must be next but for the bits that fill the last byte.
    pub(super) fn restart(&mut self, code: u8) -> Option<()> {
        self.load();
        // Any number of `FF` may precede a marker's own.
        while self.bytes.get(self.at..self.at + 2)? == [0xFF, 0xFF] {
            self.at += 1;
        }
        if self.count >= 8 || self.bytes.get(self.at..self.at + 2)? != [0xFF, code] {
            return None;
        }
        *self = Bits::new(self.bytes, self.at + 2);
        Some(())
    }

    /// Where the next marker is, and how many bytes other than zero lie before it.
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

    /// Byte by byte: a zero behind `FF` only tells that this is no marker.
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
