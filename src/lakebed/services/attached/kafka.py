"""A Kafka of somebody else's: is it one, are its brokers reached, and may its user do what tests need."""

from __future__ import annotations

import re
import socket
import ssl
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lakebed.config.endpoints import KafkaEndpoint
from lakebed.config.kafka_clients import client_settings
from lakebed.errors import DeadlinePassed, WrongAddress
from lakebed.services.attached.definition import AttachedService, Missing
from lakebed.services.attached.probing import (
    ANSWER_SECONDS,
    KAFKA,
    KAFKA_QUESTION,
    TLS,
    is_kafka,
    refuse_unreachable,
    unreachable,
    what_answers,
    wrong,
)
from lakebed.services.attached.questions import refused
from lakebed.services.definition import Place
from lakebed.services.topics import REQUEST_SECONDS, admin_client
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AdminClient,
        ClusterMetadata,
        TopicDescription,
    )

_NAME = "kafka"
_METADATA_SECONDS = 2.0
# A topic that was just made is not known to every broker at once.
_KNOWN_SECONDS = 5.0
# What librdkafka says of a broker it was sent on to; of one that it was told of it says "bootstrap".
_FAR_BROKER = re.compile(r"([^\s/]+:\d+)/(\d+): (Connect to .*)")
_OPERATIONS = ("READ", "WRITE", "DESCRIBE", "DELETE")


def _examine(place: Place) -> None:
    endpoint = place.endpoints.kafka
    refuse_unreachable(_NAME, endpoint)
    _refuse_other_protocol(endpoint)
    found = metadata(endpoint)
    brokers = list(found.brokers.values())
    with ThreadPoolExecutor(max_workers=max(len(brokers), 1)) as pool:
        reasons = pool.map(lambda broker: unreachable(str(broker.host), broker.port), brokers)
        far = [
            f"broker {broker.id}: {reason}"
            for broker, reason in zip(brokers, reasons, strict=True)
            if reason is not None
        ]
    if far:
        raise _cannot_be_reached(endpoint, far)


def _cannot_be_reached(endpoint: KafkaEndpoint, far: list[str]) -> WrongAddress:
    return wrong(
        _NAME,
        endpoint,
        "Kafka answers, and sends its clients on to brokers that neither they nor a Connect started here can"
        f" reach: {'; '.join(dict.fromkeys(far))}",
        "set advertised.listeners of the brokers to addresses that this machine reaches",
    )


def _refuse_other_protocol(endpoint: KafkaEndpoint) -> None:
    host, port = next(server for server in endpoint.servers() if unreachable(*server) is None)
    if endpoint.security_protocol.endswith("SSL"):
        _refuse_without_tls(endpoint, host, port)
        return
    answering = what_answers(host, port)
    if answering == TLS:
        remedy = "set attach.kafka.security_protocol to SSL or SASL_SSL, and ca_file"
        raise wrong(_NAME, endpoint, "TLS is spoken there", remedy)
    if answering != KAFKA:
        raise wrong(_NAME, endpoint, f"{answering} answers there")


