/**
 * Programs of scripts that stay: `hayloft` in this process, and the AWS CLI in a Python process that forks for each command.
 * A process of its own for each command is most of the processor time of scripts with many.
 *
 * A script calls a stub of the same name, which hands over its arguments, variables, folder and streams, and ends with the
 * exit code of the command. Signals do not reach the command.
 */
import { spawn } from "node:child_process"
import { readFileSync, readlinkSync, writeFileSync } from "node:fs"
import { createServer, type AddressInfo, type Socket } from "node:net"
import { createInterface } from "node:readline"
import { runHere } from "../../src/cli/testing-here.js"
import { bindChild } from "./commands.js"

/** A place that runs the commands of its stubs. */
export interface Resident {
  /** The program that scripts call. */
  readonly stub: string
  stop(): Promise<void>
}

/** The input is read only when the command asks for it: it may be that of a loop around the command. */
const hayloftStub = (port: number): string => `#!/bin/bash
at=/dev/tcp/127.0.0.1/${port}
exec 9<> $at
echo "run $$" >&9
while read -r what code out error <&9; do
  if [ "$what" = input ]; then
    { echo "input $$"; cat; } > $at
  else
    head -c "$out" <&9
    head -c "$error" <&9 >&2
    exit "$code"
  fi
done
exit 99
`

const listOf = (pid: number, name: string): readonly string[] =>
  readFileSync(`/proc/${pid}/${name}`, "utf8").split("\0").slice(0, -1)

function environmentOf(pid: number): Record<string, string> {
  const pairs = listOf(pid, "environ").map(text => {
    const at = text.indexOf("=")
    return [text.slice(0, at), text.slice(at + 1)] as const
  })
  return Object.fromEntries(pairs)
}

/** Reads the first line of a connection; what follows stays in the socket. */
async function firstLine(socket: Socket): Promise<string> {
  let line = ""
  for (;;) {
    const byte = socket.read(1) as Buffer | null
    if (byte !== null && byte.toString() === "\n") return line
    if (byte !== null) line += byte.toString()
    else await new Promise(resolve => socket.once("readable", resolve))
  }
}

/** `hayloft` of this build, in this process. */
export async function residentHayloft(path: string): Promise<Resident> {
  const inputs = new Map<number, (input: Socket) => void>()
  async function run(pid: number, socket: Socket): Promise<void> {
    async function* input(): AsyncGenerator<Uint8Array> {
      const given = new Promise<Socket>(resolve => inputs.set(pid, resolve))
      socket.write("input\n")
      for await (const chunk of await given) yield chunk as Buffer
    }
    // The arguments follow those of the shell: its own name and the stub's.
    const { code, out, error } = await runHere(listOf(pid, "cmdline").slice(2), {
      ...{ environment: environmentOf(pid), workingFolder: readlinkSync(`/proc/${pid}/cwd`), input: input() },
    })
    const errorBytes = Buffer.from(error)
    socket.write(`end ${code} ${out.length} ${errorBytes.length}\n`)
    socket.end(Buffer.concat([out, errorBytes]))
  }
  const server = createServer({ allowHalfOpen: true }, socket => {
    socket.on("error", () => socket.destroy())
    const serve = async (): Promise<void> => {
      const [what, pid] = (await firstLine(socket)).split(" ")
      if (what === "run") await run(Number(pid), socket)
      else inputs.get(Number(pid))?.(socket)
    }
    serve().catch(() => socket.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  writeFileSync(path, hayloftStub((server.address() as AddressInfo).port), { mode: 0o755 })
  return { stub: path, stop: () => new Promise<void>(resolve => server.close(() => resolve())) }
}

const awsStub = (python: string, address: string): string => `#!${python} -IS
import os, socket, sys
with socket.socket(socket.AF_UNIX) as to:
    to.connect(${JSON.stringify(address)})
    socket.send_fds(to, [b"."], [0, 1, 2])
    variables = [f"{name}={value}" for name, value in os.environ.items()]
    to.sendall("\\0".join([os.getcwd(), str(len(sys.argv) - 1), *sys.argv[1:], *variables]).encode(errors="surrogateescape"))
    to.shutdown(socket.SHUT_WR)
    code = to.recv(8)
sys.exit(int(code or b"99"))
`

/** Runs the program of its first argument, once for each stub, in a child that has its modules already. */
const FORKS = `
import os, runpy, signal, socket, sys, traceback
import awscli.clidriver, awscli.customizations.s3.subcommands, botocore.httpsession, s3transfer.manager
program, address = sys.argv[1:]
# The module itself has set where its data is.
data = os.environ.get("AWS_DATA_PATH", "")
def called(stub):
    _, fds, _, _ = socket.recv_fds(stub, 1, 3)
    for fd, given in enumerate(fds):
        os.dup2(given, fd)
    folder, count, *rest = stub.makefile(errors="surrogateescape").read().split("\\0")
    os.chdir(folder)
    os.environ.clear()
    os.environ.update({"AWS_DATA_PATH": data} if data else {})
    os.environ.update(pair.split("=", 1) for pair in rest[int(count):])
    sys.argv = [program, *rest[:int(count)]]
    try:
        runpy.run_path(program, run_name="__main__")
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.socket(socket.AF_UNIX)
listener.bind(address)
listener.listen()
print("ready", flush=True)
while True:
    stub, _ = listener.accept()
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listener.close()
        code = 1
        try:
            code = called(stub)
        finally:
            stub.sendall(b"%d" % code)
            os._exit(0)
    stub.close()
`

/** The AWS CLI that is installed at this path; undefined if it is no Python script. `path`: of the stub. */
export async function residentAws(program: string, path: string): Promise<Resident | undefined> {
  const [, python] = /^#!(\/\S*python\S*)\n/.exec(readFileSync(program, "latin1")) ?? []
  if (python === undefined) return undefined
  const address = `${path}.socket`
  const child = spawn(python, ["-c", FORKS, program, address], { stdio: ["ignore", "pipe", "inherit"] })
  bindChild(child)
  const exited = new Promise<false>(resolve => void child.once("exit", () => resolve(false)))
  const ready = new Promise<true>(resolve => createInterface({ input: child.stdout }).once("line", () => resolve(true)))
  if (!(await Promise.race([ready, exited]))) return undefined
  writeFileSync(path, awsStub(python, address), { mode: 0o755 })
  return {
    stub: path,
    async stop() {
      child.kill("SIGKILL")
      await exited
    },
  }
}
