//! The smallest programs: one segment, and code that exits with status 0.
//! Format: ELF-64, System V ABI, AMD64 supplement.

/// `mov eax, SYS_exit; xor edi, edi; syscall`.
const CODE: [u8; 9] = [0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05];
const HEADER: u64 = 64;
const SEGMENT: u64 = 56;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;

/// A static program loaded at `base`, a multiple of the page size, or wherever
/// the kernel likes when that is 0; with an interpreter, the kernel starts that
/// one instead.
pub fn program(base: u64, interpreter: Option<&str>) -> Vec<u8> {
    let segments = 1 + u64::from(interpreter.is_some());
    let code = HEADER + segments * SEGMENT;
    let name = interpreter.map(|name| [name.as_bytes(), b"\0"].concat()).unwrap_or_default();
    let end = super::sys::PAGE as u64;

    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    let halves = |elf: &mut Vec<u8>, values: &[u16]| {
        values.iter().for_each(|value| elf.extend_from_slice(&value.to_le_bytes()));
    };
    // ET_DYN or ET_EXEC, EM_X86_64, version 1.
    halves(&mut elf, &[if base == 0 { 3 } else { 2 }, 62, 1, 0]);
    // Entry point, program headers, no section headers.
    for value in [base + code, HEADER, 0] {
        elf.extend_from_slice(&value.to_le_bytes());
    }
    halves(&mut elf, &[0, 0, HEADER as u16, SEGMENT as u16, segments as u16, 0, 0, 0]);
    let segment = |elf: &mut Vec<u8>, kind: u32, flags: u32, offset: u64, size: u64| {
        elf.extend_from_slice(&kind.to_le_bytes());
        elf.extend_from_slice(&flags.to_le_bytes());
        for value in [offset, base + offset, base + offset, size, size, 0x1000] {
            elf.extend_from_slice(&value.to_le_bytes());
        }
    };
    if !name.is_empty() {
        segment(&mut elf, PT_INTERP, 4, code + CODE.len() as u64, name.len() as u64);
    }
    // All is allowed: Linux 6.1 clears the rest of an interpreter's last page,
    // and gives up where it cannot.
    segment(&mut elf, PT_LOAD, 7, 0, end);
    elf.extend_from_slice(&CODE);
    elf.extend_from_slice(&name);
    // The file has a whole page: Linux 6.1 clears the rest of an interpreter's
    // last page, and fails where it must not write.
    elf.resize(super::sys::PAGE, 0);
    elf
}
