//! From a touch to a record: known already? else put together and sent.
//!
//! The table of known names is asked first, so that the millionth touch costs
//! one look-up. It holds the epoch in which a name was last reported: user
//! space begins a new one where a test begins, and every name is reported once
//! more by its first touch there. The epoch is read once a touch, at the end of
//! the system call or function; what a task does after it has seen that the
//! epoch was changed falls into the new one, and what it had done before into
//! the old one.
//!
//! A record that finds no room has its name marked as not sent: the next touch
//! tries anew, and the loss is counted.

use core::ffi::c_void;

use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns, bpf_loop,
    bpf_probe_read_kernel, bpf_ringbuf_output, bpf_ringbuf_query,
};
use profiler_ebpf::{CHUNKS, HEADER, Header, Key, counter, flag, kind};

use crate::group::{self, lose};
use crate::kernel::{Place, Typed, current, field, probe};
use crate::maps::{
    BUFFER, EPOCH, EVENTS, FILL_MAX, NAME_MAX, RECENT, RECENT_TOUCHES, SCRATCH, SEEN, UNSENT, count,
};
use crate::{offset, setting};

/// Deepest directory nesting a record can tell.
const DEPTH: u32 = 256;

/// A touch, before it is known whether it is new.
pub struct Touch {
    pub kind: u8,
    pub flags: u8,
    /// The file, where it is known.
    pub file: Subject,
    /// Where the name starts from.
    pub base: Base,
    /// Bytes of the name, which stands in the buffer after the header.
    pub name_len: usize,
}

/// A file of the rootfs.
#[derive(Clone, Copy, Default)]
pub struct Subject {
    /// `struct dentry`, 0 where only a name is known.
    pub dentry: u64,
    /// Its inode number.
    pub ino: u64,
    /// Its `struct super_block`.
    pub sb: u64,
    /// `f_mode` of the file.
    pub mode: u32,
}

/// A touch and its task's place, as they wait in the buffer. Numbers only:
/// what is read back from a map has no type.
#[repr(C)]
struct Pending {
    root_sb: u64,
    cgroup: u64,
    dentry: u64,
    ino: u64,
    base: Base,
    name_len: u64,
    dev: u32,
    kind: u8,
    flags: u8,
    /// What follows is [`is_new`]'s result: the program, by inode number,
    exe: u64,
    /// what stands for the touch among those that are known,
    touch: u64,
    /// and the epoch.
    epoch: u64,
}

/// A directory that a name starts from; all zero for none.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Base {
    /// `struct dentry`.
    pub dentry: u64,
    /// Its inode number.
    pub ino: u64,
    /// Its `struct super_block`.
    pub sb: u64,
}

/// This CPU's record under construction.
#[inline(always)]
pub fn buffer(slot: u32) -> Option<*mut u8> {
    BUFFER.get_ptr_mut(slot).map(|buffer| buffer.cast())
}

/// Where the name goes in the record.
#[inline(always)]
pub fn name_slot(buffer: *mut u8) -> *mut u8 {
    // SAFETY: inside the buffer.
    unsafe { buffer.add(HEADER) }
}

/// State of a loop. It lives in the map and not on the stack, because the
/// verifier knows nothing of a map's contents: it need not follow how the
/// values develop, and checks each loop body once.
#[repr(C)]
pub struct Loop {
    /// Structure the walk stands at.
    pub at: u64,
    /// Where the next name goes; bytes of the name to hash.
    pub end: u64,
    /// Hash so far; the directory to arrive at, 0 on arrival.
    pub value: u64,
    /// Hash of where the walk came by.
    pub trail: u64,
}

/// Where [`Loop`] stands in a buffer, from its end.
pub const LOOP: usize = 1024;
/// Where [`Pending`] stands in a buffer.
const PENDING: usize = SCRATCH - 1536;
/// The loop state of a buffer.
#[inline(always)]
fn state(buffer: *mut u8) -> *mut Loop {
    // SAFETY: inside the buffer and aligned.
    unsafe { buffer.add(SCRATCH - LOOP).cast() }
}

