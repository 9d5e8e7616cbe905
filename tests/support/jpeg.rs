//! Writes JPEG files of every kind, from made-up coefficients: what other encoders never write, decoders meet all the same.
//!
//! All of it is arithmetic of whole numbers, so that the files are the same on every machine.

use std::iter::zip;

use super::random::Random;

/// A file to be written; every field may be anything.
#[derive(Clone)]
pub struct Jpeg {
    pub size: (u16, u16),
    /// The frame's marker: 0xC0 baseline, 0xC1 extended, 0xC2 progressive.
    pub frame: u8,
    pub precision: u8,
    pub components: Vec<Component>,
    pub scans: Vec<Scan>,
    /// Units between restart markers.
    pub restart: u16,
    /// Quantization tables by number; steps above 255 are written with 16 bits.
    pub steps: Vec<[u16; 64]>,
    pub huffman: Huffman,
    /// Applications' segments, before all others.
    pub applications: Vec<(u8, Vec<u8>)>,
    /// Bytes before every marker but the first.
    pub stray: Vec<u8>,
    /// One nonzero coefficient in so many.
    pub sparsity: u32,
    /// Blocks differ little from one to the next, instead of in everything.
    pub smooth: bool,
    pub seed: u32,
}

#[derive(Clone, Copy)]
pub struct Component {
    pub name: u8,
    pub sampling: (u8, u8),
    pub steps: u8,
}

/// Its components by their index, the first and last coefficient, and the lowest bit known before and after.
#[derive(Clone)]
pub struct Scan {
    pub components: Vec<usize>,
    pub band: (usize, usize),
    pub bits: (u32, u32),
}

/// Which Huffman tables a file has.
#[derive(Clone, Copy, PartialEq)]
pub enum Huffman {
    /// The standard's: number 0 for the first component, 1 for the others.
    Standard,
    /// The same, but not written.
    Missing,
    /// One for each component, with a code for every symbol.
    Flat,
}

/// Counts of codes by their length, and symbols.
type Table = (Vec<u8>, Vec<u8>);

impl Jpeg {
    /// A baseline file with one interleaved scan.
    pub fn new(size: (u16, u16), components: Vec<Component>) -> Jpeg {
        let scans = vec![Scan::of((0..components.len()).collect())];
        Jpeg {
            size,
            frame: 0xC0,
            precision: 8,
            components,
            scans,
            restart: 0,
            steps: vec![steps(3), steps(5)],
            huffman: Huffman::Standard,
            applications: Vec::new(),
            stray: Vec::new(),
            sparsity: 4,
            smooth: false,
            seed: 1,
        }
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = File { bytes: vec![0xFF, 0xD8], stray: &self.stray };
        for (marker, payload) in &self.applications {
            file.segment(*marker, payload);
        }
        for (number, steps) in zip(0u8.., &self.steps) {
            let wide = steps.iter().any(|&step| step > 255);
            let values: Vec<u8> = match wide {
                true => steps.iter().flat_map(|step| step.to_be_bytes()).collect(),
                false => steps.iter().map(|&step| step as u8).collect(),
            };
            file.segment(0xDB, &[&[u8::from(wide) << 4 | number], &values[..]].concat());
        }
        let mut frame = vec![self.precision];
        frame.extend([self.size.1.to_be_bytes(), self.size.0.to_be_bytes()].concat());
        frame.push(self.components.len() as u8);
        for component in &self.components {
            frame.extend([component.name, component.sampling.0 << 4 | component.sampling.1, component.steps]);
        }
        file.segment(self.frame, &frame);
        if self.restart > 0 {
            file.segment(0xDD, &self.restart.to_be_bytes());
        }
        let tables = self.tables();
        if self.huffman != Huffman::Missing {
            for (number, (dc, ac)) in zip(0u8.., &tables) {
                file.segment(0xC4, &[&[number], &dc.0[..], &dc.1, &[0x10 | number], &ac.0, &ac.1].concat());
            }
        }
        let coefficients = self.coefficients();
        for scan in &self.scans {
            let mut header = vec![scan.components.len() as u8];
            for &index in &scan.components {
                let table = self.table(index) as u8;
                header.extend([self.components[index].name, table << 4 | table]);
            }
            header.extend([scan.band.0 as u8, scan.band.1 as u8, (scan.bits.0 << 4 | scan.bits.1) as u8]);
            file.segment(0xDA, &header);
            self.data(&mut file, scan, &coefficients, &tables);
        }
        file.marker(0xD9);
        file.bytes
    }

