"""The name of each Prefect setting, by release. Read through ``roles.prefect.versions``.

Every row is a list of (first release, name), oldest first; the last whose release is not newer counts. None: gone from
that release on. 3.0 still has the names of 2.8; 3.1 brought new ones and reads both.
"""

from __future__ import annotations

from collections.abc import Mapping

from roles.prefect.kinds.releases import AUTH_SINCE, CSRF_SINCE

CONNECT_ARGS = "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS"
#: For each setting, the name of its environment variable from a release on.
NAMES: Mapping[str, tuple[tuple[str, str | None], ...]] = {
    # -- clients and workers ------------------------------------------------------------------------------------
    "api_url": (("2.0", "PREFECT_API_URL"),),
    "home": (("2.0", "PREFECT_HOME"),),
    "ui_url": (("2.6.9", "PREFECT_UI_URL"),),
    "ephemeral": (("3.0", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"),),
    "ephemeral_timeout": (("3.0", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"),),
    "log_level": (("2.0", "PREFECT_LOGGING_LEVEL"),),
    "logs_to_api": (("2.0", "PREFECT_LOGGING_ORION_ENABLED"), ("2.8", "PREFECT_LOGGING_TO_API_ENABLED")),
    "client_auth": ((AUTH_SINCE, "PREFECT_API_AUTH_STRING"),),
    "client_csrf": ((CSRF_SINCE, "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED"),),
    "client_headers": (("3.4.8", "PREFECT_CLIENT_CUSTOM_HEADERS"),),
    "client_tls_ca_file": (("2.16.5", "PREFECT_API_SSL_CERT_FILE"),),
    #: Read by every program, and by Prefect where that has no setting, or its WebSockets ignore it.
    "client_trust": (("2.0", "SSL_CERT_FILE"), ("3.2.11", None)),
    "client_tls_insecure": (("2.7.7", "PREFECT_API_TLS_INSECURE_SKIP_VERIFY"),),
    "client_version_check": (("3.6.21", "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED"),),
    "client_metrics": (("3.0", "PREFECT_CLIENT_ENABLE_METRICS"), ("3.1", "PREFECT_CLIENT_METRICS_ENABLED")),
    "client_metrics_port": (("3.0", "PREFECT_CLIENT_METRICS_PORT"),),
    # -- the server's address and UI ----------------------------------------------------------------------------
    "api_host": (("2.0", "PREFECT_ORION_API_HOST"), ("2.8", "PREFECT_SERVER_API_HOST")),
    "api_port": (("2.0", "PREFECT_ORION_API_PORT"), ("2.8", "PREFECT_SERVER_API_PORT")),
    "api_base_path": (("3.2.7", "PREFECT_SERVER_API_BASE_PATH"),),
    "ui_api_url": (
        ("2.0", "PREFECT_ORION_UI_API_URL"),
        ("2.8", "PREFECT_UI_API_URL"),
        ("3.1", "PREFECT_SERVER_UI_API_URL"),
    ),
    "ui_enabled": (
        ("2.0", "PREFECT_ORION_UI_ENABLED"),
        ("2.8", "PREFECT_UI_ENABLED"),
        ("3.1", "PREFECT_SERVER_UI_ENABLED"),
    ),
    "ui_serve_base": (("2.14.14", "PREFECT_UI_SERVE_BASE"), ("3.1", "PREFECT_SERVER_UI_SERVE_BASE")),
    "ui_static_directory": (("2.14.16", "PREFECT_UI_STATIC_DIRECTORY"), ("3.1", "PREFECT_SERVER_UI_STATIC_DIRECTORY")),
    "scheduler_round": (
        ("2.0", "PREFECT_ORION_SERVICES_SCHEDULER_LOOP_SECONDS"),
        ("2.8", "PREFECT_API_SERVICES_SCHEDULER_LOOP_SECONDS"),
        ("3.1", "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS"),
    ),
    # -- what is kept ------------------------------------------------------------------------------------------
    "events_retention": (
        ("2.18.2", "PREFECT_EVENTS_RETENTION_PERIOD"),
        ("3.1", "PREFECT_SERVER_EVENTS_RETENTION_PERIOD"),
    ),
    "vacuum": (("3.6.19", "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"),),
    "vacuum_retention": (("3.6.19", "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"),),
    # -- access -------------------------------------------------------------------------------------------------
    "server_auth": ((AUTH_SINCE, "PREFECT_SERVER_API_AUTH_STRING"),),
    "csrf": (
        ("2.16.5", "PREFECT_SERVER_CSRF_PROTECTION_ENABLED"),
        ("3.1", "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"),
    ),
    "cors_origins": (
        ("2.20.17", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"),
        ("3.0", None),  # 2.20.17 is younger than 3.0
        ("3.0.3", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"),
        ("3.1", "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"),
    ),
    "cors_methods": (
        ("2.20.17", "PREFECT_SERVER_CORS_ALLOWED_METHODS"),
        ("3.0", None),
        ("3.0.3", "PREFECT_SERVER_CORS_ALLOWED_METHODS"),
        ("3.1", "PREFECT_SERVER_API_CORS_ALLOWED_METHODS"),
    ),
    "cors_headers": (
        ("2.20.17", "PREFECT_SERVER_CORS_ALLOWED_HEADERS"),
        ("3.0", None),
        ("3.0.3", "PREFECT_SERVER_CORS_ALLOWED_HEADERS"),
        ("3.1", "PREFECT_SERVER_API_CORS_ALLOWED_HEADERS"),
    ),
    # -- what the server reports --------------------------------------------------------------------------------
    "analytics": (("2.0", "PREFECT_ORION_ANALYTICS_ENABLED"), ("2.8", "PREFECT_SERVER_ANALYTICS_ENABLED")),
    "metrics": (("3.0", "PREFECT_API_ENABLE_METRICS"), ("3.1", "PREFECT_SERVER_METRICS_ENABLED")),
    "server_log_level": (("2.0", "PREFECT_LOGGING_SERVER_LEVEL"), ("3.1", "PREFECT_SERVER_LOGGING_LEVEL")),
    # -- the database -------------------------------------------------------------------------------------------
    "database_url": (
        ("2.0", "PREFECT_ORION_DATABASE_CONNECTION_URL"),
        ("2.8", "PREFECT_API_DATABASE_CONNECTION_URL"),
        ("3.1", "PREFECT_SERVER_DATABASE_CONNECTION_URL"),
    ),
    "database_password": (
        ("2.0", "PREFECT_ORION_DATABASE_PASSWORD"),
        ("2.8", "PREFECT_API_DATABASE_PASSWORD"),
        ("3.1", "PREFECT_SERVER_DATABASE_PASSWORD"),
    ),
    "database_timeout": (
        ("2.0", "PREFECT_ORION_DATABASE_TIMEOUT"),
        ("2.8", "PREFECT_API_DATABASE_TIMEOUT"),
        ("3.1", "PREFECT_SERVER_DATABASE_TIMEOUT"),
    ),
    "database_connection_timeout": (
        ("2.0", "PREFECT_ORION_DATABASE_CONNECTION_TIMEOUT"),
        ("2.8", "PREFECT_API_DATABASE_CONNECTION_TIMEOUT"),
        ("3.1", "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT"),
    ),
    "database_migrate_on_start": (
        ("2.0", "PREFECT_ORION_DATABASE_MIGRATE_ON_START"),
        ("2.8", "PREFECT_API_DATABASE_MIGRATE_ON_START"),
        ("3.1", "PREFECT_SERVER_DATABASE_MIGRATE_ON_START"),
    ),
    "database_pool_size": (
        ("2.12", "PREFECT_SQLALCHEMY_POOL_SIZE"),
        ("3.1", "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE"),
    ),
    "database_max_overflow": (
        ("2.12", "PREFECT_SQLALCHEMY_MAX_OVERFLOW"),
        ("3.1", "PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW"),
    ),
    "database_application_name": (("3.1.15", f"{CONNECT_ARGS}_APPLICATION_NAME"),),
    "database_statement_cache_size": (("3.2.15", f"{CONNECT_ARGS}_STATEMENT_CACHE_SIZE"),),
    "database_tls": (("3.4.12", f"{CONNECT_ARGS}_TLS_ENABLED"),),
    "database_tls_ca_file": (("3.4.12", f"{CONNECT_ARGS}_TLS_CA_FILE"),),
    "database_tls_cert_file": (("3.4.12", f"{CONNECT_ARGS}_TLS_CERT_FILE"),),
    "database_tls_key_file": (("3.4.12", f"{CONNECT_ARGS}_TLS_KEY_FILE"),),
    "database_tls_check_hostname": (("3.4.12", f"{CONNECT_ARGS}_TLS_CHECK_HOSTNAME"),),
}
