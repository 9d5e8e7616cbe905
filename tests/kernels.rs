//! The machine code of the kernels: no tile keeps a vector on the stack within its loop over the taps, and no kernel calls
//! what is compiled without its instruction set.
//!
//! Registers are counted where tiles are chosen, and `#[inline(always)]` is written by hand; these tests look at what the
//! compiler made of both. They need `objdump` and `addr2line`, which belong to the linker that has built the test, and a build
//! without debug assertions, for those are checks within the loops: `make test-kernels`. A program of its own, for the flags.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(debug_assertions)))]
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
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

    /// The address that it calls, or goes on at for good, directly or by the table of addresses whose entry this is.
    fn callee(&self) -> Option<Callee> {
        let (name, operands) = self.text.split_once(char::is_whitespace)?;
        let calls = match cfg!(target_arch = "x86_64") {
            true => ["call", "jmp"].contains(&name),
            false => ["bl", "b"].contains(&name),
        };
        if !calls {
            return None;
        }
        let number = |text: &str| u64::from_str_radix(text.split_whitespace().next()?, 16).ok();
        match operands.split_once("# ") {
            Some((_, entry)) => number(entry).map(Callee::Entry),
            None => number(operands).map(Callee::Address),
        }
    }

    /// Whether it multiplies and adds whole vectors.
    fn multiplies(&self) -> bool {
        let name = self.text.split_whitespace().next().unwrap_or_default();
        match cfg!(target_arch = "x86_64") {
            true => name.starts_with("vfmadd") && name.ends_with("ps"),
            false => name == "fmla",
        }
    }

    /// Whether it fills a vector with one number of an array, as the microkernel does with each value; not with a constant or a bound,
    /// as the transforms do, whose tiles are too large for the registers.
    fn broadcasts(&self) -> bool {
        match cfg!(target_arch = "x86_64") {
            true => {
                let fills = self.text.starts_with("vbroadcastss") || self.text.contains("{1to");
                fills && self.text.contains(",4)")
            }
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

/// What an instruction calls.
#[derive(Clone, Copy)]
enum Callee {
    Address(u64),
    /// An entry of the table in which the loader puts addresses.
    Entry(u64),
}

/// The functions of the binary.
struct Symbols {
    /// By where they begin.
    names: HashMap<u64, String>,
    /// By the entry of the table: a function's name, or its address as `*ABS*+0x...`.
    entries: HashMap<u64, String>,
}

impl Symbols {
    fn read() -> Symbols {
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let name = |line: &str| {
            let (address, rest) = line.split_once(' ')?;
            Some((number(address)?, rest.split_once(".text")?.1.split_whitespace().last()?.to_owned()))
        };
        let entry = |line: &str| {
            let mut words = line.split_whitespace();
            Some((number(words.next()?)?, words.nth(1)?.to_owned()))
        };
        Symbols {
            names: objdump(&["--syms"]).lines().filter_map(name).collect(),
            entries: objdump(&["--dynamic-reloc"]).lines().filter_map(entry).collect(),
        }
    }

    fn name(&self, callee: Callee) -> &str {
        let named = |address| self.names.get(&address).map_or("an unknown function", String::as_str);
        match callee {
            Callee::Address(address) => named(address),
            Callee::Entry(entry) => {
                let name = self.entries.get(&entry).map_or("an unknown function", String::as_str);
                let address = name.strip_prefix("*ABS*+0x").and_then(|address| u64::from_str_radix(address, 16).ok());
                address.map_or(name, named)
            }
        }
    }
}

/// Whether a kernel may call it: what ends the program, what moves memory, and kernels for the same instruction set.
fn may_call(kernel: &str, name: &str) -> bool {
    let alike = || name.split_once("compiled_for").is_some_and(|(set, _)| kernel.contains(set));
    ["panic", "_fail", "_Unwind_Resume", "memcpy", "memmove", "memset"].iter().any(|part| name.contains(part))
        || alike()
}

/// Which kernel an instruction belongs to, and from which line it comes.
fn origin(address: u64) -> String {
    let output = Command::new("addr2line")
        .args(["--functions", "--inlines", "--demangle", "--exe", env!("CARGO_BIN_EXE_anywidth")])
        .arg(format!("{address:x}"))
        .output();
    let text =
        String::from_utf8_lossy(&output.expect("addr2line is there, for it belongs to the linker").stdout).into_owned();
    // Functions and places in turn, from the innermost to the kernel; of the standard library's, nobody can change one.
    let lines: Vec<&str> = text.lines().collect();
    let (kernel, place) = (lines.iter().rev().nth(1), lines.iter().find(|line| line.contains("/src/engine/")));
    let place = place.map(|place| &place[place.find("src/engine/").unwrap_or(0)..]);
    format!("{} at {}", kernel.unwrap_or(&"a kernel"), place.unwrap_or("an unknown line"))
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

/// The kernels: the name and the instructions of each.
fn kernels() -> Vec<(String, Vec<Instruction>)> {
    let (start, end) = range();
    let (start, end) = (format!("--start-address={start}"), format!("--stop-address={end}"));
    let text = objdump(&["--disassemble", "--no-show-raw-insn", &start, &end]);
    // A function begins with its address and name, and ends with an empty line.
    let functions = text.split("\n\n").filter_map(|function| {
        let mut lines = function.trim_start().lines();
        let name = lines.next().filter(|name| is_kernel(name))?;
        Some((name.to_owned(), lines.filter_map(Instruction::parse).collect()))
    });
    functions.collect()
}

#[test]
fn no_tile_spills_a_vector_within_its_innermost_loop() {
    let (kernels, mut loops, mut spilled) = (kernels(), 0, Vec::new());
    for (name, function) in &kernels {
        for inner in innermost(function) {
            let body = &function[inner];
            // Pooling, rescaling and transforms multiply by numbers that they had before the loop, or by constants.
            if !(body.iter().any(Instruction::multiplies) && body.iter().any(Instruction::broadcasts)) {
                continue;
            }
            loops += 1;
            if let Some(spill) = body.iter().find(|instruction| instruction.spills()) {
                spilled.push(format!("{name} {}", spill.text));
            }
        }
    }
    let kernels = kernels.len();
    println!("{kernels} kernels, {loops} loops that multiply");
    // Some two dozen tiles for each instruction set, all with a loop.
    assert!(kernels >= 20 && loops >= 20, "{kernels} kernels with {loops} loops were found: are they named otherwise?");
    assert!(spilled.is_empty(), "{} of {loops} loops spill: {spilled:#?}", spilled.len());
}

#[test]
fn no_kernel_calls_what_is_not_inlined_into_it() {
    let symbols = Symbols::read();
    let (mut calls, mut lost) = (0, Vec::new());
    for (kernel, function) in kernels() {
        let within = function.first().zip(function.last()).map(|(first, last)| first.address..=last.address);
        for instruction in &function {
            let Some(callee) = instruction.callee() else { continue };
            if matches!((callee, &within), (Callee::Address(address), Some(within)) if within.contains(&address)) {
                continue;
            }
            calls += 1;
            let name = symbols.name(callee);
            if !may_call(&kernel, name) {
                lost.push(format!("{} calls {name}", origin(instruction.address)));
            }
        }
    }
    // Bounds are checked in most of them.
    assert!(calls >= 20, "{calls} calls were found: are they written otherwise?");
    let advice =
        "mark what is called `#[inline(always)]`, or write a closure as a loop: it is compiled for the baseline only";
    assert!(lost.is_empty(), "{} calls are not inlined; {advice}:\n{}", lost.len(), lost.join("\n"));
}