    /// The number of a component's Huffman tables.
    fn table(&self, component: usize) -> usize {
        if self.huffman == Huffman::Flat { component } else { component.min(1) }
    }

    fn tables(&self) -> Vec<(Table, Table)> {
        match self.huffman {
            Huffman::Flat => {
                let dc = ((1..=16).map(|length| if length == 4 { 12 } else { 0 }).collect(), (0..12).collect());
                let mut counts = vec![0; 16];
                (counts[7], counts[8]) = (254, 2);
                let ac = (counts, (0..=255).collect());
                vec![(dc, ac); self.components.len()]
            }
            _ => standard_tables(),
        }
    }

    /// Blocks across and down, with those that fill up units: for each component, its own and all of them.
    fn blocks(&self, component: usize) -> [(usize, usize); 2] {
        let sampling = |component: &Component| (usize::from(component.sampling.0), usize::from(component.sampling.1));
        let own = sampling(&self.components[component]);
        let all = self.components.iter().map(sampling);
        let most = all.fold((1, 1), |most, one| (most.0.max(one.0), most.1.max(one.1)));
        let size = (usize::from(self.size.0), usize::from(self.size.1));
        let blocks = |size: usize, own: usize, most: usize| (size * own).div_ceil(most).div_ceil(8);
        let units = (size.0.div_ceil(8 * most.0), size.1.div_ceil(8 * most.1));
        [(blocks(size.0, own.0, most.0), blocks(size.1, own.1, most.1)), (units.0 * own.0, units.1 * own.1)]
    }

    /// Made up, such that samples mostly stay within their range: in the order of the file, block by block.
    fn coefficients(&self) -> Vec<Vec<[i32; 64]>> {
        let mut random = Random(self.seed.wrapping_mul(0x9E37_79B9) | 1);
        let mut components = Vec::new();
        for (index, component) in self.components.iter().enumerate() {
            let steps = self.steps.get(usize::from(component.steps)).copied().unwrap_or([1; 64]);
            let [_, (across, down)] = self.blocks(index);
            let block = |place: usize| {
                let mut block = [0; 64];
                let mut put = |at: usize, value: i32| {
                    let most = if at == 0 { 1023 } else { 511 };
                    block[at] = (value / i32::from(steps[at].max(1))).clamp(-most, most);
                };
                if self.smooth {
                    // A ramp across and down, with its slope in the blocks as well.
                    let (x, y) = ((place % across) as i32, (place / across) as i32);
                    let slope = (600 / across as i32, 500 / down as i32);
                    put(0, x * slope.0 + y * slope.1 - 550 + 30 * index as i32);
                    // The first cosines of a ramp are 0.2277 of its rise from block to block.
                    put(1, -slope.0 * 228 / 1000);
                    put(2, -slope.1 * 228 / 1000);
                    return block;
                }
                put(0, random.below(1400) as i32 - 700);
                for at in 1..64 {
                    if random.below(self.sparsity) == 0 {
                        let range = 400 / (at as u32 + 3) + 2;
                        put(at, random.below(2 * range + 1) as i32 - range as i32);
                    }
                }
                block
            };
            components.push((0..across * down).map(block).collect());
        }
        components
    }

    fn data(&self, file: &mut File, scan: &Scan, coefficients: &[Vec<[i32; 64]>], tables: &[(Table, Table)]) {
        let codes: Vec<_> = tables.iter().map(|(dc, ac)| (codes(dc), codes(ac))).collect();
        let mut coder = Coder { bits: Bits::default(), codes, run: 0, table: 0, pending: Vec::new() };
        let mut last = vec![0; self.components.len()];
        for (number, unit) in self.units(scan).into_iter().enumerate() {
            let restart = usize::from(self.restart);
            if restart > 0 && number > 0 && number % restart == 0 {
                coder.flush();
                file.bytes.append(&mut coder.bits.end());
                file.bytes.extend([0xFF, 0xD0 + ((number / restart - 1) % 8) as u8]);
                last.fill(0);
            }
            for (component, place) in unit {
                coder.table = self.table(component);
                let block = &coefficients[component][place];
                if self.frame == 0xC2 {
                    coder.progressive(block, scan, &mut last[component]);
                } else {
                    coder.sequential(block, &mut last[component]);
                }
            }
        }
        coder.flush();
        file.bytes.append(&mut coder.bits.end());
    }

