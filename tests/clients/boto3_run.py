"""Runs scripts of this folder one after the other in one process. Arguments: their names.

Prints a line for each, or "boto3 is not installed".
"""
import os
import runpy
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))

try:
    import boto3  # noqa: F401
except ImportError:
    sys.exit(print("boto3 is not installed"))
for name in sys.argv[1:]:
    runpy.run_path(os.path.join(FOLDER, f"boto3_{name}.py"), run_name=name)
    print(f"{name}: done", flush=True)
