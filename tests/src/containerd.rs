//! A containerd of the test's own, beside Docker's, with `ctr` and a small
//! CRI client for it.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hyper::http::uri::PathAndQuery;
use prost::Message;
use tonic_prost::ProstCodec;

use crate::engine::{ControlGroup, Image, docker, output};
use crate::images::build;
use crate::until;

/// A running containerd; ended and removed at the end.
pub struct Containerd {
    directory: tempfile::TempDir,
    child: Child,
    /// The image of pods' sandboxes.
    pause: Image,
    /// What pods and containers have lived in.
    groups: RefCell<Vec<ControlGroup>>,
}

impl Containerd {
    /// Starts it with root, state and socket in a directory of its own.
    #[track_caller]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().display();
        let mut pause = Image::future("pause");
        pause.name = format!("localhost/{}:1", pause.name);
        let config = format!(
            "version = 2\n\
             root = \"{place}/root\"\n\
             state = \"{place}/state\"\n\
             [grpc]\n\
             address = \"{place}/containerd.sock\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\n\
             sandbox_image = \"{}\"\n\
             disable_tcp_service = true\n\
             restrict_oom_score_adj = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\n\
             bin_dir = \"{place}/cni\"\n\
             conf_dir = \"{place}/cni\"\n",
            pause.name
        );
        let file = directory.path().join("config.toml");
        fs::write(&file, config).expect("a configuration");
        let log = fs::File::create(directory.path().join("log")).expect("a log");
        let child = Command::new("containerd")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("containerd starts");
        let containerd = Self { directory, child, pause, groups: RefCell::default() };
        until("containerd answers", || {
            containerd.ctr(&["version"]).output().is_ok_and(|output| output.status.success())
        });
        containerd
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("containerd.sock")
    }

    /// `ctr` with these arguments.
    pub fn ctr(&self, arguments: &[&str]) -> Command {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(self.socket()).args(arguments);
        ctr
    }

    /// Tells a command where this containerd is, as `ctr` and `crictl` are
    /// told.
    pub fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("CONTAINERD_ADDRESS", self.socket())
            .env("CONTAINER_RUNTIME_ENDPOINT", format!("unix://{}", self.socket().display()))
    }

    /// Hands an image over from Docker; its name here.
    #[track_caller]
    pub fn import(&self, image: &str, namespace: &str) -> String {
        let archive = self.directory.path().join("image.tar");
        docker(["save".as_ref(), image.as_ref(), "--output".as_ref(), archive.as_os_str()]);
        output(self.ctr(&["--namespace", namespace, "image", "import"]).arg(&archive));
        let names = output(&mut self.ctr(&["--namespace", namespace, "image", "ls", "--quiet"]));
        let found = names.lines().find(|name| name.contains(image));
        found.unwrap_or_else(|| panic!("{image} is not in {names}")).to_owned()
    }

    /// Starts a pod on the host's network with one container, of an image
    /// that [`import`](Self::import) put into `k8s.io`.
    #[track_caller]
    pub fn pod(&self, name: &str, image: &str, arguments: &[&str]) -> Pod {
        let pause = build("pause-base", &pause_dockerfile(), |_| {});
        docker(["tag", &pause.name, &self.pause.name]);
        self.import(&self.pause.name, "k8s.io");
        let group = format!("/kubepods/besteffort/pod{name}");
        self.groups.borrow_mut().push(ControlGroup(group.clone()));
        let config = SandboxConfig {
            metadata: Some(Metadata {
                name: format!("{name}-pod"),
                uid: name.into(),
                namespace: "default".into(),
            }),
            linux: Some(LinuxSandboxConfig {
                cgroup_parent: group,
                security: Some(SandboxSecurity {
                    namespaces: Some(NamespaceOption { network: NODE }),
                }),
            }),
        };
        let sandbox: Id = self.cri("RunPodSandbox", Run { config: Some(config.clone()) });
        let container: Id = self.cri(
            "CreateContainer",
            Create {
                sandbox: sandbox.id.clone(),
                config: Some(ContainerConfig {
                    metadata: Some(Metadata { name: name.into(), ..Metadata::default() }),
                    image: Some(ImageSpec { image: image.into() }),
                    args: arguments.iter().map(|&word| word.into()).collect(),
                }),
                sandbox_config: Some(config),
            },
        );
        let _: Empty = self.cri("StartContainer", Id { id: container.id.clone() });
        Pod { sandbox: sandbox.id, container: container.id }
    }

    /// Ends a pod and removes it.
    #[track_caller]
    pub fn remove(&self, pod: &Pod) {
        let id = || Id { id: pod.sandbox.clone() };
        let _: Empty = self.cri("StopPodSandbox", id());
        let _: Empty = self.cri("RemovePodSandbox", id());
    }

    /// One call of the runtime service.
    #[track_caller]
    fn cri<Q, A>(&self, method: &str, question: Q) -> A
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let address = format!("unix://{}", self.socket().display());
        let path = PathAndQuery::try_from(format!("/runtime.v1.RuntimeService/{method}"))
            .expect("a method");
        let call = async {
            let endpoint = tonic::transport::Endpoint::try_from(address).expect("an address");
            let channel = endpoint.connect().await.expect("a connection");
            let mut grpc = tonic::client::Grpc::new(channel);
            grpc.ready().await.expect("a connection");
            grpc.unary(tonic::Request::new(question), path, ProstCodec::<Q, A>::default()).await
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let answer = runtime.expect("a runtime").block_on(call);
        answer.unwrap_or_else(|status| panic!("{method}: {status}")).into_inner()
    }

    /// Where it keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // What a test that panicked has left would hold mounts.
        for namespace in ["default", "k8s.io"] {
            let list = self.ctr(&["--namespace", namespace, "container", "ls", "--quiet"]).output();
            let list = list.map(|output| output.stdout).unwrap_or_default();
            for id in String::from_utf8_lossy(&list).lines() {
                for arguments in [
                    ["--namespace", namespace, "task", "rm", "--force", id].as_slice(),
                    ["--namespace", namespace, "container", "rm", id].as_slice(),
                ] {
                    let _ =
                        self.ctr(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
                }
            }
        }
        // SAFETY: a process that this object started and has not waited for.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        let _ = self.child.wait();
        // Only where nothing else is in them.
        for namespace in ["default", "k8s.io"] {
            let _ = fs::remove_dir(Path::new("/run/containerd/runc").join(namespace));
        }
    }
}

