//! What stands before the scan of a plain JPEG: its size, its components and the tables that decode them.
//!
//! Plain is what cameras and encoders write by default: baseline, eight bits, grey or three components in one scan.

use super::bits::Codes;

/// All that is needed to read the scan.
pub(super) struct Header {
    pub(super) width: u32,
    pub(super) height: u32,
    /// One or three.
    pub(super) components: Vec<Component>,
    /// Units between two restart markers; 0 if there are none.
    pub(super) restart: u32,
    /// Where the scan's data begin.
    pub(super) scan: usize,
}

pub(super) struct Component {
    /// Blocks per unit, across and down.
    pub(super) blocks: (u32, u32),
    /// Steps of the coefficients, in the order of the file.
    pub(super) steps: [f32; 64],
    pub(super) dc: Codes,
    pub(super) ac: Codes,
}

/// The tables read so far.
#[derive(Default)]
struct Tables {
    steps: [Option<[f32; 64]>; 4],
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
}

/// What the frame says of a component: its name, its blocks per unit and its table of steps.
struct Declared {
    name: u8,
    blocks: (u32, u32),
    steps: u8,
}

/// The header of a plain JPEG; `None` for any other, and for a broken one.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let mut tables = Tables::default();
    let mut frame = None;
    let mut restart = 0;
    let mut at = 2;
    loop {
        let &[0xFF, marker, high, low] = bytes.get(at..)?.first_chunk()? else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let segment = bytes.get(at + 4..at + 2 + length)?;
        at += 2 + length;
        match marker {
            0xC0 if frame.is_none() => frame = Some(declared(segment)?),
            0xC4 => tables.read_codes(segment)?,
            0xDA => {
                let ((width, height), declared) = frame?;
                let components = components(segment, &declared, &tables)?;
                return Some(Header { width, height, components, restart, scan: at });
            }
            0xDB => tables.read_steps(segment)?,
            0xDD => restart = u32::from(u16::from_be_bytes(segment.try_into().ok()?)),
            // Applications' segments and comments.
            0xE0..=0xEF | 0xFE => {}
            _ => return None,
        }
    }
}

/// The baseline frame: width, height and components.
fn declared(segment: &[u8]) -> Option<((u32, u32), Vec<Declared>)> {
    let (&[8, h1, h0, w1, w0, count], rest) = segment.split_first_chunk()? else { return None };
    let (height, width) = (u32::from(u16::from_be_bytes([h1, h0])), u32::from(u16::from_be_bytes([w1, w0])));
    if width == 0 || height == 0 || !matches!(count, 1 | 3) || rest.len() != 3 * usize::from(count) {
        return None;
    }
    let mut components = Vec::new();
    for entry in rest.chunks_exact(3) {
        // With a single component, a unit is one block whatever is declared.
        let blocks = if count == 1 { (1, 1) } else { (u32::from(entry[1] >> 4), u32::from(entry[1] & 15)) };
        if !(1..=4).contains(&blocks.0) || !(1..=4).contains(&blocks.1) {
            return None;
        }
        components.push(Declared { name: entry[0], blocks, steps: entry[2] });
    }
    Some(((width, height), components))
}

/// The scan's header, which must have all components in their order and all coefficients.
fn components(segment: &[u8], declared: &[Declared], tables: &Tables) -> Option<Vec<Component>> {
    let (&count, rest) = segment.split_first()?;
    let (entries, whole) = rest.split_at_checked(2 * declared.len())?;
    if usize::from(count) != declared.len() || whole != [0, 63, 0] {
        return None;
    }
    let pairs = declared.iter().zip(entries.chunks_exact(2));
    pairs
        .map(|(declared, entry)| {
            let (dc, ac) = (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
            (entry[0] == declared.name).then_some(Component {
                blocks: declared.blocks,
                steps: (*tables.steps.get(usize::from(declared.steps))?)?,
                dc: tables.dc.get(dc)?.clone()?,
                ac: tables.ac.get(ac)?.clone()?,
            })
        })
        .collect()
}

impl Tables {
    fn read_steps(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&number, rest)) = segment.split_first() {
            // A number above 15 tells of steps of two bytes, which no baseline file has.
            let place = self.steps.get_mut(usize::from(number))?;
            let (steps, rest) = rest.split_first_chunk::<64>()?;
            *place = Some(steps.map(f32::from));
            segment = rest;
        }
        Some(())
    }

    fn read_codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&number, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let tables = match number >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(number & 15))? = Some(Codes::new(counts, symbols)?);
            segment = rest;
        }
        Some(())
    }
}
