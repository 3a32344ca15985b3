//! Field offsets from BTF, the kernel's description of its own types.
//!
//! Only what offsets need: structures, unions and the types a member can be
//! wrapped in. Format: `Documentation/bpf/btf.rst` of the kernel sources.
//!
//! ```text
//! header ── types: name, info (kind, vlen), size/type, then per kind
//!        └─ strings: NUL-terminated, addressed by offset
//! ```

use std::collections::HashMap;

/// Why BTF could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// Not BTF, or cut short.
    #[error("kernel BTF is damaged at byte {0}; check /sys/kernel/btf/vmlinux")]
    Damaged(usize),
    /// A field this program needs is not there.
    #[error(
        "kernel BTF has no field {0}; this kernel is not supported yet, please report its version"
    )]
    NoField(String),
    /// A field is where it is not looked for.
    #[error(
        "the kernel's BTF has {0} too far from its structure's start; this kernel is not supported yet, please report its version"
    )]
    TooFar(String),
}

const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;
const KIND_INT: u32 = 1;
/// Typedef, volatile, const, restrict, type tag: looked through.
const WRAPPERS: [u32; 5] = [8, 9, 10, 11, 18];

struct Type {
    kind: u32,
    /// Size, or the type wrapped.
    size_or_type: u32,
    /// Where its members start in the types section.
    members: usize,
    vlen: usize,
    /// Whether member offsets carry a bit field size.
    bitfields: bool,
}

/// Parsed BTF.
pub struct Btf {
    data: Vec<u8>,
    strings: usize,
    types: Vec<Type>,
    structs: HashMap<Vec<u8>, Vec<u32>>,
    /// Functions, and the type of each.
    functions: HashMap<Vec<u8>, u32>,
    enums: HashMap<Vec<u8>, u32>,
}

