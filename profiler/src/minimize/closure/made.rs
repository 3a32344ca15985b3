//! ELF files made for tests: headers, a dynamic table and its strings.

use super::dlopen::NOTE_TYPE;
use super::elf::Target;

/// x86-64 and aarch64, as `e_machine` numbers them.
pub const X86_64: Target = Target { wide: true, little: true, machine: 62 };
/// See [`X86_64`].
pub const AARCH64: Target = Target { wide: true, little: true, machine: 183 };

/// An ELF file under construction.
pub struct Elf {
    target: Target,
    interpreter: Option<String>,
    strings: Vec<u8>,
    dynamic: Vec<(u64, u64)>,
    notes: Vec<u8>,
}

impl Elf {
    pub fn new(target: Target) -> Self {
        let (interpreter, dynamic, notes) = (None, Vec::new(), Vec::new());
        Self { target, interpreter, strings: vec![0], dynamic, notes }
    }

    pub fn interpreter(mut self, path: &str) -> Self {
        self.interpreter = Some(path.into());
        self
    }

    fn string(mut self, tag: u64, text: &str) -> Self {
        self.dynamic.push((tag, self.strings.len() as u64));
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        self
    }

    pub fn needed(self, name: &str) -> Self {
        self.string(1, name)
    }

    pub fn rpath(self, paths: &str) -> Self {
        self.string(15, paths)
    }

    pub fn runpath(self, paths: &str) -> Self {
        self.string(29, paths)
    }

    pub fn auxiliary(self, name: &str) -> Self {
        self.string(0x7fff_fffd, name)
    }

    pub fn no_defaults(mut self) -> Self {
        self.dynamic.push((0x6fff_fffb, 0x800));
        self
    }

    pub fn note(mut self, json: &str) -> Self {
        for number in [4, json.len() as u32, NOTE_TYPE as u32] {
            let bytes =
                if self.target.little { number.to_le_bytes() } else { number.to_be_bytes() };
            self.notes.extend(bytes);
        }
        self.notes.extend(b"FDO\0");
        self.notes.extend(json.as_bytes());
        self.notes.resize(self.notes.len().next_multiple_of(4), 0);
        self
    }

    fn number(&self, bytes: &mut Vec<u8>, value: u64, size: usize) {
        if self.target.little {
            bytes.extend(&value.to_le_bytes()[..size]);
        } else {
            bytes.extend(&value.to_be_bytes()[8 - size..]);
        }
    }

    /// Header, program headers, then interpreter, notes, strings and dynamic
    /// table; addresses are offsets.
    pub fn bytes(self) -> Vec<u8> {
        let wide = self.target.wide;
        let word = if wide { 8 } else { 4 };
        let (header, entry) = if wide { (64, 56) } else { (52, 32) };
        let mut interpreter = self.interpreter.clone().unwrap_or_default().into_bytes();
        interpreter.push(0);
        let parts = usize::from(self.interpreter.is_some()) + 3;
        let interpreter_at = header + entry * parts;
        let notes_at = (interpreter_at + interpreter.len()).next_multiple_of(8);
        let strings_at = notes_at + self.notes.len();
        let dynamic_at = (strings_at + self.strings.len()).next_multiple_of(8);
        let mut dynamic = Vec::new();
        let table = [(5, strings_at as u64), (10, self.strings.len() as u64), (0, 0)];
        for (tag, value) in self.dynamic.iter().chain(&table) {
            self.number(&mut dynamic, *tag, word);
            self.number(&mut dynamic, *value, word);
        }
        let end = dynamic_at + dynamic.len();
        let mut bytes = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(wide)];
        bytes.extend([2 - u8::from(self.target.little), 1]);
        bytes.resize(16, 0);
        self.number(&mut bytes, 3, 2);
        self.number(&mut bytes, u64::from(self.target.machine), 2);
        self.number(&mut bytes, 1, 4);
        for value in [0, header as u64, 0] {
            self.number(&mut bytes, value, word);
        }
        self.number(&mut bytes, 0, 4);
        for value in [header as u64, entry as u64, parts as u64, 0, 0, 0] {
            self.number(&mut bytes, value, 2);
        }
        let mut segments = vec![(1, 0, end), (4, notes_at, self.notes.len())];
        segments.push((2, dynamic_at, dynamic.len()));
        if self.interpreter.is_some() {
            segments.push((3, interpreter_at, interpreter.len()));
        }
        for (kind, at, len) in segments {
            let (at, len) = (at as u64, len as u64);
            self.number(&mut bytes, kind, 4);
            if wide {
                self.number(&mut bytes, 4, 4);
            }
            for value in [at, at, at, len, len] {
                self.number(&mut bytes, value, word);
            }
            if !wide {
                self.number(&mut bytes, 4, 4);
            }
            self.number(&mut bytes, 4, word);
        }
        for (at, part) in [
            (interpreter_at, &interpreter),
            (notes_at, &self.notes),
            (strings_at, &self.strings),
            (dynamic_at, &dynamic),
        ] {
            bytes.resize(at, 0);
            bytes.extend_from_slice(part);
        }
        bytes
    }
}
