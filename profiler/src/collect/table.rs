//! Everything seen of one container, or of all containers of an image: small,
//! for there may be a million paths.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::chunks::Chunks;
use super::index::Index;
use super::marks::{Test, Touched};
use super::sorted::Sorted;
use super::tree::{NONE, NodeId, Nodes, Tree};
use crate::profile::KindSet;

/// What a name in the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A file's place in the rootfs.
    Path,
    /// A name that was spoken and found.
    Name,
    /// A name that was spoken and not found.
    Missing,
}

impl Role {
    const ALL: [Self; 3] = [Self::Path, Self::Name, Self::Missing];

    /// Each role has a root of its own, made with the table.
    fn root(self) -> NodeId {
        self as NodeId
    }
}

/// The root whose children are task names.
const COMMS: NodeId = 3;

/// One touch, or what is kept of all touches of a name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    /// Of the first touch, milliseconds since the collector began.
    pub first: u32,
    /// The task of the first touch, as [`Table::task`] gave it.
    pub task: u32,
    /// None for a node that was not touched itself.
    pub kinds: KindSet,
    /// [`WRITTEN`], [`WORKLOAD`], and what the table itself puts there.
    pub flags: u8,
}

/// Flag: opened for writing.
pub const WRITTEN: u8 = 1;
/// Flag: touched by one of the container's own programs.
pub const WORKLOAD: u8 = 1 << 1;
/// Place of the two bits that hold the role.
const ROLE: u8 = 2;

impl Mark {
    fn role(self) -> Role {
        Role::ALL[usize::from(self.flags >> ROLE)]
    }
}

/// An executable, by number. Zero is any from outside the rootfs, and one
/// that is not known.
pub type ExeId = u32;

/// Executables: by inode while events come in, as these carry no path, and by
/// path between containers.
#[derive(Debug)]
struct Executables {
    /// Path of each; [`NONE`] where no execution told it.
    paths: Vec<NodeId>,
    by_file: HashMap<(u32, u64), ExeId>,
    by_path: HashMap<NodeId, ExeId>,
}

impl Default for Executables {
    fn default() -> Self {
        Self { paths: vec![NONE], by_file: HashMap::new(), by_path: HashMap::new() }
    }
}

impl Executables {
    fn add(&mut self, path: NodeId) -> ExeId {
        self.paths.push(path);
        (self.paths.len() - 1) as ExeId
    }

    fn of_file(&mut self, dev: u32, ino: u64) -> ExeId {
        if ino == 0 {
            return 0;
        }
        if let Some(&id) = self.by_file.get(&(dev, ino)) {
            return id;
        }
        let id = self.add(NONE);
        self.by_file.insert((dev, ino), id);
        id
    }

    /// A file was executed by this path. The first path of several stays;
    /// whether this is it.
    fn learn(&mut self, dev: u32, ino: u64, path: NodeId) -> bool {
        let id = self.of_file(dev, ino);
        let first = id != 0 && self.paths[id as usize] == NONE;
        if first {
            self.paths[id as usize] = path;
            self.by_path.entry(path).or_insert(id);
        }
        first
    }

    fn of_path(&mut self, path: NodeId) -> ExeId {
        if let Some(&id) = self.by_path.get(&path) {
            return id;
        }
        let id = self.add(path);
        self.by_path.insert(path, id);
        id
    }
}

/// The table.
#[derive(Debug)]
pub struct Table {
    tree: Tree,
    /// One for each node.
    marks: Chunks<Mark>,
    /// Names touched, by role.
    counts: [usize; 3],
    /// Task name and executable of each task.
    tasks: Vec<(NodeId, ExeId)>,
    task_index: HashMap<(NodeId, ExeId), u32>,
    executables: Executables,
    /// Node and executable of touches of paths by another executable than the
    /// first touch's.
    further: Index<u64>,
    touched: Touched,
    state: RandomState,
    /// Touches there was no room for.
    pub dropped: u64,
    /// Grows with every touch that changes what [`seal`](Self::seal) gives,
    /// and with no other; touches there was no room for apart.
    pub revision: u64,
}

