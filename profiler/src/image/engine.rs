//! Names of images in an engine on this machine: asked for, given, taken
//! away, and lent for a while.

use std::fmt;

use super::{ImageError, Reference, Transport, daemon, storage};

/// An engine that runs images under names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The Docker daemon.
    Docker,
    /// Podman.
    Podman,
}

impl Store {
    /// The engine that has an image; none for files and registries.
    pub fn of(reference: &Reference) -> Option<Self> {
        match reference.transport {
            Transport::DockerDaemon => Some(Self::Docker),
            Transport::ContainersStorage => Some(Self::Podman),
            _ => None,
        }
    }

    /// A name as a reference to be opened or written.
    pub fn reference(self, name: &str) -> Reference {
        let transport = match self {
            Self::Docker => Transport::DockerDaemon,
            Self::Podman => Transport::ContainersStorage,
        };
        Reference { transport, name: name.to_owned(), tag: None }
    }

    /// A name in full, as the engine keeps it.
    ///
    /// # Errors
    /// When it cannot be given to an image: it is a digest or an ID.
    pub fn full_name(self, name: &str) -> Result<String, ImageError> {
        if name.contains('@') || name.starts_with("sha256:") {
            let why = "an image cannot be given a digest for a name; use NAME or NAME:TAG".into();
            return Err(ImageError::Reference { text: name.to_owned(), why });
        }
        name.parse::<Reference>()?;
        Ok(match self {
            Self::Docker => daemon::tagged(name),
            Self::Podman => storage::full_name(name),
        })
    }

    /// The ID of the image that a name means; none if it means none.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub fn id(self, name: &str) -> Result<Option<String>, ImageError> {
        match self {
            Self::Docker => daemon::id(name),
            Self::Podman => storage::id(name),
        }
    }

    /// Gives an image another name, which whatever had it loses.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn tag(self, image: &str, name: &str) -> Result<(), ImageError> {
        match self {
            Self::Docker => daemon::tag(image, name),
            Self::Podman => storage::tag(image, name),
        }
    }

    /// Takes a name away, and removes the image if it was the last one.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn untag(self, name: &str) -> Result<(), ImageError> {
        match self {
            Self::Docker => daemon::untag(name),
            Self::Podman => storage::untag(name),
        }
    }

    /// The engine's program.
    fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// A name that an image has until this is dropped.
#[derive(Debug)]
pub struct Temporary {
    store: Store,
    name: String,
}

impl Temporary {
    /// Takes charge of a name; there need not be an image of it yet.
    pub fn new(store: Store, name: String) -> Self {
        Self { store, name }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if matches!(self.store.id(&self.name), Ok(Some(_)))
            && let Err(error) = self.store.untag(&self.name)
        {
            let (program, name) = (self.store.program(), &self.name);
            log::warn!("{name} could not be removed ({error}); see `{program} image rm {name}`");
        }
    }
}

/// A name that means another image for a while. What it meant before keeps a
/// second name meanwhile: so nothing removes it, and where this program is
/// killed, the next one finds it.
#[derive(Debug)]
pub struct Lent {
    store: Store,
    name: String,
    /// The second name; none where the name meant nothing before.
    kept: Option<String>,
    restored: bool,
}

impl Lent {
    /// Gives `image` the name.
    ///
    /// # Errors
    /// When the engine refuses; then all is as it was.
    pub fn lend(store: Store, image: &str, name: &str) -> Result<Self, ImageError> {
        let name = store.full_name(name)?;
        let (repository, tag) = name.rsplit_once(':').unwrap_or((&name, "latest"));
        let kept = format!("{repository}:before-profiler-{tag}");
        let left = store.id(&kept)?.is_some();
        if left {
            log::warn!("{name} was lent by a run that was killed; it will mean what {kept} is");
        } else if store.id(&name)?.is_some() {
            store.tag(&name, &kept)?;
        } else {
            store.tag(image, &name)?;
            return Ok(Self { store, name, kept: None, restored: false });
        }
        // From here on the drop puts things in order.
        let lent = Self { store, name, kept: Some(kept), restored: false };
        store.tag(image, &lent.name)?;
        Ok(lent)
    }

    /// The commands that undo it.
    pub fn undoing(&self) -> impl fmt::Display {
        let (program, name) = (self.store.program(), &self.name);
        match &self.kept {
            Some(kept) => format!("{program} tag {kept} {name} && {program} image rm {kept}"),
            None => format!("{program} image rm {name}"),
        }
    }

    /// Gives the name back.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn restore(mut self) -> Result<(), ImageError> {
        self.give_back()
    }

    fn give_back(&mut self) -> Result<(), ImageError> {
        self.restored = true;
        match &self.kept {
            Some(kept) => {
                self.store.tag(kept, &self.name)?;
                self.store.untag(kept)
            }
            None => self.store.untag(&self.name),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.restored
            && let Err(error) = self.give_back()
        {
            log::warn!("{} was not given back ({error}); see `{}`", self.name, self.undoing());
        }
    }
}
