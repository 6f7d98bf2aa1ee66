"""Decides by Kubernetes' rules whether one pod may open a connection to another; for our policies' language.

Source: Kubernetes documentation, "Network Policies". Whatever is not understood is an error, never a guess.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """A pod of the namespace, one of another namespace, or an address outside of the cluster."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: Mapping[str, str] | None = None
    """Labels of another namespace; none: the policies' own."""
    address: str | None = None


def may_connect(
    policies: Iterable[Policy], source: Place, target: Place, port: int, protocol: str = "TCP"
) -> bool:
    """Whether the source's side lets a connection out and the target's side lets it in."""
    policies = list(policies)
    return _passes(policies, "Egress", "to", source, target, (protocol, port)) and _passes(
        policies, "Ingress", "from", target, source, (protocol, port)
    )


def _passes(
    policies: list[Policy], kind: str, peers: str, own: Place, other: Place, port: tuple[str, int]
) -> bool:
    if own.address is not None or own.namespace is not None:
        return True  # policies speak of their own namespace's pods only
    selected = [
        policy["spec"]
        for policy in policies
        if kind in policy["spec"]["policyTypes"] and _selects(policy["spec"]["podSelector"], own.labels)
    ]
    if not selected:
        return True
    return any(
        _port_matches(rule, port)
        and (peers not in rule or any(_is_peer(peer, other) for peer in rule[peers]))
        for spec in selected
        for rule in spec.get(kind.lower(), ())
    )


def _port_matches(rule: Mapping[str, Any], port: tuple[str, int]) -> bool:
    return "ports" not in rule or port in {(entry["protocol"], entry["port"]) for entry in rule["ports"]}


def _is_peer(peer: Mapping[str, Any], place: Place) -> bool:
    if unknown := peer.keys() - {"podSelector", "namespaceSelector", "ipBlock"}:
        raise NotImplementedError(f"{unknown} is not understood")
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return (
            place.address is not None
            and _within(place.address, block["cidr"])
            and not any(_within(place.address, part) for part in block.get("except", ()))
        )
    if place.address is not None:
        return False
    if "namespaceSelector" in peer:
        if place.namespace is None or not _selects(peer["namespaceSelector"], place.namespace):
            return False
    elif place.namespace is not None:
        return False
    return _selects(peer.get("podSelector", {}), place.labels)


def _within(address: str, network: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if unknown := selector.keys() - {"matchLabels"}:
        raise NotImplementedError(f"{unknown} is not understood")
    return selector.get("matchLabels", {}).items() <= labels.items()