impl Default for Table {
    fn default() -> Self {
        let mut tree = Tree::default();
        for _ in 0..=COMMS {
            tree.add_root().expect("room for the first nodes");
        }
        Self {
            tree,
            marks: Chunks::default(),
            counts: [0; 3],
            tasks: Vec::new(),
            task_index: HashMap::new(),
            executables: Executables::default(),
            further: Index::default(),
            touched: Touched::default(),
            state: RandomState::new(),
            dropped: 0,
            revision: 0,
        }
    }
}

/// A node and an executable in one number that sorts by node.
fn pair(node: NodeId, exe: ExeId) -> u64 {
    u64::from(node) << 32 | u64::from(exe)
}

/// What [`pair`] was made of.
fn unpair(pair: u64) -> (NodeId, ExeId) {
    ((pair >> 32) as u32, pair as u32)
}

impl Table {
    /// How many names of that role there are.
    pub fn count(&self, role: Role) -> usize {
        self.counts[role as usize]
    }

    /// Whether nothing was touched.
    pub fn is_empty(&self) -> bool {
        self.counts == [0; 3]
    }

    /// Whether a name is there.
    pub fn contains(&self, role: Role, name: &[u8]) -> bool {
        self.tree.find(role.root(), name).is_some_and(|node| {
            (node as usize) < self.marks.len() && !self.marks.get(node).kinds.is_empty()
        })
    }

    /// The number of a task by its name and the inode of its executable; zero
    /// where that is not the rootfs's own. None when there is no room.
    pub fn task(&mut self, comm: &str, dev: u32, exe: u64) -> Option<u32> {
        let exe = self.executables.of_file(dev, exe);
        self.task_of(comm.as_bytes(), exe)
    }

    fn task_of(&mut self, comm: &[u8], exe: ExeId) -> Option<u32> {
        let comm = self.tree.grow(COMMS, comm)?;
        if let Some(&task) = self.task_index.get(&(comm, exe)) {
            return Some(task);
        }
        let task = u32::try_from(self.tasks.len()).ok()?;
        self.tasks.push((comm, exe));
        self.task_index.insert((comm, exe), task);
        Some(task)
    }

    /// Notes a touch of `name`, whose node it returns, during a test. Where
    /// there is no room the touch counts as [`dropped`](Self::dropped).
    pub fn note(&mut self, role: Role, name: &[u8], touch: Mark, test: Test) -> Option<NodeId> {
        let node = self.tree.insert(role.root(), name);
        let before = self.note_at(role, node, touch);
        if touch.flags & WORKLOAD != 0
            && let Some(node) = node
        {
            self.revision += u64::from(self.touched.add(node, test, before));
        }
        node
    }

    /// The file with that inode number was executed at a path's node.
    pub fn executed(&mut self, dev: u32, ino: u64, path: NodeId) {
        self.revision += u64::from(self.executables.learn(dev, ino, path));
    }

    /// Returns whether one of the container's own programs had touched it
    /// before.
    fn note_at(&mut self, role: Role, node: Option<NodeId>, touch: Mark) -> bool {
        while self.marks.len() < self.tree.nodes().len() {
            self.marks.push(Mark::default());
        }
        let Some(node) = node else {
            self.dropped += 1;
            return false;
        };
        let mark = self.marks.get_mut(node);
        if mark.kinds.is_empty() {
            *mark = Mark { flags: touch.flags | (role as u8) << ROLE, ..touch };
            self.counts[role as usize] += 1;
            self.revision += 1;
            return false;
        }
        let before = (mark.kinds, mark.flags, mark.first);
        mark.kinds.unite(touch.kinds);
        mark.flags |= touch.flags;
        let mut other = touch.task;
        if touch.first < mark.first {
            mark.first = touch.first;
            std::mem::swap(&mut mark.task, &mut other);
        }
        self.revision += u64::from(before != (mark.kinds, mark.flags, mark.first));
        let (_, flags, _) = before;
        let exe = |task: u32| self.tasks[task as usize].1;
        if role == Role::Path && exe(other) != exe(mark.task) {
            let other = pair(node, exe(other));
            self.add_further(other);
        }
        flags & WORKLOAD != 0
    }