/// Sets a loop's state and runs it. The body is handed the buffer's slot.
#[inline(always)]
pub fn run(
    state: *mut Loop,
    slot: u32,
    count: u32,
    body: unsafe extern "C" fn(u64, *mut c_void) -> i64,
    start: Loop,
) -> (u64, u64) {
    let mut slot = slot;
    // SAFETY: the state is inside a buffer; the slot outlives the call.
    unsafe {
        state.write(start);
        bpf_loop(count, body as *mut c_void, (&raw mut slot).cast(), 0);
        (
            core::ptr::read_volatile(&raw const (*state).end),
            core::ptr::read_volatile(&raw const (*state).value),
        )
    }
}

/// One step of [`hash`].
#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29)
}

/// Words hashed in line; longer names take a loop.
const INLINE_WORDS: usize = 8;

/// Hash of the name in a buffer: multiply and rotate over 8-byte words.
#[inline(always)]
fn hash(slot: u32, buffer: *mut u8, len: usize) -> u64 {
    let len = len & (NAME_MAX - 1);
    let mut hash = len as u64 ^ 0x9e37_79b9_7f4a_7c15;
    for index in 0..INLINE_WORDS {
        let at = index * 8;
        if at >= len {
            return hash;
        }
        // SAFETY: HEADER + NAME_MAX + 8 is inside the buffer, HEADER a
        // multiple of 8.
        let word = unsafe { core::ptr::read_volatile(buffer.add(HEADER + at).cast::<u64>()) };
        hash = mix(hash, word & told(len - at));
    }
    let words = len.div_ceil(8).saturating_sub(INLINE_WORDS) as u32;
    run(
        state(buffer),
        slot,
        words,
        hash_word,
        Loop { at: 0, end: len as u64, value: hash, trail: 0 },
    )
    .1
}

/// The bytes of a word that belong to a name of which `left` bytes are left:
/// what stands behind it is a former record's.
#[inline(always)]
fn told(left: usize) -> u64 {
    if left >= 8 { u64::MAX } else { (1u64 << ((left * 8) & 63)) - 1 }
}

/// [`hash`] for those who are not short of instructions.
///
/// A global function: the verifier checks it once, whoever calls it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn hash_name(slot: u32, len: u64) -> u64 {
    match buffer(slot) {
        Some(buffer) => hash(slot, buffer, len as usize),
        None => 0,
    }
}

/// Body of [`hash`]'s loop.
unsafe extern "C" fn hash_word(index: u64, slot: *mut c_void) -> i64 {
    // SAFETY: the slot that `run` passes.
    let Some(buffer) = buffer(unsafe { *slot.cast::<u32>() }) else { return 1 };
    let at = ((index as usize + INLINE_WORDS) * 8) & (NAME_MAX - 1);
    // SAFETY: HEADER + NAME_MAX + 8 is inside the buffer, HEADER a multiple
    // of 8.
    unsafe {
        let state = state(buffer);
        let word = core::ptr::read_volatile(buffer.add(HEADER + at).cast::<u64>());
        let left = (*state).end.wrapping_sub(at as u64) as usize;
        (*state).value = mix((*state).value, word & told(left));
    }
    0
}

/// Appends the names from `dentry` up to `root`, or its filesystem's root, at
/// `end`. Returns the new end, and the dentry arrived at, 0 when not all
/// fitted, or when the way there kept changing.
#[inline(always)]
fn append_path(slot: u32, buffer: *mut u8, dentry: u64, root: u64, end: u64) -> (u64, u64) {
    let state = state(buffer);
    // SAFETY: see `state`.
    unsafe { state.write(Loop { at: dentry, end, value: root, trail: 0 }) };
    let top = walk(slot);
    // SAFETY: see `state`.
    let end = unsafe { core::ptr::read_volatile(&raw const (*state).end) };
    (end & (SCRATCH as u64 - 1), top)
}