impl Btf {
    /// Parses BTF as it stands in `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// [`BtfError::Damaged`] when a length leads outside the data.
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        let word = |at: usize| -> Result<u32, BtfError> {
            let bytes = data.get(at..at + 4).ok_or(BtfError::Damaged(at))?;
            Ok(u32::from_ne_bytes(bytes.try_into().expect("four bytes")))
        };
        if word(0)? & 0xffff != 0xeb9f {
            return Err(BtfError::Damaged(0));
        }
        let header = word(4)? as usize;
        let (types_at, types_len) = (header + word(8)? as usize, word(12)? as usize);
        let strings = header + word(16)? as usize;
        let mut types =
            vec![Type { kind: 0, size_or_type: 0, members: 0, vlen: 0, bitfields: false }];
        let mut structs: HashMap<Vec<u8>, Vec<u32>> = HashMap::new();
        let (mut functions, mut enums) = (HashMap::new(), HashMap::new());
        let mut at = types_at;
        while at < types_at + types_len {
            let (name, info, size_or_type) = (word(at)?, word(at + 4)?, word(at + 8)?);
            let (kind, vlen) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            let members = at + 12;
            at = members
                + match kind {
                    KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
                    KIND_ARRAY => 12,
                    KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => vlen * 12,
                    KIND_ENUM | KIND_FUNC_PROTO => vlen * 8,
                    _ => 0,
                };
            if kind == KIND_STRUCT {
                let id = types.len() as u32;
                structs.entry(string(&data, strings, name).to_vec()).or_default().push(id);
            }
            if kind == KIND_FUNC {
                functions.insert(string(&data, strings, name).to_vec(), size_or_type);
            }
            if kind == KIND_ENUM {
                enums.insert(string(&data, strings, name).to_vec(), types.len() as u32);
            }
            let bitfields = info >> 31 != 0;
            types.push(Type { kind, size_or_type, members, vlen, bitfields });
        }
        Ok(Self { data, strings, types, structs, functions, enums })
    }

    /// Byte offset of `path` (member names) inside the structure `name`.
    ///
    /// Anonymous structures and unions are searched through. Several
    /// structures may have the same name: the first that has the field wins.
    ///
    /// # Errors
    /// [`BtfError::NoField`].
    pub fn offset(&self, name: &str, path: &[&str]) -> Result<u32, BtfError> {
        self.structs
            .get(name.as_bytes())
            .into_iter()
            .flatten()
            .find_map(|&id| self.offset_in(id, path))
            .ok_or_else(|| BtfError::NoField(format!("{name}.{}", path.join("."))))
    }

    /// How many parameters the kernel's function `name` has; none when there
    /// is no such function.
    pub fn parameters(&self, name: &str) -> Option<usize> {
        let proto = self.types.get(*self.functions.get(name.as_bytes())? as usize)?;
        (proto.kind == KIND_FUNC_PROTO).then_some(proto.vlen)
    }

    /// The value of `enumerator` in the enumeration `name`.
    pub fn value(&self, name: &str, enumerator: &str) -> Option<u32> {
        let ty = self.types.get(*self.enums.get(name.as_bytes())? as usize)?;
        (0..ty.vlen).map(|index| ty.members + index * 8).find_map(|at| {
            let text = string(&self.data, self.strings, self.word(at)?);
            if text == enumerator.as_bytes() { self.word(at + 4) } else { None }
        })
    }

    fn offset_in(&self, id: u32, path: &[&str]) -> Option<u32> {
        let Some((first, rest)) = path.split_first() else { return Some(0) };
        let (offset, member_type) = self.member(id, first)?;
        Some(offset + self.offset_in(member_type, rest)?)
    }

    fn member(&self, id: u32, name: &str) -> Option<(u32, u32)> {
        let ty = self.types.get(self.unwrap(id) as usize)?;
        if ty.kind != KIND_STRUCT && ty.kind != KIND_UNION {
            return None;
        }
        (0..ty.vlen).find_map(|index| {
            let at = ty.members + index * 12;
            let (member_name, member_type, bits) =
                (self.word(at)?, self.word(at + 4)?, self.word(at + 8)?);
            let bits = if ty.bitfields { bits & 0xff_ffff } else { bits };
            let text = string(&self.data, self.strings, member_name);
            if text.is_empty() {
                let (inner, found) = self.member(member_type, name)?;
                return Some((bits / 8 + inner, found));
            }
            (text == name.as_bytes()).then_some((bits / 8, member_type))
        })
    }

    fn unwrap(&self, mut id: u32) -> u32 {
        // Bounded, for damaged data: real chains are a handful long.
        for _ in 0..32 {
            match self.types.get(id as usize) {
                Some(ty) if WRAPPERS.contains(&ty.kind) => id = ty.size_or_type,
                _ => break,
            }
        }
        id
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.data.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    }
}

fn string(data: &[u8], strings: usize, offset: u32) -> &[u8] {
    let text = data.get(strings + offset as usize..).unwrap_or_default();
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_fields_of_the_running_kernel() {
        let btf = Btf::parse(std::fs::read("/sys/kernel/btf/vmlinux").unwrap()).unwrap();
        assert!(btf.offset("task_struct", &["files"]).unwrap() > 0);
        // Hidden in an anonymous union on recent kernels.
        assert!(btf.offset("file", &["f_path", "dentry"]).unwrap() > 0);
        assert!(matches!(btf.offset("file", &["nonsense"]), Err(BtfError::NoField(_))));
        assert_eq!(btf.parameters("iterate_dir"), Some(2));
        assert_eq!(btf.parameters("no_such_function"), None);
        assert_eq!(btf.value("cgroup_subsys_id", "cpuset_cgrp_id"), Some(0));
        assert_eq!(btf.value("cgroup_subsys_id", "none_such"), None);
    }

    #[test]
    fn cut_data_is_an_error() {
        let whole = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        assert!(matches!(Btf::parse(whole[..3].to_vec()), Err(BtfError::Damaged(_))));
        assert!(matches!(Btf::parse(whole[..100].to_vec()), Err(BtfError::Damaged(_))));
        assert!(matches!(Btf::parse(b"ELF is not BTF".to_vec()), Err(BtfError::Damaged(0))));
    }
}