    /// The blocks of each unit of a scan: their components and their places.
    fn units(&self, scan: &Scan) -> Vec<Vec<(usize, usize)>> {
        let mut units = Vec::new();
        if let [alone] = scan.components[..] {
            let [(across, down), (stride, _)] = self.blocks(alone);
            for row in 0..down {
                units.extend((0..across).map(|column| vec![(alone, row * stride + column)]));
            }
            return units;
        }
        let sampling = |index: usize| self.components[index].sampling;
        let of_first = self.blocks(scan.components[0])[1];
        let (h, v) = sampling(scan.components[0]);
        for row in 0..of_first.1 / usize::from(v) {
            for column in 0..of_first.0 / usize::from(h) {
                let mut unit = Vec::new();
                for &component in &scan.components {
                    let (h, v) = (usize::from(sampling(component).0), usize::from(sampling(component).1));
                    let stride = self.blocks(component)[1].0;
                    for y in 0..v {
                        unit.extend((0..h).map(|x| (component, (row * v + y) * stride + column * h + x)));
                    }
                }
                units.push(unit);
            }
        }
        units
    }
}

impl Scan {
    /// A sequential scan, or one of all coefficients.
    pub fn of(components: Vec<usize>) -> Scan {
        Scan { components, band: (0, 63), bits: (0, 0) }
    }

    /// A progressive one.
    pub fn part(components: &[usize], band: (usize, usize), bits: (u32, u32)) -> Scan {
        Scan { components: components.to_vec(), band, bits }
    }
}

/// Quantization steps that rise by `slope` with every fourth coefficient.
pub fn steps(slope: u16) -> [u16; 64] {
    std::array::from_fn(|at| 2 + slope * (at as u16 / 4))
}

struct File<'a> {
    bytes: Vec<u8>,
    stray: &'a [u8],
}

impl File<'_> {
    fn marker(&mut self, marker: u8) {
        self.bytes.extend(self.stray);
        self.bytes.extend([0xFF, marker]);
    }

    fn segment(&mut self, marker: u8, payload: &[u8]) {
        self.marker(marker);
        self.bytes.extend((payload.len() as u16 + 2).to_be_bytes());
        self.bytes.extend(payload);
    }
}

/// Bits with a zero behind each `FF`.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    last: u32,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, length: u32) {
        for at in (0..length).rev() {
            self.last = self.last << 1 | (value >> at & 1);
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.last as u8);
                if self.last == 0xFF {
                    self.bytes.push(0);
                }
                (self.last, self.count) = (0, 0);
            }
        }
    }

    /// Fills the last byte with ones.
    fn end(&mut self) -> Vec<u8> {
        while self.count > 0 {
            self.put(1, 1);
        }
        std::mem::take(&mut self.bytes)
    }
}

/// A symbol's code and its length.
type Codes = Vec<Option<(u32, u32)>>;

struct Coder {
    bits: Bits,
    codes: Vec<(Codes, Codes)>,
    table: usize,
    /// Blocks that end here, not written yet, the table that they are written by, and the bits behind them.
    run: u32,
    pending: Vec<bool>,
}

impl Coder {
    fn sequential(&mut self, block: &[i32; 64], last: &mut i32) {
        self.first(block[0], last);
        let mut zeros = 0;
        for &value in &block[1..] {
            if value == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 {
                self.ac(0xF0);
                zeros -= 16;
            }
            self.ac(zeros << 4 | length(value));
            self.value(value);
            zeros = 0;
        }
        if zeros > 0 {
            self.ac(0);
        }
    }

    fn progressive(&mut self, block: &[i32; 64], scan: &Scan, last: &mut i32) {
        let (before, low) = scan.bits;
        match scan.band {
            (0, _) if before == 0 => self.first(block[0] >> low, last),
            (0, _) => self.bits.put((block[0] >> low) as u32 & 1, 1),
            (from, to) if before == 0 => self.first_bits(&block[from..=to], low),
            (from, to) => self.next_bit(&block[from..=to], low),
        }
    }