/// Does the work of [`append_path`], of which what it is given and the new end
/// are in the loop's state: numbers only, as [`Pending`].
///
/// A global function, as [`is_new`] is.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk(slot: u32) -> u64 {
    /// Renames are rare; a container that does nothing else can be told that
    /// its path was not learnt.
    const TRIES: u32 = 3;
    let Some(buffer) = buffer(slot) else { return 0 };
    let state = state(buffer);
    // SAFETY: see `state`.
    let (dentry, end, root) = unsafe { ((*state).at, (*state).end, (*state).value) };
    let (mut after, mut arrived) = (end, 0);
    for _ in 0..TRIES {
        let start = Loop { at: dentry, end, value: root, trail: 0 };
        let (end, left) = run(state, slot, DEPTH, append_name, start);
        after = end;
        // The walk marks its arrival by forgetting the root.
        if left != 0 {
            break;
        }
        // SAFETY: see `state`.
        let (top, trail) = unsafe {
            (
                core::ptr::read_volatile(&raw const (*state).at),
                core::ptr::read_volatile(&raw const (*state).trail),
            )
        };
        // Once more: a rename on the way would make a path that never was.
        let again = Loop { at: dentry, end: 0, value: root, trail: 0 };
        run(state, slot, DEPTH, follow, again);
        // SAFETY: as above.
        if trail == unsafe { core::ptr::read_volatile(&raw const (*state).trail) } {
            arrived = top;
            break;
        }
    }
    // SAFETY: as above.
    unsafe { (*state).end = after };
    arrived
}

/// A dentry as far as a walk needs it.
struct Step {
    parent: u64,
    /// `struct qstr`: hash in the low half, length in the high half; then the
    /// address of the name.
    name: [u64; 2],
    /// Counts the changes of the above.
    sequence: u32,
}

#[inline(always)]
fn step(dentry: u64) -> Step {
    let words: [u64; CHUNKS[2] / 8] = gulp(dentry);
    let name = offset!(dentry_name);
    Step {
        parent: gulped(&words, offset!(dentry_parent)),
        name: [gulped(&words, name), gulped(&words, name + 8)],
        sequence: gulped(&words, offset!(dentry_seq)),
    }
}

/// Body of [`append_path`]'s first loop.
unsafe extern "C" fn append_name(_: u64, slot: *mut c_void) -> i64 {
    // SAFETY: the slot that `run` passes.
    let Some(buffer) = buffer(unsafe { *slot.cast::<u32>() }) else { return 1 };
    let state = state(buffer);
    // SAFETY: see `state`; `end` is checked before it is used, and a
    // component has at most 255 bytes.
    unsafe {
        let dentry = (*state).at;
        let step = step(dentry);
        (*state).trail = mix((*state).trail ^ u64::from(step.sequence), dentry);
        if dentry == (*state).value || step.parent == dentry || step.parent == 0 {
            (*state).value = 0;
            return 1;
        }
        let end = (*state).end as usize;
        if end >= FILL_MAX {
            return 1;
        }
        let len = (step.name[0] >> 32) as usize & 0xff;
        *buffer.add(end) = len as u8;
        bpf_probe_read_kernel(buffer.add(end + 1).cast(), len as u32, step.name[1] as *const _);
        (*state).end = (end + 1 + len) as u64;
        (*state).at = step.parent;
    }
    0
}

/// Body of [`append_path`]'s second loop.
unsafe extern "C" fn follow(_: u64, slot: *mut c_void) -> i64 {
    // SAFETY: the slot that `run` passes.
    let Some(buffer) = buffer(unsafe { *slot.cast::<u32>() }) else { return 1 };
    let state = state(buffer);
    // SAFETY: see `state`.
    unsafe {
        let dentry = (*state).at;
        let step = step(dentry);
        (*state).trail = mix((*state).trail ^ u64::from(step.sequence), dentry);
        if dentry == (*state).value || step.parent == dentry || step.parent == 0 {
            return 1;
        }
        (*state).at = step.parent;
    }
    0
}