def _refuse_without_tls(endpoint: KafkaEndpoint, host: str, port: int) -> None:
    context = ssl.create_default_context(cafile=None if endpoint.ca_file is None else str(endpoint.ca_file))
    if endpoint.certificate_file is not None and endpoint.key_file is not None:
        password = endpoint.key_password
        context.load_cert_chain(
            endpoint.certificate_file,
            endpoint.key_file,
            None if password is None else password.get_secret_value(),
        )
    try:
        with (
            socket.create_connection((host, port), timeout=ANSWER_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            secured.sendall(KAFKA_QUESTION)
            answer = secured.recv(8)
    except ssl.SSLCertVerificationError as error:
        remedy = "set attach.kafka.ca_file to the certificates that signed it, and use a name that is in it"
        raise wrong(_NAME, endpoint, f"a certificate that is not trusted ({error})", remedy) from error
    except OSError as error:
        answering = what_answers(host, port)
        if answering == KAFKA:
            remedy = "set attach.kafka.security_protocol to PLAINTEXT or SASL_PLAINTEXT"
            raise wrong(_NAME, endpoint, "Kafka answers there, without TLS", remedy) from error
        raise wrong(_NAME, endpoint, f"{answering} answers there ({error})") from error
    if not is_kafka(answer):
        raise wrong(_NAME, endpoint, "TLS is spoken there, and behind it not Kafka")


def metadata(endpoint: KafkaEndpoint) -> ClusterMetadata:
    """Return the brokers, topics and id of a cluster.

    Raises:
        CredentialsRefused: it does not let this user in.
        WrongAddress: it does not answer.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    told: list[str] = []
    settings: dict[str, Any] = {**client_settings(endpoint), "log_level": 0}
    settings["error_cb"] = lambda error: told.append(error.str())
    admin = AdminClient(settings)
    try:
        return admin.list_topics(timeout=_METADATA_SECONDS)
    except KafkaException as error:
        admin.poll(0)
        seen = "; ".join(dict.fromkeys([*told, error.args[0].str()]))
        far = [f"broker {one[2]} at {one[1]}: {one[3]}" for text in told if (one := _FAR_BROKER.search(text))]
        if far:
            raise _cannot_be_reached(endpoint, far) from error
        if "SASL" in seen or "uthentication" in seen:
            raise refused(_NAME, endpoint, seen) from error
        remedy = f"see whether it asks for another security_protocol than {endpoint.security_protocol}"
        raise wrong(_NAME, endpoint, f"a broker that does not answer to it: {seen}", remedy) from error


def _missing(place: Place) -> list[Missing]:
    from confluent_kafka import KafkaException
    from confluent_kafka.cimpl import NewTopic

    endpoint = place.endpoints.kafka
    admin = admin_client(endpoint)
    name = f"lakebed-preflight-{uuid.uuid4().hex}"
    topic = NewTopic(name, num_partitions=1, replication_factor=-1)
    try:
        admin.create_topics([topic], operation_timeout=REQUEST_SECONDS)[name].result(REQUEST_SECONDS)
    except KafkaException as error:
        return [Missing(f"a topic cannot be created: {error.args[0].str()}", _grant(endpoint, "Create"))]
    missing: list[Missing] = []
    try:
        allowed = _operations(admin, name)
        missing = [
            Missing(f"operation {one} on topics is not allowed", _grant(endpoint, one.title()))
            for one in _OPERATIONS
            # It is no error where a cluster has no authorizer: then everything is listed.
            if allowed and one not in allowed
        ]
    except (KafkaException, DeadlinePassed) as error:
        seen = error.seen if isinstance(error, DeadlinePassed) else error.args[0].str()
        missing.append(Missing(f"a topic cannot be described: {seen}", _grant(endpoint, "Describe")))
    try:
        admin.delete_topics([name], operation_timeout=REQUEST_SECONDS)[name].result(REQUEST_SECONDS)
    except KafkaException as error:
        missing = [one for one in missing if "DELETE" not in one.what]
        what = f"a topic cannot be deleted: {error.args[0].str()}; topic {name} is left behind"
        missing.append(Missing(what, _grant(endpoint, "Delete")))
    return missing


def _operations(admin: AdminClient, topic: str) -> set[str]:
    """Return what the user may do with a topic, as soon as the brokers know it."""
    from confluent_kafka import KafkaException, TopicCollection

    def described() -> TopicDescription | None:
        asked = admin.describe_topics(TopicCollection([topic]), include_authorized_operations=True)
        try:
            found: TopicDescription = asked[topic].result(REQUEST_SECONDS)
            return found
        except KafkaException as error:
            if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                raise
            return None

    seen = wait_until(described, f"topic {topic!r} to be known", deadline_seconds=_KNOWN_SECONDS)
    assert seen is not None
    return {one.name for one in seen.authorized_operations or []}


def _grant(endpoint: KafkaEndpoint, operation: str) -> str:
    """Return the command (Kafka documentation, "Authorization and ACLs")."""
    user = endpoint.username or "NAME"
    return (
        f"kafka-acls.sh --bootstrap-server {endpoint.bootstrap_servers} --add"
        f" --allow-principal 'User:{user}' --operation {operation} --topic '*'"
    )


KAFKA_ELSEWHERE = AttachedService(_examine, _missing)
