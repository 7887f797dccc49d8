"""A Docker plugin: containers of a network share a macvlan switch. As root; then `docker network create -d wire n`."""

import subprocess

from mooring import plugin


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)  # what fails is raised, and `docker` shows it


class Wire(plugin.NetworkDriver):
    def create_network(self, request: plugin.NetworkCreation) -> None:
        ip(f"link add w{request.network_id[:12]} up type veth peer name p{request.network_id[:12]}")
        ip(f"link set p{request.network_id[:12]} up")

    def delete_network(self, request: plugin.NetworkReference) -> None:
        ip(f"link delete w{request.network_id[:12]}")

    def create_endpoint(self, request: plugin.EndpointCreation) -> None:
        ip(f"link add i{request.endpoint_id[:12]} link w{request.network_id[:12]} type macvlan mode bridge")

    def delete_endpoint(self, request: plugin.EndpointReference) -> None:
        ip(f"link delete i{request.endpoint_id[:12]}")

    def join(self, request: plugin.Joining) -> plugin.Joined:
        return plugin.Joined(plugin.InterfaceName(f"i{request.endpoint_id[:12]}", dst_prefix="eth"))


plugin.serve("wire", network_driver=Wire())