    fn add_further(&mut self, pair: u64) {
        let state = &self.state;
        if self.further.find(state.hash_one(pair), |&other| other == pair).is_none() {
            self.further.insert(pair, |pair| state.hash_one(pair));
            self.revision += 1;
        }
    }

    /// Takes in the table of another container, which is freed on the way.
    pub fn absorb(&mut self, from: Self) {
        let Self { tree, marks, tasks, executables, further, touched, dropped, .. } = from;
        self.dropped = self.dropped.saturating_add(dropped);
        let mut touched = self.touched.absorb(touched);
        let nodes = tree.into_nodes();
        let exes: Vec<ExeId> = executables
            .paths
            .iter()
            .enumerate()
            .map(|(id, &path)| match path {
                NONE if id == 0 => 0,
                NONE => self.executables.add(NONE),
                path => match self.tree.insert(Role::Path.root(), &nodes.path(path)) {
                    Some(node) => self.executables.of_path(node),
                    None => self.executables.add(NONE),
                },
            })
            .collect();
        let tasks: Vec<Option<u32>> = tasks
            .into_iter()
            .map(|(comm, exe)| self.task_of(nodes.label(comm), exes[exe as usize]))
            .collect();

        // By number there: where its children go here.
        let mut places: Vec<NodeId> = Vec::with_capacity(nodes.len());
        let mut marks = marks.into_iter();
        nodes.consume(|id, parent, label| {
            let node = match parent {
                // Every table has the same roots.
                NONE => Some(id),
                parent => match places[parent as usize] {
                    NONE => None,
                    parent => self.tree.grow(parent, label),
                },
            };
            let mark = marks.next().unwrap_or_default();
            if !mark.kinds.is_empty() {
                match tasks[mark.task as usize] {
                    Some(task) => {
                        let before = self.note_at(mark.role(), node, Mark { task, ..mark });
                        if mark.flags & WORKLOAD != 0
                            && let Some(node) = node
                        {
                            self.touched.unite(node, before, &mut touched, id);
                        }
                    }
                    None => self.dropped += 1,
                }
            }
            places.push(node.unwrap_or(NONE));
        });
        for other in further {
            let (node, exe) = unpair(other);
            let node = places[node as usize];
            if node != NONE {
                self.add_further(pair(node, exes[exe as usize]));
            }
        }
    }

    /// The table without the means to change it, which take a fifth of its
    /// room.
    pub fn seal(self) -> Sealed {
        let nodes = self.tree.into_nodes();
        let mut further = Vec::with_capacity(self.further.len());
        further.extend(self.further);
        further.sort_unstable();
        Sealed {
            nodes,
            marks: self.marks,
            counts: self.counts,
            tasks: self.tasks,
            executables: self.executables.paths,
            further,
            touched: self.touched,
        }
    }
}

/// A finished table.
#[derive(Debug)]
pub struct Sealed {
    nodes: Nodes,
    marks: Chunks<Mark>,
    counts: [usize; 3],
    tasks: Vec<(NodeId, ExeId)>,
    executables: Vec<NodeId>,
    /// Sorted.
    further: Vec<u64>,
    touched: Touched,
}

/// A name that was touched.
#[derive(Debug)]
pub struct Entry<'a> {
    table: &'a Sealed,
    node: NodeId,
    /// The name.
    pub name: Vec<u8>,
    /// All its touches.
    pub mark: Mark,
}

impl Sealed {
    /// How many names of that role there are.
    pub fn count(&self, role: Role) -> usize {
        self.counts[role as usize]
    }