/// Reads the start of a structure: each read of the kernel's memory costs more
/// than what it reads.
#[inline(always)]
fn gulp<const N: usize>(from: u64) -> [u64; N] {
    probe(from, 0)
}

/// A field of what [`gulp`] read.
#[inline(always)]
fn gulped<T: Copy, const N: usize>(words: &[u64; N], offset: usize) -> T {
    // SAFETY: user space has checked that the field is inside what was read.
    unsafe { core::ptr::read_volatile(words.as_ptr().cast::<u8>().add(offset).cast::<T>()) }
}

/// Inode number and superblock of an inode.
#[inline(always)]
fn identity(inode: u64) -> (u64, u64) {
    let from = offset!(inode_sb);
    let words: [u64; CHUNKS[1] / 8] = gulp(inode + from as u64);
    (gulped(&words, offset!(inode_ino) - from), words[0])
}

/// What there is to know of a `struct file`, if it is one of the rootfs.
#[inline(always)]
pub fn subject(place: &mut Place, file: u64, kind: u8) -> Option<Subject> {
    let mut subject = Subject::default();
    inspect(file, place.root_sb, kind, &mut subject);
    admit(place, subject)
}

/// Reads what there is to know of a `struct file`; not inlined, for the
/// stack's sake.
#[inline(never)]
fn inspect(file: u64, root_sb: u64, kind: u8, subject: &mut Subject) {
    let words: [u64; CHUNKS[0] / 8] = gulp(file);
    let mut dentry: u64 = gulped(&words, offset!(file_dentry));
    let (mut ino, mut sb) = identity(gulped(&words, offset!(file_inode)));
    if sb != root_sb && kind == kind::EXEC {
        dentry = in_front(file, dentry, root_sb);
        (ino, sb) = identity(probe(dentry, offset!(dentry_inode)));
    }
    subject.dentry = dentry;
    subject.ino = ino;
    subject.sb = sb;
    subject.mode = gulped(&words, offset!(file_mode));
}

/// The same for a file that the verifier knows as one.
#[inline(always)]
pub fn subject_typed(place: &mut Place, file: Typed) -> Option<Subject> {
    // SAFETY: typed, as the caller says.
    let subject = unsafe {
        let inode: Typed = field(file, offset!(file_inode));
        Subject {
            dentry: field(file, offset!(file_dentry)),
            ino: field(inode, offset!(inode_ino)),
            sb: field(inode, offset!(inode_sb)),
            mode: field(file, offset!(file_mode)),
        }
    };
    admit(place, subject)
}

/// Volumes, tmpfs, proc: not files of the image. But a task that has gone
/// elsewhere with its root still touches the image's files.
#[inline(always)]
fn admit(place: &mut Place, subject: Subject) -> Option<Subject> {
    if subject.sb != place.root_sb {
        if subject.sb == 0 || subject.sb != group::root_sb(place.cgroup) {
            return None;
        }
        place.root_sb = subject.sb;
        place.dev = probe(subject.sb, offset!(sb_dev));
    }
    Some(subject)
}

/// The dentry a file was opened by. What overlayfs maps is a file of the layer
/// below, which remembers the file it stands for.
///
/// The flag that marks such files has changed its bit between kernels, and BTF
/// does not tell; so what is found there must belong to the rootfs.
#[inline(always)]
fn in_front(file: u64, dentry: u64, root_sb: u64) -> u64 {
    let user = offset!(backing_user_dentry);
    let sb: u64 = probe(dentry, offset!(dentry_sb));
    if user == 0 || sb == root_sb {
        return dentry;
    }
    let front: u64 = probe(file, user);
    let sb: u64 = probe(front, offset!(dentry_sb));
    if sb == root_sb { front } else { dentry }
}

/// Reports a touch if it is the first of its kind.
#[inline(always)]
pub fn report(slot: u32, place: &Place, touch: &Touch) {
    prepare(slot, place, touch);
    take(slot);
}

