"""A pipeline in a process of its own, with its own Spark: so that it can be killed.

Run as `python -m lakebed.cdc.pipeline_process`; its first line of input says what to do, as JSON. It writes a
line of JSON when it has started, after each commit, and when it fails. After a commit it goes on when a line
comes in: whoever has started it decides whether it survives that moment.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from lakebed.cdc.pipeline import Pipeline, Target
from lakebed.cdc.progress import Progress
from lakebed.clients.registry import schema_registry_client
from lakebed.clients.spark import spark_session_for
from lakebed.config.settings import Settings
from lakebed.errors import LakebedError
from lakebed.provision.cache import cache_folder
from lakebed.provision.provide import provide
from lakebed.services import spark
from lakebed.stack.addresses import Addresses

_LOOK_SECONDS = 0.1
_one_at_a_time = threading.Lock()


def _tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _ask(table: str, progress: Progress) -> None:
    """Tell of a commit and wait until it is decided that this process goes on."""
    with _one_at_a_time:
        _tell(committed=table, offsets={number: one.offset for number, one in progress.partitions.items()})
        if not sys.stdin.readline():
            # Whoever has started this process is gone.
            os._exit(1)


def main() -> None:
    """Run the pipeline that the first line of input describes, until this process is killed.

    The line is an object of `ports` (of the stack), `settings`, `targets` (pairs of topic and tables),
    `checkpoint` and `folder` (for Spark's files).
    """
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    settings = Settings.model_validate(asked["settings"])
    addresses = Addresses.of(asked["ports"], settings)
    cache = cache_folder(settings.cache_folder)
    jars = provide([spark.JARS], cache=cache, mirror=settings.maven_mirror).class_path(spark.JARS)
    more = {**addresses.spark_settings(), **settings.spark_config}
    config, trusted = addresses.delta_spark_config(settings.spark_master), addresses.spark_ca_files()
    targets = [Target(topic, tuple(tables)) for topic, tables in asked["targets"]]
    with (
        spark_session_for(config, jars, Path(asked["folder"]), cache, more, trusted) as session,
        schema_registry_client(addresses.schema_registry_config(), addresses.schema_registry) as registry,
    ):
        kafka = addresses.kafka
        pipeline = Pipeline(session, kafka, registry, targets, asked["checkpoint"], on_commit=_ask)
        pipeline.start()
        _tell(started=True)
        try:
            while True:
                pipeline.raise_if_failed()
                threading.Event().wait(_LOOK_SECONDS)
        except LakebedError as error:
            _tell(failed=str(error))


if __name__ == "__main__":
    main()