    /// What [`entries`](Self::entries) needs to know the order.
    pub fn sort(&self) -> Sorted<'_> {
        Sorted::new(&self.nodes)
    }

    /// The names of a role in the order of their bytes; made one by one.
    pub fn entries<'a>(
        &'a self,
        role: Role,
        sorted: &'a Sorted<'a>,
    ) -> impl Iterator<Item = Entry<'a>> {
        let mut walk = sorted.walk(role.root());
        std::iter::from_fn(move || {
            loop {
                let node = walk.advance()?;
                // Nodes made last may have none.
                let mark = self.mark(node);
                if !mark.kinds.is_empty() {
                    return Some(Entry { table: self, node, name: walk.path().to_vec(), mark });
                }
            }
        })
    }

    fn mark(&self, node: NodeId) -> Mark {
        if (node as usize) < self.marks.len() { self.marks.get(node) } else { Mark::default() }
    }
}

impl Entry<'_> {
    /// Name of the task that touched it first.
    pub fn comm(&self) -> String {
        let (comm, _) = self.table.tasks[self.mark.task as usize];
        String::from_utf8_lossy(self.table.nodes.label(comm)).into_owned()
    }

    /// Path of the executable that touched it first; none when it is not in
    /// the rootfs or not known.
    pub fn exe(&self) -> Option<Vec<u8>> {
        match self.table.executables[self.first_exe() as usize] {
            NONE => None,
            path => Some(self.table.nodes.path(path)),
        }
    }

    /// How many executables touched it. Counted for [`Role::Path`] only.
    pub fn exes(&self) -> u32 {
        let further = &self.table.further;
        let from = further.partition_point(|&other| unpair(other).0 < self.node);
        let first = self.first_exe();
        let others = further[from..]
            .iter()
            .map(|&other| unpair(other))
            .take_while(|&(node, _)| node == self.node)
            .filter(|&(_, exe)| exe != first)
            .count();
        1 + others as u32
    }

    /// The tests that touched it, in no order; none where that goes without
    /// saying, see [`Touched`].
    pub fn tests(&self) -> Option<impl Iterator<Item = Test> + '_> {
        self.table.touched.tests(self.node)
    }

    fn first_exe(&self) -> ExeId {
        self.table.tasks[self.mark.task as usize].1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::marks::OUTSIDE;
    use super::*;
    use crate::profile::Kind;

    fn mark(table: &mut Table, first: u32, exe: u64) -> Mark {
        let task = table.task("task", 1, exe).unwrap();
        Mark { first, task, kinds: [Kind::Open].into(), flags: 0 }
    }

    fn touch(table: &mut Table, path: &str, first: u32, exe: u64) {
        let mark = mark(table, first, exe);
        table.note(Role::Path, path.as_bytes(), mark, OUTSIDE);
    }

    fn run(table: &mut Table, path: &str, ino: u64) {
        let mark = mark(table, 0, 0);
        let node = table.note(Role::Path, path.as_bytes(), mark, OUTSIDE).unwrap();
        table.executed(1, ino, node);
    }

    /// Path → (first time, first executable, distinct executables).
    fn paths(table: Table) -> BTreeMap<String, (u32, Option<String>, u32)> {
        let sealed = table.seal();
        let sorted = sealed.sort();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let entries: Vec<_> = sealed
            .entries(Role::Path, &sorted)
            .map(|e| (text(e.name.clone()), (e.mark.first, e.exe().map(text), e.exes())))
            .collect();
        assert_eq!(entries.len(), sealed.count(Role::Path));
        assert!(entries.is_sorted());
        entries.into_iter().collect()
    }

    #[test]
    fn executables_are_counted_once_each() {
        let mut table = Table::default();
        run(&mut table, "/bin/a", 10);
        run(&mut table, "/bin/b", 11);
        for exe in [10, 11, 10, 12, 12, 0, 11] {
            touch(&mut table, "/file", 5, exe);
        }
        // An earlier touch may be read later; and its executable be known
        // later still.
        touch(&mut table, "/file", 4, 12);
        run(&mut table, "/bin/c", 12);
        assert_eq!(paths(table)["/file"], (4, Some("/bin/c".into()), 4));
    }

    #[test]
    fn executables_of_two_containers_are_the_same_by_path() {
        let mut one = Table::default();
        run(&mut one, "/bin/a", 10);
        touch(&mut one, "/file", 7, 10);
        touch(&mut one, "/one", 7, 10);
        let mut two = Table::default();
        run(&mut two, "/bin/b", 10);
        run(&mut two, "/bin/a", 11);
        touch(&mut two, "/file", 6, 10);
        touch(&mut two, "/file", 6, 11);
        touch(&mut two, "/one", 8, 11);
        one.absorb(two);
        let paths = paths(one);
        assert_eq!(paths["/file"], (6, Some("/bin/b".into()), 2));
        assert_eq!(paths["/one"], (7, Some("/bin/a".into()), 1));
        assert_eq!(paths["/bin/b"], (0, None, 1));
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let mut table = Table::default();
        let long = vec![b'x'; 1 << 16];
        let touch = mark(&mut table, 0, 0);
        assert_eq!(table.note(Role::Path, &[b"/a/", &long[..]].concat(), touch, OUTSIDE), None);
        assert_eq!((table.dropped, table.count(Role::Path)), (1, 0));
        let mut other = Table::default();
        other.absorb(table);
        assert_eq!(other.dropped, 1);
    }

    /// Against plain maps, over random touches of random containers.
    #[test]
    fn random_containers_fold_like_maps() {
        #[derive(Default, Clone)]
        struct Plain {
            kinds: KindSet,
            flags: u8,
            first: Option<u32>,
            exes: BTreeSet<u64>,
            tests: BTreeSet<Test>,
        }
        for seed in 0..100 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut whole = Table::default();
            let mut plain: BTreeMap<(u8, Vec<u8>), Plain> = BTreeMap::new();
            for container in 0..random.u8(1..4) {
                let mut table = Table::default();
                for _ in 0..random.usize(..200) {
                    let role = random.choice(Role::ALL).unwrap();
                    let mut name = Vec::new();
                    for _ in 0..random.usize(1..4) {
                        name.push(b'/');
                        let length = random.usize(..3);
                        name.extend((0..length).map(|_| random.choice(*b"a!0\xff").unwrap()));
                    }
                    // The same numbers in every container, known by no path.
                    let exe = random.u64(..3);
                    let (first, flags) = (random.u32(..50), random.u8(..4));
                    let kinds = [random.choice(Kind::ALL).unwrap()].into();
                    let task = table.task("x", 1, exe).unwrap();
                    let mark = Mark { first, task, kinds, flags };
                    let test = random.u32(..4);
                    table.note(role, &name, mark, test).unwrap();
                    let entry = plain.entry((role as u8, name)).or_default();
                    entry.kinds.unite(kinds);
                    entry.flags |= flags;
                    entry.first = Some(entry.first.map_or(first, |old| old.min(first)));
                    if flags & WORKLOAD != 0 {
                        entry.tests.insert(test);
                    }
                    entry.exes.insert(if exe == 0 { 0 } else { u64::from(container) * 10 + exe });
                }
                whole.absorb(table);
            }
            assert_eq!(whole.dropped, 0);
            let sealed = whole.seal();
            let sorted = sealed.sort();
            let entries = Role::ALL.map(|role| {
                sealed.entries(role, &sorted).map(move |entry| (role, entry)).collect::<Vec<_>>()
            });
            assert_eq!(entries.iter().map(Vec::len).sum::<usize>(), plain.len());
            for ((role, entry), (key, plain)) in entries.iter().flatten().zip(&plain) {
                assert_eq!((*role as u8, &entry.name), (key.0, &key.1), "{seed}");
                assert_eq!(entry.mark.kinds, plain.kinds);
                assert_eq!(entry.mark.flags & 3, plain.flags);
                assert_eq!(Some(entry.mark.first), plain.first);
                let tests: BTreeSet<Test> = match entry.tests() {
                    Some(tests) => tests.collect(),
                    None if plain.flags & WORKLOAD != 0 => [OUTSIDE].into(),
                    None => BTreeSet::new(),
                };
                assert_eq!(tests, plain.tests, "{seed}");
                if *role == Role::Path {
                    assert_eq!(entry.exes() as usize, plain.exes.len(), "{seed} {:?}", key);
                }
            }
        }
    }
}
