//! Loading and attaching the eBPF programs, and reading what they send.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use aya::maps::{Array, MapData, PerCpuArray, PerCpuHashMap, RingBuf};
use aya::programs::{BtfTracePoint, Program, ProgramError};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use profiler_ebpf::{Offsets, SYSCALLS, Settings, URING_OPS, counter};
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::btf::{Btf, BtfError};
use super::event::{Event, decode};
use super::tier::{Found, Tier};
use super::{offsets, syscalls};
use crate::profile::Lost;

/// Why capturing could not start.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The kernel offers no description of its types.
    #[error(
        "cannot read the kernel's BTF at {path}: {source}; profiling needs a kernel built with CONFIG_DEBUG_INFO_BTF, see `profiler doctor`"
    )]
    NoBtf {
        /// Where it was looked for.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// The description could not be used.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// Not privileged enough.
    #[error(
        "no permission to load eBPF programs; run as root or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE, see `profiler doctor`"
    )]
    Permission,
    /// The kernel refused the programs.
    #[error("the kernel refused the eBPF programs: {0}; see `profiler doctor`")]
    Refused(String),
    /// The tier that was asked for does not work here.
    #[error("hook tier {tier} does not work here: {cause}; leave --tier out to take one that does")]
    Tier {
        /// Which.
        tier: Tier,
        /// Why.
        cause: String,
    },
    /// Something under /proc was unreadable.
    #[error(
        "cannot read {path}: {source}; mount /proc, and share the host's PID namespace if this is a container"
    )]
    Proc {
        /// The file.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

/// Sizes of what the kernel side keeps.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of the ring buffer, a power of two and whole pages.
    pub ring_bytes: u32,
    /// Names that can be told apart before touches are reported again.
    pub table_entries: u32,
    /// Take this tier or fail; without it, the best that works.
    pub tier: Option<Tier>,
}

impl Default for Options {
    fn default() -> Self {
        Self { ring_bytes: 8 << 20, table_entries: 1 << 19, tier: None }
    }
}

/// Attached programs; dropping detaches them.
pub struct Probe {
    ebpf: Ebpf,
    ring: AsyncFd<RingBuf<MapData>>,
    counters: PerCpuArray<MapData, u64>,
    losses: PerCpuHashMap<MapData, u64, [u64; counter::COUNT as usize]>,
    /// The kernel side's variable, see [`advance`](Self::advance).
    epoch: (u64, Array<MapData, u64>),
    /// When records that wake nobody up are to be read.
    due: Instant,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    tier: Tier,
    host_dev: u32,
    undecodable: u64,
}

/// Lets aya hand the tables over as bytes.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Plain<T: Copy>(T);

// SAFETY: `repr(C)` structures of u32 without padding.
unsafe impl aya::Pod for Plain<Offsets> {}
// SAFETY: as above.
unsafe impl aya::Pod for Plain<Settings> {}
// SAFETY: an array of u32.
unsafe impl aya::Pod for Plain<[[u32; 4]; SYSCALLS]> {}
// SAFETY: as above.
unsafe impl aya::Pod for Plain<[[u32; 2]; URING_OPS]> {}

/// How long records that wake nobody up may wait.
const INTERVAL: Duration = Duration::from_millis(100);

const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// What is taken from the kernel's description of its types.
struct Kernel {
    offsets: Plain<Offsets>,
    uring: Plain<[[u32; 2]; URING_OPS]>,
    hooks: Found,
}

impl Kernel {
    fn read() -> Result<Self, CaptureError> {
        let data = fs::read(BTF_PATH)
            .map_err(|source| CaptureError::NoBtf { path: BTF_PATH.into(), source })?;
        let btf = Btf::parse(data)?;
        Ok(Self {
            offsets: Plain(offsets::from_btf(&btf, v1_controller().as_deref())?),
            uring: Plain(offsets::uring(&btf)),
            hooks: Found::in_btf(&btf),
        })
    }
}

/// The cgroup v1 controller to tell containers apart by; none where there is a
/// v2 hierarchy. Container runtimes use every controller there is, so the
/// first of the usual ones will do.
fn v1_controller() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    if mounts.contains(" - cgroup2 ") {
        return None;
    }
    // "4:cpu,cpuacct:/"
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounted: Vec<&str> = groups
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .flat_map(|c| c.split(','))
        .collect();
    let usual = ["pids", "memory", "cpuset", "cpu", "devices", "freezer"];
    usual.into_iter().find(|controller| mounted.contains(controller)).map(str::to_owned)
}

