//! The machine code of the kernels: no tile keeps a vector on the stack within its loop over the taps.
//!
//! Registers are counted where tiles are chosen; this test looks at what the compiler made of them. It needs `objdump`, which
//! belongs to the linker that has built the test, and a build without debug assertions, for those are checks within the loops:
//! `make test-kernels`, or `cargo test --release`.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(debug_assertions)))]
#![allow(clippy::unwrap_used)]

use std::ops::RangeInclusive;
use std::process::Command;

/// One instruction of a function.
struct Instruction {
    address: u64,
    text: String,
}

impl Instruction {
    /// A line of the disassembly: `  123abc:\tvmovups 0x20(%rsp),%ymm0`.
    fn parse(line: &str) -> Option<Instruction> {
        let (address, text) = line.split_once(':')?;
        let address = u64::from_str_radix(address.trim(), 16).ok()?;
        Some(Instruction { address, text: text.trim().to_owned() })
    }

    /// Where it jumps to, if it does.
    fn target(&self) -> Option<u64> {
        let (name, operands) = self.text.split_once(char::is_whitespace)?;
        let jumps = match cfg!(target_arch = "x86_64") {
            true => name.starts_with('j'),
            false => name.starts_with("b.") || ["b", "cbz", "cbnz", "tbz", "tbnz"].contains(&name),
        };
        let address = operands.split(" <").next()?.rsplit([',', ' ']).next()?.trim().trim_start_matches("0x");
        u64::from_str_radix(address, 16).ok().filter(|_| jumps)
    }

    /// Whether it multiplies and adds whole vectors.
    fn multiplies(&self) -> bool {
        let name = self.text.split_whitespace().next().unwrap_or_default();
        match cfg!(target_arch = "x86_64") {
            true => name.starts_with("vfmadd") && name.ends_with("ps"),
            false => name == "fmla",
        }
    }

    /// Whether it fills a vector with one number from memory, as a tile does with each weight.
    fn broadcasts(&self) -> bool {
        match cfg!(target_arch = "x86_64") {
            true => self.text.starts_with("vbroadcastss") || self.text.contains("{1to"),
            false => ["ld1r", "dup"].iter().any(|name| self.text.starts_with(name)) || self.text.contains(".s["),
        }
    }

    /// Whether it moves a vector to or from the stack.
    fn spills(&self) -> bool {
        let text = &self.text;
        match cfg!(target_arch = "x86_64") {
            true => {
                let vector = ["%xmm", "%ymm", "%zmm"].iter().any(|register| text.contains(register));
                // A function that keeps vectors on the stack aligns it, and then finds them by %rsp; %rbp may point to weights.
                vector && text.contains("(%rsp")
            }
            false => {
                let (name, operands) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
                let vector =
                    operands.trim_start().starts_with(['q', 'd', 's', 'v', '{']) && !operands.starts_with("sp");
                ["ldr", "ldp", "str", "stp", "ldur", "stur", "ld1", "st1"].contains(&name)
                    && vector
                    && (operands.contains("[sp") || operands.contains("[x29"))
            }
        }
    }
}

/// The innermost loops of a function: indices of instructions.
fn innermost(function: &[Instruction]) -> Vec<RangeInclusive<usize>> {
    let index_of = |address: u64| function.binary_search_by_key(&address, |instruction| instruction.address).ok();
    let back = |(end, instruction): (usize, &Instruction)| {
        let start = index_of(instruction.target()?)?;
        (start <= end).then_some(start..=end)
    };
    let loops: Vec<_> = function.iter().enumerate().filter_map(back).collect();
    let holds = |outer: &RangeInclusive<usize>, inner: &RangeInclusive<usize>| {
        outer != inner && outer.contains(inner.start()) && outer.contains(inner.end())
    };
    loops.iter().filter(|outer| !loops.iter().any(|inner| holds(outer, inner))).cloned().collect()
}

/// What `objdump` says.
fn objdump(arguments: &[&str]) -> String {
    let output = Command::new("objdump").args(arguments).arg(env!("CARGO_BIN_EXE_anywidth")).output();
    let output = output.expect("objdump is there, for it belongs to the linker");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The functions that are compiled for an instruction set.
fn is_kernel(name: &str) -> bool {
    name.contains("kernel") && name.contains("compiled_for")
}

/// Where the kernels begin and end in the binary.
fn range() -> (u64, u64) {
    let symbol = |line: &str| {
        let (address, rest) = line.split_once(' ')?;
        let size = rest.split_once(".text")?.1.split_whitespace().next()?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(address)?, number(address)? + number(size)?))
    };
    let table = objdump(&["--syms"]);
    let kernels: Vec<_> = table.lines().filter(|line| is_kernel(line)).filter_map(symbol).collect();
    let (starts, ends): (Vec<_>, Vec<_>) = kernels.into_iter().unzip();
    (*starts.iter().min().expect("there are kernels"), *ends.iter().max().expect("there are kernels"))
}

#[test]
fn no_tile_spills_a_vector_within_its_innermost_loop() {
    let (start, end) = range();
    let (start, end) = (format!("--start-address={start}"), format!("--stop-address={end}"));
    let text = objdump(&["--disassemble", "--no-show-raw-insn", &start, &end]);

    let (mut kernels, mut loops, mut spilled) = (0, 0, Vec::new());
    // A function begins with its address and name, and ends with an empty line.
    for function in text.split("\n\n") {
        let mut lines = function.trim_start().lines();
        let Some(name) = lines.next().filter(|name| is_kernel(name)) else { continue };
        let function: Vec<_> = lines.filter_map(Instruction::parse).collect();
        kernels += 1;
        for inner in innermost(&function) {
            let body = &function[inner];
            // What the compiler made of pooling and rescaling multiplies by numbers that it has had before the loop.
            if !(body.iter().any(Instruction::multiplies) && body.iter().any(Instruction::broadcasts)) {
                continue;
            }
            loops += 1;
            if let Some(spill) = body.iter().find(|instruction| instruction.spills()) {
                spilled.push(format!("{name} {}", spill.text));
            }
        }
    }
    println!("{kernels} kernels, {loops} loops that multiply");
    // Some two dozen tiles for each instruction set, all with a loop.
    assert!(kernels >= 20 && loops >= 20, "{kernels} kernels with {loops} loops were found: are they named otherwise?");
    assert!(spilled.is_empty(), "{} of {loops} loops spill: {spilled:#?}", spilled.len());
}
