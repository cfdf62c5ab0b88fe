"""Every line of Swift's checklist, driven by python-swiftclient: prints a line of JSON for each case."""

from swift_store import run_cases

# Each module registers its cases. A job without work rests longer each time: container sync is sooner done first.
import swift_sync  # noqa: F401
import swift_containers  # noqa: F401
import swift_objects  # noqa: F401
import swift_access  # noqa: F401
import swift_large  # noqa: F401
import swift_links  # noqa: F401
import swift_middleware  # noqa: F401

run_cases()
