"""What stands behind each sentence of the README: tests, benches, make targets.

A sentence is named by how it begins. Evidence is `folder/file::test` below `tests`, `bench NAME`,
`make TARGET`, or `examples`, which `make test` runs.
"""

from __future__ import annotations

EVIDENCE: dict[str, tuple[str, ...]] = {
    "lakebed gives your pytest suite a real": (
        "attach/test_chain.py::test_the_pipeline",
        "integration/test_documentation.py::test_every_piece_is_collected",
    ),
    "All of them run as plain processes": (
        "integration/test_ordinary_user.py::test_an_ordinary_user_starts_servers_of_its_own",
    ),
    "That needs Python 3.10 to 3.13": ("make demo",),
    "It sends flights that left New York": (
        "make demo",
        "cluster/test_whole_cluster.py::test_the_demo_on_the_whole_cluster_proves_the_same",
    ),
    "Then this is a whole test": ("integration/test_documentation.py::test_every_piece_is_collected",),
    "It starts PostgreSQL, Kafka, Connect": (
        "integration/test_pytest_plugin.py::test_only_what_the_tests_need_is_started",
        "unit/test_ports.py::test_free_ports_are_given_to_every_port_and_are_all_different",
    ),
    "The test has a database": (
        "integration/test_fixtures.py::test_names_of_one_test_belong_together_and_to_it",
    ),
    "They are gone when it ends": (
        "integration/test_fixtures.py::test_nothing_stays_whatever_becomes_of_the_test",
    ),
    "The servers and their data are gone": (
        "faults/test_killed.py::test_nothing_stays_of_a_killed_run_with_spark_and_a_connector",
        "faults/test_killed.py::test_nothing_stays_when_the_controller_of_the_workers_is_killed",
    ),
    "`pytest --lakebed-keep` leaves": (
        "integration/test_kept_stack.py::test_the_next_run_finds_no_trace_of_the_one_before",
        "integration/test_kept_stack.py::test_keep_leaves_the_servers_for_the_next_run_which_uses_them",
        "bench attach",
    ),
    "`lakebed down` ends them.": ("integration/test_command.py::test_down_ends_everything",),
    "Workers of pytest-xdist share": (
        "integration/test_pytest_plugin.py::test_the_workers_of_one_run_share_one_stack",
    ),
    "A service whose address is configured": (
        "attach/test_attached.py::test_the_chain_on_servers_of_somebody_else",
        "attach/test_attached_command.py::test_up_shows_what_is_attached_and_down_leaves_it",
    ),
    "What lakebed did not make there": (
        "attach/test_attached.py::test_what_strangers_have_made_is_safe",
        "attach/test_secured.py::test_the_chain_with_tls_users_tokens_and_keys",
    ),
    "Docker Compose instead": (
        "unit/test_compose_files.py::test_the_command_writes_to_standard_output_or_to_a_file",
        "integration/test_compose_runtime.py::test_up_starts_what_is_asked_for_and_what_it_needs",
    ),
    "Clusters, all of it on this machine": (
        "cluster/test_kafka_cluster.py::test_what_three_of_each_survive",
        "cluster/test_kafka_cluster.py::test_the_command_starts_them_by_name_on_loopback",
        "cluster/test_spark_cluster.py::test_what_runs_in_one_process_runs_on_the_stacks_own_cluster",
        "cluster/test_spark_cluster.py::test_the_command_starts_it_by_name_on_loopback_for_tests_to_use",
    ),
    "`make three-ways` runs": ("make three-ways",),
    "How far each part goes": ("bench scaling", "bench sustained", "bench lake_tables"),
    "Its report has the log lines": (
        "integration/test_report.py::test_a_failure_shows_log_trace_slot_and_events",
        "integration/test_connector.py::test_the_trace_stands_in_the_report_of_the_failing_test",
    ),
    "`pytest --lakebed-report=report.html` writes": (
        "integration/test_report.py::test_the_report_has_the_path_of_each_change",
        "browser/test_report_in_browser.py::test_every_chart_is_drawn_and_nothing_else_is_asked_for",
    ),
    "`lakebed ui` shows a running stack": (
        "browser/test_ui.py::test_services_with_state_and_log",
        "browser/test_ui.py::test_failed_task_shows_its_trace_and_restarts",
        "browser/test_ui.py::test_avro_is_decoded",
        "browser/test_ui.py::test_versions_of_a_subject_and_what_differs",
        "browser/test_ui.py::test_changes_and_history_of_a_delta_table",
        "browser/test_ui.py::test_changes_and_history_of_an_iceberg_table",
    ),
    # -- fixtures: the table itself is compared with the plugin by test_readme.py ------------------
    "| `kafka_admin_client` |": (
        "integration/test_fixtures.py::test_the_clients_are_those_of_the_ecosystem",
    ),
    "| `schema_registry_client` |": (
        "integration/test_fixtures.py::test_the_clients_are_those_of_the_ecosystem",
    ),
    "| `debezium_client` |": (
        "integration/test_connector_life.py::test_the_worker_tells_its_version_health_and_plugins",
    ),
    "| `iceberg_catalog` |": ("integration/test_fixtures.py::test_the_clients_are_those_of_the_ecosystem",),
    "| `spark_session` |": (
        "integration/test_fixtures.py::test_the_spark_session_is_what_the_contract_configures",
        "integration/test_services.py::test_delta_on_s3_has_a_change_data_feed",
        "integration/test_services.py::test_spark_and_pyiceberg_read_each_others_tables",
        "integration/test_services.py::test_spark_reads_avro_from_kafka",
    ),
    "| `postgres_connection` |": (
        "integration/test_fixtures.py::test_postgres_connection_is_an_empty_database_in_autocommit_mode",
    ),
    "| `mariadb_connection` |": (
        "mariadb/test_mariadb.py::test_it_writes_whole_rows_to_its_log",
        "mariadb/test_mariadb.py::test_databases_and_users_of_tests_are_found_and_removed_though_in_use",
    ),
    "| `mariadb_connector` |": (
        "mariadb/test_mariadb.py::test_what_happens_to_rows_arrives_typed_and_in_order",
        "mariadb/test_mariadb.py::test_what_was_there_before_the_connector_is_read_first",
    ),
    "| `kafka_topic` |": (
        "integration/test_fixtures.py::test_kafka_topic_is_an_empty_topic_of_one_partition",
    ),
    "| `delta_table_path` |": ("integration/test_fixtures.py::test_delta_table_path_is_a_free_place_on_s3",),
    "| `iceberg_namespace` |": (
        "integration/test_fixtures.py::test_iceberg_namespace_is_an_empty_namespace",
    ),
    "| `debezium_connector` |": (
        "integration/test_fixtures.py::test_debezium_connector_streams_this_tests_database",
    ),
    "| `debezium_connectors` |": (
        "integration/test_debezium_connectors.py::test_each_has_a_slot_a_publication_and_topics_of_its_own",
    ),
    "| `change_events` |": (
        "integration/test_change_events.py::test_the_life_of_a_row",
        "integration/test_change_events.py::test_an_iterator_ends_with_what_was_there_when_it_was_made",
    ),
    "| `cdc_pipeline` |": (
        "integration/test_pipeline.py::test_every_kind_of_change_arrives_and_is_recorded",
        "integration/test_pipeline.py::test_a_crash_between_two_tables_is_made_good",
    ),
    "| `table_rows` |": (
        "integration/test_rows.py::test_postgres_delta_iceberg_and_lists_hold_the_same_rows",
    ),
    "| `change_feed` |": (
        "integration/test_change_feed.py::test_spark_and_delta_rs_tell_the_same_changes_row_for_row",
        "integration/test_change_feed.py::test_spark_and_pyiceberg_tell_the_same_changes_of_an_iceberg_table",
    ),
    "| `lakebed_crash` |": (
        "faults/test_crash.py::test_a_server_killed_while_orders_are_written_loses_and_doubles_nothing",
        "faults/test_crash.py::test_a_server_is_dead_inside_the_block_and_back_after_it",
    ),
    "Ten recipes": (
        "integration/test_documentation.py::test_the_cookbook_has_ten_recipes_each_with_its_test",
    ),
    "A whole suite of a shop": ("examples",),
    # -- commands: the table itself is compared with the program by test_readme.py ------------------
    "| `lakebed up": (
        "integration/test_command.py::test_up_starts_on_the_port_asked_for_and_shows_each_step",
        "unit/test_ports.py::test_the_well_known_ports_are_those_of_the_contract",
    ),
    "| `lakebed down`": ("integration/test_command.py::test_down_ends_everything",),
    "| `lakebed status": (
        "integration/test_command.py::test_status_is_a_table_for_people",
        "integration/test_watching.py::test_slots_and_what_nobody_reads_of_them_are_shown",
        "integration/test_watching.py::test_the_table_is_drawn_anew_on_a_terminal",
    ),
    "| `lakebed logs": (
        "integration/test_command.py::test_the_logs_of_several_services_are_one",
        "integration/test_watching.py::test_a_log_is_followed_as_it_grows_and_its_end_is_said",
    ),
    "| `lakebed tail": (
        "integration/test_tail.py::test_the_life_of_a_row_in_every_form",
        "integration/test_tail.py::test_what_comes_is_shown_as_it_comes",
    ),
    "| `lakebed ui`": ("browser/test_ui.py::test_services_with_state_and_log",),
    "| `lakebed env`": ("integration/test_command.py::test_env_is_evaluated_by_a_shell",),
    "| `lakebed prefetch": (
        "integration/test_command.py::test_prefetch_needs_no_network_when_all_is_there",
        "integration/test_provision.py::test_files_are_downloaded_checked_and_then_need_no_network",
    ),
    "| `lakebed doctor`": (
        "integration/test_command.py::test_doctor_finds_a_held_port_and_says_what_to_do",
        "integration/test_command.py::test_doctor_is_content_with_a_good_machine",
    ),
    "| `lakebed compose render`": ("unit/test_compose_render.py::test_every_combination_is_valid",),
    "| `lakebed demo": (
        "make demo",
        "cluster/test_whole_cluster.py::test_the_demo_on_the_whole_cluster_proves_the_same",
    ),
    "| `lakebed sbom`": (
        "security/test_sbom.py::test_it_is_valid_by_the_official_schema",
        "security/test_sbom.py::test_every_locked_file_is_there_with_hash_and_licences",
    ),
    "| `lakebed completion": ("unit/test_completion_in_bash.py::test_a_press_of_the_tab_key_completes",),
    "Every command but `completion`": ("unit/test_command_names.py::test_every_command_takes_json",),
    "Exit codes and fields": (
        "unit/test_exit_codes.py::test_every_error_of_lakebed_has_its_documented_code",
    ),
    # -- ports, downloads ------------------------------------------------------------------------
    "`lakebed up` listens on these": (
        "integration/test_services.py::test_every_socket_of_every_process_is_on_loopback",
        "unit/test_ports.py::test_the_well_known_ports_are_those_of_the_contract",
    ),
    "Tests and the demo use free ports.": (
        "unit/test_ports.py::test_free_ports_are_given_to_every_port_and_are_all_different",
    ),
    "| postgres | 5432 |": ("unit/test_readme.py::test_the_table_of_ports_is_that_of_the_services",),
    "| kafka | 29092 |": ("unit/test_readme.py::test_the_table_of_ports_is_that_of_the_services",),
    "| connect | 8083 |": ("unit/test_readme.py::test_the_table_of_ports_is_that_of_the_services",),
    "| mariadb, only where it is named | 3306 |": (
        "unit/test_readme.py::test_the_table_of_ports_is_that_of_the_services",
        "unit/test_plan.py::test_no_name_means_every_service_but_those_on_request",
    ),
    "User and password of PostgreSQL": (
        "integration/test_services.py::test_postgres_has_the_contracts_database_and_user",
        "mariadb/test_mariadb.py::test_it_listens_on_this_machine_only_and_lets_nobody_else_in",
    ),
    "S3: `minioadmin`": ("integration/test_services.py::test_s3_has_both_buckets_and_no_other",),
    "Once, checked against locked sha256 sums": (
        "integration/test_provision.py::test_files_are_downloaded_checked_and_then_need_no_network",
        "integration/test_provision.py::test_a_file_that_stays_corrupt_is_named_with_both_hashes",
    ),
    "Only what you use is fetched.": (
        "unit/test_readme.py::test_the_table_of_downloads_is_that_of_the_lock",
    ),
    "| postgres | PostgreSQL": ("unit/test_readme.py::test_the_table_of_downloads_is_that_of_the_lock",),
    "| kafka | Kafka": ("unit/test_readme.py::test_the_table_of_downloads_is_that_of_the_lock",),
    "| connect | the same files": ("unit/test_readme.py::test_the_table_of_downloads_is_that_of_the_lock",),
    "| schema-registry | Apicurio": ("unit/test_readme.py::test_the_table_of_downloads_is_that_of_the_lock",),
    "| iceberg-rest | Iceberg": ("unit/test_readme.py::test_the_table_of_downloads_is_that_of_the_lock",),
    "| Spark | Delta Lake": ("unit/test_readme.py::test_the_table_of_downloads_is_that_of_the_lock",),
    "| or | the same for Spark 4.1": (
        "unit/test_readme.py::test_the_table_of_downloads_is_that_of_the_lock",
    ),
    "| all of them |": ("unit/test_readme.py::test_the_table_of_downloads_is_that_of_the_lock",),
    "On request only: MariaDB": (
        "unit/test_readme.py::test_what_mariadb_adds_to_the_downloads_is_that_of_the_lock",
        "unit/test_provision_lock.py::test_nothing_on_request_is_in_the_sets_of_all",
    ),
    "Java, SeaweedFS and PySpark come": (
        "unit/test_readme.py::test_java_seaweedfs_and_pyspark_are_dependencies",
    ),
    "The PySpark that is installed": (
        "make spark4",
        "unit/test_spark_releases.py::test_the_version_is_that_of_the_installed_package",
        "unit/test_spark_releases.py::test_the_files_are_those_of_the_release",
    ),
    "Unpacked, and with what is made": (
        "unit/test_provision_cache.py::test_the_named_folder_wins_over_the_shared_one",
    ),
    # -- the rest --------------------------------------------------------------------------------
    "One precedence, highest first": ("unit/test_settings.py::test_each_source_wins_over_those_below_it",),
    "Tried on Linux x86_64": (
        "integration/test_ordinary_user.py::test_an_ordinary_user_starts_servers_of_its_own",
    ),
    "Versions of Python, PostgreSQL": (
        "make fit-python",
        "fit/test_postgres_versions.py::test_a_version_that_lakebed_downloads",
        "fit/test_with_other_plugins.py::test_all_of_them_at_once",
    ),
    "The servers are tuned for tests": (
        "integration/test_services.py::test_kafka_is_one_node_that_names_its_loopback_address",
    ),
    "Docker Compose files are checked": (
        "unit/test_compose_render.py::test_every_combination_is_valid",
        "integration/test_compose_runtime.py::test_the_stand_in_refuses_what_docker_is_not_asked",
    ),
    "Begin with the [tutorial]": (
        "make docs",
        "unit/test_docs_site.py::test_every_page_is_in_the_navigation_once",
    ),
    "`make test` runs the tests": ("make test", "make bench"),
}

NO_CLAIM = (
    "`pip install 'lakebed[all]'` will be",
    "Until then",
    "More in [docs/pytest_plugin.md]",
    "All settings",
    # What has not been done cannot be shown.
    "Not tried",
    "Windows does not work",
    "Do not keep data",
    "What is protected from whom",
    "[CONTRIBUTING.md]",
    "Apache License",
)
"""Sentences that point elsewhere, give advice, or say what was not tried."""