/// Gives the memory that loading took back to the system: watching needs
/// little, and may go on for days.
fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a function of the allocator's without preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

impl Probe {
    /// Loads and attaches; on return every touch from now on is recorded.
    ///
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// See [`CaptureError`].
    pub fn attach(options: Options) -> Result<Self, CaptureError> {
        let kernel = Kernel::read()?;
        let host = host()?;
        let settings = Plain(Settings {
            // The rest is for those who do not flood it.
            crowded: options.ring_bytes / 4 * 3,
            budget: options.table_entries / 2,
            uring_result: u32::from(kernel.hooks.uring_passes_result),
            ..host
        });
        let table = Plain(*syscalls::table());
        let mut ebpf = EbpfLoader::new()
            // Nothing in the object is relocated by BTF.
            .btf(None)
            .override_global("OFFSETS", &kernel.offsets, true)
            .override_global("SETTINGS", &settings, true)
            .override_global("SYSCALL_TABLE", &table, true)
            .override_global("URING_TABLE", &kernel.uring, true)
            .map_max_entries("EVENTS", options.ring_bytes)
            .map_max_entries("SEEN", options.table_entries)
            .load(OBJECT)
            .map_err(|error| refused(&error))?;
        let btf = aya::Btf::from_sys_fs().map_err(|error| refused(&error))?;
        // Before the programs are loaded: they use the logger's map. Its
        // records are rare diagnostics, read whenever events are.
        let logger = EbpfLogger::init(&mut ebpf)
            .map_err(|error| log::info!("no diagnostics from the kernel side: {error}"))
            .ok();
        // Exec first: a process that opens must have been executed.
        trace(&mut ebpf, "process_exec", "sched_process_exec", &btf)
            .map_err(|error| refused(&error))?;
        let tier = attach_tier(&mut ebpf, options.tier, kernel.hooks, &btf)?;
        drop(btf);
        give_back();
        let ring = ebpf.take_map("EVENTS").expect("the object has this map");
        let ring = RingBuf::try_from(ring).map_err(|error| refused(&error))?;
        // SAFETY: the ring owns its descriptor, keeps it open until it is
        // dropped, and answers with the same one each time.
        let ring = unsafe { AsyncFd::register(ring) }.map_err(|error| refused(&error))?;
        let counters = ebpf.take_map("COUNTERS").expect("the object has this map");
        let counters = PerCpuArray::try_from(counters).map_err(|error| refused(&error))?;
        let losses = ebpf.take_map("LOSSES").expect("the object has this map");
        let losses = PerCpuHashMap::try_from(losses).map_err(|error| refused(&error))?;
        let epoch = ebpf.take_map(".bss").expect("the object has this map");
        let epoch = Array::try_from(epoch).map_err(|error| refused(&error))?;
        Ok(Self {
            ebpf,
            ring,
            counters,
            losses,
            epoch: (0, epoch),
            due: Instant::now() + INTERVAL,
            logger,
            tier,
            host_dev: host.host_dev,
            undecodable: 0,
        })
    }

    /// The hook tier in use.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Device of the host's root filesystem, as in
    /// [`Touch::dev`](super::event::Touch::dev).
    pub fn host_dev(&self) -> u32 {
        self.host_dev
    }

    /// Begins a new epoch, in which the first touch of each name is reported
    /// once more, and returns its number; they count from 1. On return every
    /// touch that begins from now on falls into it, and none that has ended by
    /// now.
    ///
    /// # Errors
    /// When the kernel refuses the change; the epoch is then what it was.
    pub fn advance(&mut self) -> io::Result<u64> {
        let (current, variable) = &mut self.epoch;
        variable.set(0, *current + 1, 0).map_err(io::Error::other)?;
        *current += 1;
        Ok(*current)
    }