/// Leaves a touch in the buffer for [`take`].
#[inline(always)]
pub fn prepare(slot: u32, place: &Place, touch: &Touch) {
    let Some(buffer) = buffer(slot) else { return };
    // SAFETY: inside the buffer and aligned. Field by field: a copy of the
    // whole would be a call.
    unsafe {
        let pending = &mut *buffer.add(PENDING).cast::<Pending>();
        pending.root_sb = place.root_sb;
        pending.cgroup = place.cgroup;
        pending.dentry = touch.file.dentry;
        pending.ino = touch.file.ino;
        pending.base.dentry = touch.base.dentry;
        pending.base.ino = touch.base.ino;
        pending.base.sb = touch.base.sb;
        pending.name_len = touch.name_len as u64;
        pending.dev = place.dev;
        pending.kind = touch.kind;
        const FMODE_WRITE: u32 = 2;
        let written = touch.kind == kind::OPEN && touch.file.mode & FMODE_WRITE != 0;
        pending.flags = touch.flags | if written { flag::WRITE } else { 0 };
    }
}

/// Reports what [`prepare`] left in the buffer if it is the first of its kind.
///
/// One call after the other, and not one in the other: all that are under way
/// share 512 bytes of stack.
#[inline(always)]
pub fn take(slot: u32) {
    if is_new(slot) != 0 {
        tell(slot);
    }
}

/// Reports a touch of a file that was not named.
#[inline(always)]
pub fn report_file(slot: u32, place: &Place, kind: u8, file: Subject) {
    report(slot, place, &Touch { kind, flags: 0, file, base: Base::default(), name_len: 0 });
}

/// Whether what [`prepare`] left in the buffer is not known yet, as 1 or 0.
///
/// A global function: the verifier checks it once, whoever calls it, and
/// forgets what a caller came by to get there.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn is_new(slot: u32) -> u64 {
    let Some(buffer) = buffer(slot) else { return 0 };
    // SAFETY: as in `prepare`.
    let touch = unsafe { &mut *buffer.add(PENDING).cast::<Pending>() };
    let (cgroup, root_sb, dev) = (touch.cgroup, touch.root_sb, touch.dev);
    let (ino, dentry) = (touch.ino, touch.dentry);
    let mut flags = touch.flags;
    let mut base = touch.base;
    if (base.dentry != 0 || touch.name_len != 0) && base.sb != root_sb {
        base = Base::default();
        flags |= flag::BASE_OUTSIDE;
        if dentry == 0 {
            return 0;
        }
    }
    let name_len = touch.name_len as usize & (NAME_MAX - 1);
    let exe = executable(root_sb);
    let what = u64::from(touch.kind) | u64::from(flags) << 8 | u64::from(dev) << 32;
    let mut hash = hash(slot, buffer, name_len);
    hash = mix(mix(mix(mix(hash, ino), base.ino), exe), what);
    let key = Key { cgroup, touch: hash ^ hash >> 32 };
    // SAFETY: a word, which user space writes whole. This target's compiler
    // has no atomic load.
    let epoch = unsafe { core::ptr::read_volatile(EPOCH.as_ptr()) };
    let mark = mix(mix(key.touch, cgroup), epoch);
    let Some(recent) = RECENT.get_ptr_mut(mark as u32 & (RECENT_TOUCHES - 1)) else { return 0 };
    // SAFETY: this CPU's own; a program that comes in between writes a whole
    // word, too.
    if unsafe { *recent } == mark {
        return 0;
    }
    // SAFETY: a word, which is read whole.
    if unsafe { SEEN.get(&key) }.is_some_and(|&last| last == epoch) {
        // SAFETY: as above.
        unsafe { *recent = mark };
        return 0;
    }

    touch.flags = flags;
    touch.base = base;
    touch.exe = exe;
    touch.touch = key.touch;
    touch.epoch = epoch;
    1
}

