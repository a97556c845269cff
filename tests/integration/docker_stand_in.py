"""Stands in for the command `docker` where there is no engine: plays containers, and is strict.

It knows the exact lists of arguments that lakebed gives, in the form that Docker documents them, and refuses
all others, an environment that would make Compose work on another project, and a file that is not valid. Its
memory is a folder:

    scenario.json   what is to happen; see `Scenario` in test_compose_runtime.py
    calls.jsonl     every call, with its standard input
    refused         what was refused; a test that finds it has failed
    state.json      the containers
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import yaml

from lakebed.waiting import wait_until

MEMORY = Path(os.environ["DOCKER_STAND_IN"])
ARGUMENTS = sys.argv[1:]
PROJECT = ["compose", "--project-name", f"lakebed-{os.getuid()}"]
PROJECT += ["--env-file", "/dev/null", "--ansi", "never", "--file", "-"]
REFUSED = 97
# What a container goes through, a step each time that it is looked at.
USUAL_LIFE = ["created", "running starting", "running healthy"]


def refuse(why: str) -> NoReturn:
    with (MEMORY / "refused").open("a") as file:
        file.write(f"{why}: {ARGUMENTS}\n")
    raise SystemExit(REFUSED)


@contextmanager
def state() -> Iterator[dict[str, dict[str, Any]]]:
    """The containers by service, for this process alone; what is changed is kept."""
    with (MEMORY / "state.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = MEMORY / "state.json"
        containers = json.loads(file.read_text()) if file.exists() else {}
        yield containers
        # The test reads it meanwhile.
        fresh = MEMORY / "state.fresh"
        fresh.write_text(json.dumps(containers))
        fresh.replace(file)


def scenario() -> dict[str, Any]:
    content = json.loads((MEMORY / "scenario.json").read_text())
    assert isinstance(content, dict)
    return content


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def fail(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1


def now(container: dict[str, Any]) -> tuple[str, str, int]:
    """State, health and exit code of a container at its present step: "running healthy", "exited 1"."""
    words = [*container["life"][container["step"]].split(), ""]
    ended = words[0] in ("exited", "dead")
    return words[0], "" if ended else words[1], int(words[1] or 0) if ended else 0


def is_ready(containers: dict[str, Any], service: dict[str, Any]) -> bool:
    """Whether all that a service depends on is healthy; raises what Compose says if it never will be."""
    for needed in service.get("depends_on", {}):
        state_now, health, code = now(containers[needed])
        name = containers[needed]["name"]
        if health == "unhealthy":
            raise ChildProcessError(f"dependency failed to start: container {name} is unhealthy")
        if state_now == "exited":
            raise ChildProcessError(f"dependency failed to start: container {name} exited ({code})")
        if health != "healthy":
            return False
    return True


def up(services: list[str], document: dict[str, Any]) -> int:
    said = scenario().get("up_fails")
    for name in services:
        if name not in document["services"]:
            refuse(f"{name} is not in the file")
    sys.stderr.write(" postgres Pulling \n postgres Pulled \n Network lakebed_cdc-network  Creating\n")
    with state() as containers:
        for name in services:
            service = document["services"][name]
            containers.setdefault(
                name,
                {
                    "name": service.get("container_name", f"{PROJECT[2]}-{name}-1"),
                    "image": service["image"],
                    "ports": service.get("ports", []),
                    "life": scenario().get("lives", {}).get(name, USUAL_LIFE),
                    "step": 0,
                    "is_started": False,
                },
            )
    if said is not None:
        return fail(said)
    (MEMORY / "up_is_waiting").touch()

    def all_are_started() -> bool:
        with state() as containers:
            for name in services:
                if name in containers and is_ready(containers, document["services"][name]):
                    containers[name]["is_started"] = True
            return all(one["is_started"] for name, one in containers.items() if name in services)

    try:
        wait_until(all_are_started, "every container to be started", deadline_seconds=60)
    except ChildProcessError as error:
        return fail(str(error))
    return 0


def publisher(port: str) -> dict[str, Any]:
    host, published, target = port.split(":")
    return {"URL": host, "TargetPort": int(target), "PublishedPort": int(published), "Protocol": "tcp"}


def entry(service: str, container: dict[str, Any]) -> dict[str, Any]:
    state_now, health, code = now(container)
    return {
        "ID": f"id-of-{service}",
        "Name": container["name"],
        "Image": container["image"],
        "Service": service,
        "Project": PROJECT[2],
        "State": state_now,
        "Health": health,
        "ExitCode": code,
        "Publishers": [publisher(port) for port in container["ports"]] if state_now == "running" else [],
    }


def ps() -> int:
    if "ps_fails" in scenario():
        return fail(scenario()["ps_fails"])
    with state() as containers:
        for container in containers.values():
            # One that waits for another has not been started.
            last = len(container["life"]) - 1
            if container["is_started"]:
                container["step"] = min(container["step"] + 1, last)
        entries = [entry(service, container) for service, container in containers.items()]
    if scenario().get("old_compose"):
        say(json.dumps(entries))
    else:
        for each in entries:
            say(json.dumps(each))
    return 0


def inspect(name: str) -> int:
    with state() as containers:
        found = [one for one in containers.values() if one["name"] == name]
    if not found:
        return fail(f"Error: No such container: {name}")
    checks = scenario().get("checks", {}).get(name, {"FailingStreak": 0, "Log": []})
    say(json.dumps(checks))
    return 0


def logs(service: str, lines: str) -> int:
    text = scenario().get("logs", {}).get(service, f"{service} says hello\n{service} is up\n")
    kept = text.splitlines() if lines == "all" else text.splitlines()[-int(lines) :]
    say("\n".join(kept))
    return 0


def follow_logs(service: str, lines: str) -> int:
    """Say what was written, and then `<service> writes on` when the test says so; ends when it says so."""
    logs(service, lines)
    sys.stdout.flush()
    (MEMORY / f"{service}.is_followed").touch()
    for file, text in (("writes", f"{service} writes on"), ("ends", f"{service} ends")):
        wait_until((MEMORY / f"{service}.{file}").exists, f"the test to say {file}", deadline_seconds=60)
        say(text)
        sys.stdout.flush()
    return 0


def remove(services: list[str] | None) -> int:
    with state() as containers:
        for name in list(containers) if services is None else services:
            containers.pop(name, None)
    return 0


def project_command(arguments: list[str], given: str) -> int:
    if not given:
        # Not refused: whoever was to give it may have been interrupted before it could.
        return fail("empty compose file")
    document = yaml.safe_load(given)
    if not isinstance(document, dict) or not document.get("services"):
        refuse("no Compose file on standard input")
    match arguments:
        case ["ps", "--all", "--format", "json"]:
            return ps()
        case ["up", "--detach", "--no-recreate", "--quiet-pull", *services] if services:
            return up(services, document)
        case ["down", "--volumes", "--remove-orphans", "--timeout", "10"]:
            said = scenario().get("down_fails")
            return remove(None) if said is None else fail(said)
        case ["rm", "--force", "--stop", "--volumes", *services] if services:
            return remove(services)
        case ["logs", "--follow", "--no-color", "--no-log-prefix", service]:
            return follow_logs(service, "all")
        case ["logs", "--follow", "--no-color", "--no-log-prefix", "--tail", lines, service] if (
            lines.isdigit()
        ):
            return follow_logs(service, lines)
        case ["logs", "--no-color", "--no-log-prefix", service]:
            return logs(service, "all")
        case ["logs", "--no-color", "--no-log-prefix", "--tail", lines, service] if lines.isdigit():
            return logs(service, lines)
    refuse("unknown command of the project")


def answer(name: str, usual: str) -> int:
    """Say what the scenario has for a question about Docker itself."""
    said = scenario().get(name, usual)
    if said.startswith("error: "):
        return fail(said.removeprefix("error: "))
    say(said)
    return 0


def main() -> int:
    given = "" if ARGUMENTS[:1] != ["compose"] or "--file" not in ARGUMENTS else sys.stdin.read()
    with (MEMORY / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps({"arguments": ARGUMENTS, "given": given}) + "\n")
    if os.getcwd() != "/" or any(name.startswith("COMPOSE_") for name in os.environ):
        refuse(f"run in {os.getcwd()} with {sorted(os.environ)}")
    match ARGUMENTS:
        case ["compose", "version"]:
            return answer("compose_version", "Docker Compose version v5.3.1")
        case ["version", "--format", "{{.Server.Version}}"]:
            return answer("engine_version", "29.1.0")
        case ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]:
            return answer("engine_host", "unix:///var/run/docker.sock")
        case ["inspect", "--type", "container", "--format", "{{json .State.Health}}", name]:
            return inspect(name)
    if ARGUMENTS[: len(PROJECT)] == PROJECT:
        return project_command(ARGUMENTS[len(PROJECT) :], given)
    refuse("unknown command")


if __name__ == "__main__":
    sys.exit(main())