    /// Waits for records, a tenth of a second at most, and hands each to
    /// `sink`; returns when all that were there have been read. The kernel
    /// side wakes this up when a container appears and when the ring fills.
    ///
    /// # Errors
    /// When the ring buffer cannot be polled.
    pub async fn next(&mut self, sink: &mut impl FnMut(Event)) -> io::Result<()> {
        // Whatever cancelled the last wait: this one is not a whole one more.
        match tokio::time::timeout_at(self.due, self.ring.readable_mut()).await {
            Ok(guard) => {
                let mut guard = guard?;
                // Before the drain: what comes while it runs wakes us again.
                guard.clear_ready();
                self.undecodable += drain(guard.get_inner_mut(), sink);
            }
            Err(_) => self.undecodable += drain(self.ring.get_mut(), sink),
        }
        self.due = Instant::now() + INTERVAL;
        self.flush();
        Ok(())
    }

    /// Reads what is there without waiting.
    pub fn drain(&mut self, sink: &mut impl FnMut(Event)) {
        self.undecodable += drain(self.ring.get_mut(), sink);
        self.flush();
    }

    fn flush(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// Stops the programs. What they sent before can still be drained.
    pub fn detach(&mut self) {
        for (_, program) in self.ebpf.programs_mut() {
            unload(program);
        }
    }

    /// What was lost so far; ask before [`detach`](Self::detach), after which
    /// the programs' own statistics are gone.
    pub fn lost(&self) -> Lost {
        let mut sums = [0; counter::COUNT as usize];
        for (index, sum) in sums.iter_mut().enumerate() {
            let values = self.counters.get(&(index as u32), 0);
            *sum = values.map_or(0, |values| values.iter().sum::<u64>());
        }
        Lost {
            missed_runs: self.missed_runs(),
            unreadable: self.undecodable + by_cause(&sums).unreadable,
            ..by_cause(&sums)
        }
    }

    /// What of that was lost by which control group. What could not be told
    /// apart is in none.
    pub fn lost_by_group(&self) -> HashMap<u64, Lost> {
        let groups = self.losses.iter().flatten();
        groups
            .map(|(cgroup, values)| {
                let mut sums = [0; counter::COUNT as usize];
                for value in values.iter() {
                    sums.iter_mut().zip(value).for_each(|(sum, count)| *sum += count);
                }
                (cgroup, by_cause(&sums))
            })
            .collect()
    }

    /// Program runs the kernel skipped to avoid recursion.
    fn missed_runs(&self) -> u64 {
        self.ebpf
            .programs()
            .filter_map(|(_, program)| program.fd().ok())
            .filter_map(|fd| {
                use std::os::fd::AsFd as _;
                let info = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
                let text = fs::read_to_string(info).ok()?;
                let line = text.lines().find_map(|l| l.strip_prefix("recursion_misses:"))?;
                line.trim().parse::<u64>().ok()
            })
            .sum()
    }
}

fn drain(ring: &mut RingBuf<MapData>, sink: &mut impl FnMut(Event)) -> u64 {
    let mut undecodable = 0;
    while let Some(record) = ring.next() {
        match decode(&record) {
            Some(event) => sink(event),
            None => undecodable += 1,
        }
    }
    undecodable
}

/// The object that the build script compiled.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/profiler-ebpf"));

/// The kernel side's counters by the names of the profile.
fn by_cause(sums: &[u64; counter::COUNT as usize]) -> Lost {
    let of = |index: u32| sums[index as usize];
    Lost {
        ring_full: of(counter::RING_FULL),
        path_too_deep: of(counter::CUT),
        missed_runs: 0,
        unattributed: 0,
        unreadable: of(counter::UNREADABLE) + of(counter::DETACHED),
        table_full: of(counter::TABLE_FULL),
    }
}

/// Loads and attaches the tier asked for, or the best that works.
fn attach_tier(
    ebpf: &mut Ebpf,
    wanted: Option<Tier>,
    hooks: Found,
    btf: &aya::Btf,
) -> Result<Tier, CaptureError> {
    if wanted != Some(Tier::Tracepoint) {
        let attached = hooks.functions.and_then(|functions| {
            let attached = attach_functions(ebpf, &functions, btf);
            if attached.is_err() {
                functions.iter().for_each(|(program, _)| unload(program_of(ebpf, program)));
            }
            attached
        });
        match attached {
            Ok(()) => return Ok(Tier::Fexit),
            Err(cause) if wanted.is_some() => {
                return Err(CaptureError::Tier { tier: Tier::Fexit, cause });
            }
            Err(cause) => log::info!("tier fexit does not work here ({cause}), taking tracepoint"),
        }
    }
    trace(ebpf, "sys_exit", "sys_exit", btf).map_err(|error| refused(&error))?;
    for (program, tracepoint) in hooks.uring {
        trace(ebpf, program, tracepoint, btf).map_err(|error| refused(&error))?;
    }
    Ok(Tier::Tracepoint)
}

/// Loads all of the fexit tier before any of it is attached: half a tier would
/// see half of the touches.
fn attach_functions(
    ebpf: &mut Ebpf,
    functions: &[(&str, &str)],
    btf: &aya::Btf,
) -> Result<(), String> {
    for (program, function) in functions {
        match program_of(ebpf, program) {
            Program::FEntry(program) => program.load(function, btf),
            Program::FExit(program) => program.load(function, btf),
            _ => unreachable!("programs of this tier are of these two types"),
        }
        .map_err(|error| format!("{function}: {}", chain(&error)))?;
    }
    for (program, function) in functions {
        match program_of(ebpf, program) {
            Program::FEntry(program) => program.attach().map(drop),
            Program::FExit(program) => program.attach().map(drop),
            _ => unreachable!("programs of this tier are of these two types"),
        }
        .map_err(|error| format!("{function}: {}", chain(&error)))?;
    }
    Ok(())
}

fn program_of<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut Program {
    ebpf.program_mut(name).expect("the object has this program")
}

fn trace(ebpf: &mut Ebpf, name: &str, hook: &str, btf: &aya::Btf) -> Result<(), ProgramError> {
    let program: &mut BtfTracePoint = program_of(ebpf, name).try_into()?;
    program.load(hook, btf)?;
    program.attach()?;
    Ok(())
}

/// Unloading drops the links; one that was never loaded says so, which does
/// not matter.
fn unload(program: &mut Program) {
    let _ = match program {
        Program::BtfTracePoint(program) => program.unload(),
        Program::FEntry(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        _ => Ok(()),
    };
}

/// Sorts refusals out: most are missing privileges.
fn refused(error: &(dyn std::error::Error + 'static)) -> CaptureError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            // EACCES is the verifier's.
            && io.raw_os_error() == Some(libc::EPERM)
        {
            return CaptureError::Permission;
        }
        cause = error.source();
    }
    CaptureError::Refused(chain(error))
}

/// An error with its causes in one line. Of the verifier's log, which can have
/// a hundred thousand lines, the last that say something.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(ProgramError::LoadError { io_error, verifier_log }) = error.downcast_ref() {
        log::debug!("verifier: {verifier_log}");
        let log = verifier_log.to_string();
        let mut said: Vec<&str> =
            log.lines().rev().filter(|line| !line.trim().is_empty()).take(8).collect();
        said.reverse();
        return match said.as_slice() {
            [] => io_error.to_string(),
            said => format!("{io_error} ({})", said.join(" ")),
        };
    }
    let mut text = error.to_string();
    if let Some(cause) = error.source() {
        text = format!("{text}: {}", chain(cause));
    }
    text
}

/// What marks the host: mount namespace and root filesystem of process 1, or
/// of this process where a security policy hides process 1.
fn host() -> Result<Settings, CaptureError> {
    host_of("1").or_else(|_| host_of("self"))
}

fn host_of(process: &str) -> Result<Settings, CaptureError> {
    let failed = |path: &str| {
        let path = path.to_owned();
        move |source| CaptureError::Proc { path, source }
    };
    let link = format!("/proc/{process}/ns/mnt");
    let target = fs::read_link(&link).map_err(failed(&link))?;
    // "mnt:[4026531841]"
    let digits: String = target.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    let mounts = format!("/proc/{process}/mountinfo");
    let text = fs::read_to_string(&mounts).map_err(failed(&mounts))?;
    // The last mount on "/" is the one seen. Device numbers come from here
    // and not from stat(2), which btrfs answers with another.
    let device = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let device = fields.nth(2)?;
            (fields.nth(1)? == "/").then_some(device)
        })
        .next_back()
        .and_then(|device| {
            let (major, minor) = device.split_once(':')?;
            Some(major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?)
        });
    Ok(Settings {
        host_mnt_ns: digits.parse().unwrap_or(0),
        host_dev: device.unwrap_or(0),
        ..Settings::default()
    })
}