/// Tells of a touch that [`is_new`]. The result means nothing.
///
/// A global function, as that is.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tell(slot: u32) -> u64 {
    let Some(buffer) = buffer(slot) else { return 0 };
    // SAFETY: as in `prepare`.
    let touch = unsafe { &*buffer.add(PENDING).cast::<Pending>() };
    let (cgroup, root_sb, dev) = (touch.cgroup, touch.root_sb, touch.dev);
    let (ino, dentry, base) = (touch.ino, touch.dentry, touch.base);
    let (exe, epoch) = (touch.exe, touch.epoch);
    let mut flags = touch.flags;
    let mut name_len = touch.name_len as usize & (NAME_MAX - 1);
    let key = Key { cgroup, touch: touch.touch };

    let Some(group) = group::of(cgroup) else { return 0 };
    let elsewhere = group::get(group).root_sb != 0 && group::get(group).root_sb != root_sb;
    if elsewhere {
        // The task has changed its root to another file system: a volume, or
        // one made to look like the image's. Not the image's files.
        let _ = remember(group, &key, epoch);
        return 0;
    }
    group::announce(slot, cgroup, dev, group);

    let root = group::root(group);
    let whole = root == probe::<u64>(root_sb, offset!(sb_root));
    let mut end = (HEADER + name_len) as u64;
    let mut path_len = 0u64;
    if dentry != 0 {
        let pprev: u64 = probe(dentry, offset!(dentry_pprev));
        if pprev == 0 {
            flags |= flag::UNLINKED;
        }
        let (after, top) = append_path(slot, buffer, dentry, root, end);
        if top == 0 {
            flags |= flag::CUT;
        } else if top != root && whole {
            flags |= flag::DETACHED;
        } else if top != root {
            // On the filesystem that the rootfs is a directory of, but not in
            // that directory: a volume.
            let _ = remember(group, &key, epoch);
            return 0;
        }
        path_len = after - end;
        end = after;
    }
    let mut base_len = 0u64;
    if base.dentry != 0 {
        let (after, top) = append_path(slot, buffer, base.dentry, root, end);
        if top == 0 {
            flags |= flag::CUT;
        } else if top != root {
            flags |= flag::BASE_OUTSIDE;
        }
        base_len = after - end;
        end = after;
    }
    if flags & flag::CUT != 0 {
        // A piece would name another file, and takes room.
        (name_len, path_len, base_len, end) = (0, 0, 0, HEADER as u64);
    }
    if exe == 0 {
        flags |= flag::FOREIGN_EXE;
    }
    // SAFETY: the buffer is larger than a header and aligned.
    let header = unsafe { &mut *buffer.cast::<Header>() };
    now(header);
    header.cgroup = cgroup;
    header.ino = ino;
    header.dev = dev;
    header.name_len = name_len as u16;
    header.path_len = path_len as u16;
    header.base_len = base_len as u16;
    header.kind = touch.kind;
    header.flags = flags;
    header.exe = exe;
    header.epoch = epoch;

    let waiting = waiting();
    if !may_send(group, waiting) {
        lose(cgroup, counter::RING_FULL);
        return 0;
    }
    let remembered = remember(group, &key, epoch);
    match remembered {
        Ok(()) => {}
        // EEXIST: another CPU reported the same in the meantime.
        Err(-17) => return 0,
        // Full: delivered all the same, at the price of a record each time.
        Err(_) => lose(cgroup, counter::TABLE_FULL),
    }
    if flags & flag::CUT != 0 {
        lose(cgroup, counter::CUT);
    }
    if flags & flag::DETACHED != 0 {
        lose(cgroup, counter::DETACHED);
    }
    let filling = waiting > u64::from(setting!(crowded)) / 4;
    if send(buffer, end & (SCRATCH as u64 - 1), filling) {
        count(counter::DELIVERED);
        return 0;
    }
    lose(cgroup, counter::RING_FULL);
    if remembered.is_ok()
        && let Some(last) = SEEN.get_ptr_mut(&key)
    {
        // SAFETY: as in `remember`.
        unsafe { *last = UNSENT };
    }
    0
}