/// A pod with one container.
pub struct Pod {
    /// ID of its sandbox.
    pub sandbox: String,
    /// ID of its container.
    pub container: String,
}

fn pause_dockerfile() -> String {
    let scratch: Image = crate::images::scratch();
    format!("FROM {}\nHEALTHCHECK NONE\nCMD [\"sleep\", \"600\"]\n", scratch.name)
}

// After `pkg/apis/runtime/v1/api.proto` of kubernetes/cri-api, the fields that
// are needed.

/// `NamespaceMode.NODE`: the host's.
const NODE: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct Empty {}

/// An ID alone, in questions and answers.
#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Run {
    #[prost(message, optional, tag = "1")]
    config: Option<SandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<Metadata>,
    #[prost(message, optional, tag = "8")]
    linux: Option<LinuxSandboxConfig>,
}

/// `PodSandboxMetadata`; a container's has the name alone.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxSandboxConfig {
    #[prost(string, tag = "1")]
    cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    security: Option<SandboxSecurity>,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxSecurity {
    #[prost(message, optional, tag = "1")]
    namespaces: Option<NamespaceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct NamespaceOption {
    #[prost(int32, tag = "1")]
    network: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Create {
    #[prost(string, tag = "1")]
    sandbox: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    sandbox_config: Option<SandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<Metadata>,
    #[prost(message, optional, tag = "2")]
    image: Option<ImageSpec>,
    #[prost(string, repeated, tag = "4")]
    args: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
}
