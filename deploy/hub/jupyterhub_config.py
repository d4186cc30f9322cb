"""JupyterHub for a classroom on one server: one container a learner, with an engine of its own.

Settings come from `compose.yaml`. Learners sign up by themselves; the teacher lets them in.
"""

import os
import sys
from pathlib import Path

from dockerspawner import DockerSpawner

HERE = Path(__file__).parent
DISKS = "/srv/shiplight"  # on the server: a file system for each learner
HOME = "/home/learner"
GATEWAY = os.environ["GATEWAY"]  # of the learners' network: where they reach the hub


class LearnerSpawner(DockerSpawner):
    """One container a learner: no privileges, a disk of a fixed size, room for an engine inside."""

    async def create_object(self):
        """Mount the learner's disk, then make the container."""
        await self._mount_disk()
        return await super().create_object()

    async def docker(self, method, *args, **kwargs):
        """Leave /proc unmasked: an engine inside mounts its own, which the kernel else forbids."""
        if method == "create_container":
            kwargs["host_config"] |= {"MaskedPaths": [], "ReadonlyPaths": []}
        return await super().docker(method, *args, **kwargs)

    async def _mount_disk(self) -> None:
        """Run `disk` on the server, in its own mount namespace. Raises RuntimeError."""
        size = os.environ["DISK"]
        script = (HERE / "disk").read_text(encoding="utf-8")
        made = await self.docker(
            "create_container",
            os.environ["HUB_IMAGE"],
            [
                *("nsenter", "--target", "1", "--mount", "--"),
                *("sh", "-c", script, "disk", DISKS, self.escaped_name, size),
            ],
            host_config=await self.docker(
                "create_host_config",
                pid_mode="host",
                network_mode="none",
                cap_add=["SYS_ADMIN", "SYS_PTRACE"],
                security_opt=["apparmor=unconfined"],
                device_cgroup_rules=["b 7:* rwm", "c 10:237 rwm"],  # loop devices
            ),
        )
        try:
            await self.docker("start", made)
            ended = await self.docker("wait", made)
            said = await self.docker("logs", made)
        finally:
            await self.docker("remove_container", made, force=True)
        if ended["StatusCode"]:
            why = said.decode(errors="replace").strip()
            self.log.error("The disk of %s could not be mounted: %s", self.user.name, why)
            raise RuntimeError(
                f"No disk of {size} for {self.user.name}: {why}. Ask your teacher: is the server's "
                f"disk full? (On the server: df -h {DISKS})"
            )


c = get_config()  # noqa: F821

# The hub: on the server's own network, so that learners' containers need no way to each other.
c.JupyterHub.bind_url = os.environ["BIND"]
c.JupyterHub.hub_ip = GATEWAY
c.JupyterHub.cleanup_servers = False  # a new hub finds learners' servers as they were
c.ConfigurableHTTPProxy.command = ["node", "/opt/proxy/bin/configurable-http-proxy"]
c.ConfigurableHTTPProxy.pid_file = "/run/jupyterhub-proxy.pid"

# Logging in: learners choose their own passwords, and the teacher approves each account.
c.JupyterHub.authenticator_class = "native"
c.Authenticator.admin_users = {os.environ["TEACHER"]}
c.Authenticator.allow_all = True  # of those whom the teacher has let in
c.NativeAuthenticator.open_signup = os.environ["OPEN_SIGNUP"] == "yes"
c.NativeAuthenticator.minimum_password_length = 8
c.NativeAuthenticator.allowed_failed_logins = 5

# A learner's container.
c.JupyterHub.spawner_class = LearnerSpawner
c.DockerSpawner.image = os.environ["LEARNER_IMAGE"]
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.remove = True
c.DockerSpawner.prefix = "learner"
c.DockerSpawner.network_name = os.environ["NETWORK"]
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.notebook_dir = HOME
c.Spawner.default_url = "/lab/tree/ship-light/notebooks/00-first.ipynb"
c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 120
c.Spawner.mem_limit = os.environ["MEMORY"]
c.Spawner.cpu_limit = float(os.environ["CPUS"])
c.DockerSpawner.volumes = {DISKS + "/{username}": HOME}
if kit := os.environ["KIT"]:  # base images and packages for a room without internet
    c.DockerSpawner.read_only_volumes = {kit: "/kit"}
c.DockerSpawner.environment = {
    name: os.environ[name] for name in ("LESSONS", "REGISTRY_MIRROR") if os.environ[name]
}
c.DockerSpawner.extra_host_config = {
    # What a rootless engine needs. It is root over nothing but the learner's own user namespace.
    # newuidmap and newgidmap need these two capabilities, over the ids of /etc/subuid.
    "cap_drop": ["ALL"],
    "cap_add": ["SETUID", "SETGID"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
    "devices": ["/dev/net/tun:/dev/net/tun:rwm"],
    # Nothing that is written lands on the server's disk, except on the learner's own part of it.
    "read_only": True,
    "tmpfs": {"/tmp": "size=1g,mode=1777", "/run/learner": "size=64m,mode=700,uid=1000,gid=1000"},
    "log_config": {"Type": "json-file", "Config": {"max-size": "10m"}},
    "pids_limit": 4000,
    "init": True,
}

# Servers that nobody uses are stopped; what is on their disks stays.
c.JupyterHub.services = [
    {
        "name": "idle",
        "command": [
            *(sys.executable, "-m", "jupyterhub_idle_culler"),
            f"--timeout={os.environ['IDLE_SECONDS']}",
        ],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle",
        "services": ["idle"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]