/// Puts a touch into the table of known ones, if the group has not had its
/// share of it yet; one that is there from an earlier epoch stays in its
/// place.
#[inline(always)]
fn remember(group: *mut profiler_ebpf::Group, key: &Key, epoch: u64) -> Result<(), i32> {
    const E2BIG: i32 = -7;
    const EEXIST: i32 = -17;
    if let Some(last) = SEEN.get_ptr_mut(key) {
        // SAFETY: a value of a preallocated map from which nothing is removed,
        // and a word, which is read and written whole. Two CPUs that come here
        // at once may both report the name, which does no harm.
        unsafe {
            if *last == epoch {
                return Err(EEXIST);
            }
            *last = epoch;
        }
        return Ok(());
    }
    if group::get(group).names >= u64::from(setting!(budget)) {
        return Err(E2BIG);
    }
    SEEN.insert(key, &epoch, u64::from(BPF_NOEXIST))?;
    group::get(group).names += 1;
    Ok(())
}

/// Records that a control group may send in a span of time while the ring
/// buffer is crowded.
const SHARE: u64 = 4096;
/// The same while it is as good as full: what user space could not take for a
/// second or two finds room then.
const LAST_SHARE: u64 = 256;

/// Whether a control group may use what is left of the ring buffer: when that
/// is little, one that floods it must leave the rest to its neighbours.
#[inline(always)]
fn may_send(group: *mut profiler_ebpf::Group, waiting: u64) -> bool {
    // SAFETY: a helper without arguments; the group is a map's value. Two
    // CPUs may both start a span: the share is then a little larger.
    unsafe {
        let window = bpf_ktime_get_boot_ns() >> 27;
        if (*group).window != window {
            (*group).window = window;
            (*group).sent = 0;
        }
        (*group).sent += 1;
        // Crowded are three quarters of the buffer, so this is seven eighths.
        let crowded = u64::from(setting!(crowded));
        let share = if waiting < crowded / 6 * 7 { SHARE } else { LAST_SHARE };
        (*group).sent <= share || waiting < crowded
    }
}

/// Bytes that wait in the ring buffer.
#[inline(always)]
fn waiting() -> u64 {
    // SAFETY: the helper only asks the map.
    unsafe {
        bpf_ringbuf_query((&raw const EVENTS).cast_mut().cast(), u64::from(BPF_RB_AVAIL_DATA))
    }
}

/// Fills in what is the same for all records: time and task.
#[inline(always)]
pub fn now(header: &mut Header) {
    // SAFETY: helpers; `comm` has the size given.
    unsafe {
        header.time = bpf_ktime_get_boot_ns();
        header.tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        bpf_get_current_comm((&raw mut header.comm).cast(), 16);
    }
}

/// Sends `size` bytes of a buffer, fewer than it has. User space looks into
/// the ring from time to time; waking it up costs more than the record, and is
/// done when `now`.
#[inline(always)]
pub fn send(buffer: *mut u8, size: u64, now: bool) -> bool {
    let flags = u64::from(if now { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP });
    // SAFETY: see above.
    unsafe {
        bpf_ringbuf_output((&raw const EVENTS).cast_mut().cast(), buffer.cast(), size, flags) == 0
    }
}

/// Inode number of the program the task runs, 0 when it is not the rootfs's.
#[inline(always)]
fn executable(root_sb: u64) -> u64 {
    // SAFETY: typed from the task on.
    unsafe {
        let mm: Typed = field(current(), offset!(task_mm));
        let exe: Typed = field(mm, offset!(mm_exe_file));
        let inode: Typed = field(exe, offset!(file_inode));
        let sb: u64 = field(inode, offset!(inode_sb));
        if sb == root_sb { field(inode, offset!(inode_ino)) } else { 0 }
    }
}
