"""Runs Python programs without a new interpreter: imports what they import once, and forks for each run.

Reads a request of JSON on each line of standard input; writes a line for each run that has ended.
Runs end with this process, which ends when its input does.
"""
import base64
import ctypes
import gc
import importlib
import json
import os
import random
import runpy
import signal
import sys
import tempfile
import time

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG

libc = ctypes.CDLL(None, use_errno=True)
# Who holds its only byte may write a line.
token_out, token_in = os.pipe()
os.write(token_in, b"x")


# Variables that modules set while they are imported.
of_modules = {}


def use_environment(environment):
    os.environ.clear()
    os.environ.update(of_modules)
    os.environ.update(environment)
    time.tzset()


def preload(request):
    """The first run of a program decides in which environment its modules are imported."""
    missing = [name for name in request["preloaded"] if name not in sys.modules]
    if not missing:
        return
    use_environment(request["env"])
    # A module beside the program, as Python itself would find it.
    sys.path[0] = os.path.dirname(os.path.realpath(request["program"]))
    for name in missing:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    of_modules.update((name, value) for name, value in os.environ.items() if name not in request["env"])
    gc.collect()
    gc.freeze()


def answer(request, code, out, error):
    texts = []
    for file in (out, error):
        file.seek(0)
        texts.append(base64.b64encode(file.read()).decode())
    line = json.dumps({"id": request["id"], "code": code, "stdout": texts[0], "stderr": texts[1]})
    rest = line.encode() + b"\n"
    os.read(token_out, 1)
    while rest:
        rest = rest[os.write(1, rest):]
    os.write(token_in, b"x")


def become(request, out, error):
    """The rest of this process is the program's."""
    libc.prctl(END_WITH_PARENT, signal.SIGKILL)
    given = tempfile.TemporaryFile()
    given.write(base64.b64decode(request["input"]))
    given.seek(0)
    for from_, to in ((given.fileno(), 0), (out.fileno(), 1), (error.fileno(), 2)):
        os.dup2(from_, to)
    given.close()
    for inherited in (token_out, token_in):
        os.close(inherited)
    use_environment(request["env"])
    os.chdir(request["cwd"])
    random.seed()
    signal.alarm(request["seconds_max"])
    # Modules may hold the list itself.
    sys.argv[:] = [request["program"], *request["args"]]
    sys.path[0] = os.path.dirname(os.path.realpath(request["program"]))


def run(request):
    """In a process of its own, so that several programs can run at the same time."""
    libc.prctl(END_WITH_PARENT, signal.SIGKILL)
    out, error = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    pid = os.fork()
    if pid == 0:
        become(request, out, error)
        return True
    status = os.waitpid(pid, 0)[1]
    code = os.waitstatus_to_exitcode(status)
    answer(request, code if code >= 0 else None, out, error)
    return False


def next_program():
    """Returns in a process that shall run a program, with its path; None when there are no more."""
    # Apart from `sys.stdin`, which programs read.
    for line in open(0, "rb", closefd=False):
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            pass
        request = json.loads(line)
        preload(request)
        if os.fork() == 0:
            if run(request):
                return request["program"]
            os._exit(0)
    try:
        while os.wait():
            pass
    except ChildProcessError:
        return None


sys.path.insert(0, "")
program = next_program()
if program is not None:
    runpy.run_path(program, run_name="__main__")