    fn first(&mut self, value: i32, last: &mut i32) {
        let difference = value - *last;
        *last = value;
        let (code, bits) = self.codes[self.table].0[length(difference) as usize].unwrap();
        self.bits.put(code, bits);
        self.value(difference);
    }

    fn first_bits(&mut self, band: &[i32], low: u32) {
        let mut zeros = 0;
        for &value in band {
            let value = (value.abs() >> low) * value.signum();
            if value == 0 {
                zeros += 1;
                continue;
            }
            self.flush();
            while zeros > 15 {
                self.ac(0xF0);
                zeros -= 16;
            }
            self.ac(zeros << 4 | length(value));
            self.value(value);
            zeros = 0;
        }
        if zeros > 0 {
            self.ends();
        }
    }

    fn next_bit(&mut self, band: &[i32], low: u32) {
        let sizes: Vec<i32> = band.iter().map(|value| value.abs() >> low).collect();
        let last_new = sizes.iter().rposition(|&size| size == 1);
        let (mut zeros, mut behind) = (0, Vec::new());
        for (at, (&size, &value)) in zip(&sizes, band).enumerate() {
            if size == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 && Some(at) <= last_new {
                self.flush();
                self.ac(0xF0);
                self.all(&mut behind);
                zeros -= 16;
            }
            if size > 1 {
                behind.push(size & 1 == 1);
                continue;
            }
            self.flush();
            self.ac(zeros << 4 | 1);
            self.bits.put(u32::from(value > 0), 1);
            self.all(&mut behind);
            zeros = 0;
        }
        if zeros > 0 || !behind.is_empty() {
            self.pending.append(&mut behind);
            self.ends();
        }
    }

    /// Notes that a block has nothing more.
    fn ends(&mut self) {
        self.run += 1;
        if self.run == 0x7FFF {
            self.flush();
        }
    }

    /// Writes how many blocks have nothing more.
    fn flush(&mut self) {
        if self.run > 0 {
            let length = self.run.ilog2();
            self.ac(length << 4);
            self.bits.put(self.run & ((1 << length) - 1), length);
            self.run = 0;
        }
        let mut pending = std::mem::take(&mut self.pending);
        self.all(&mut pending);
    }

    fn all(&mut self, bits: &mut Vec<bool>) {
        bits.drain(..).for_each(|bit| self.bits.put(u32::from(bit), 1));
    }

    fn ac(&mut self, symbol: u32) {
        let (code, bits) = self.codes[self.table].1[symbol as usize].unwrap();
        self.bits.put(code, bits);
    }

    fn value(&mut self, value: i32) {
        self.bits.put((if value < 0 { value - 1 } else { value }) as u32, length(value));
    }
}

/// The bits of a value's size.
fn length(value: i32) -> u32 {
    32 - value.unsigned_abs().leading_zeros()
}

fn codes((counts, symbols): &Table) -> Codes {
    let mut codes = vec![None; 256];
    let (mut code, mut symbols) = (0, symbols.iter());
    for (length, &count) in zip(1.., counts) {
        for symbol in symbols.by_ref().take(usize::from(count)) {
            codes[usize::from(*symbol)] = Some((code, length));
            code += 1;
        }
        code <<= 1;
    }
    codes
}

/// The tables that another encoder writes by default are the standard's.
fn standard_tables() -> Vec<(Table, Table)> {
    let mut file = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut file).encode_image(&image::RgbImage::new(8, 8)).unwrap();
    let mut found = vec![Table::default(); 4];
    let mut rest = &file[2..];
    while rest[1] != 0xDA {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let mut segment = &rest[4..2 + length];
        while rest[1] == 0xC4 && !segment.is_empty() {
            let total: usize = segment[1..17].iter().map(|&count| usize::from(count)).sum();
            let number = usize::from(segment[0] >> 4) + 2 * usize::from(segment[0] & 15);
            found[number] = (segment[1..17].to_vec(), segment[17..17 + total].to_vec());
            segment = &segment[17 + total..];
        }
        rest = &rest[2 + length..];
    }
    found.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}
