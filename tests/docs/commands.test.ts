/**
 * Runs the commands that the documents and the start banner show, exactly as written, against a real
 * server. A block whose tools are not installed is skipped, and names them.
 *
 * The commands of the banner, of the README and of the installation are processes of their own, as a user has them. Those of
 * other pages are run by processes that stay (`harness/resident.ts`).
 */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { after, before, test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { readsEndpointVariable } from "../harness/aws-environment.js"
import { bindChild, findProgram, run, type CommandResult } from "../harness/commands.js"
import { interpreterOf } from "../harness/python-programs.js"
import { withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { residentAws, residentHayloft, type Resident } from "../harness/resident.js"
import { ROOT } from "../harness/server.js"

/** Ends a script that hangs; one that calls the AWS CLI twenty times takes minutes on a busy machine. */
const SCRIPT_MS_MAX = 8 * 60_000
const START_MS_MAX = 120_000
const STOP_MS_MAX = 120_000
const POLL_MS = 25
/** The parts of a checkout that the commands use. */
const CHECKOUT = ["dist", "docs", "node_modules", "package.json", "README.md"]
/** The folder of a checkout with programs that a script finds first. */
const PROGRAMS = ".programs"
/** The documents whose commands are processes. */
const AS_PROCESSES = ["README.md", "docs/guide/install.md"]

/** Variables that would direct a command to another store. */
const PLAIN = Object.fromEntries(
  Object.keys(process.env)
    .filter(name => /^(HAYLOFT|AWS)_|^NODE_TEST|^UV_THREADPOOL/.test(name))
    .map(name => [name, undefined]),
)

/** A server started as in the first steps: `./bin/hayloft serve` in a checkout, data in ./data. */
interface FirstStart {
  readonly checkout: string
  /** Another checkout with the same store in ./data. `isQuick`: its commands are run by programs that stay. */
  another(name: string, isQuick: boolean): string
  readonly banner: string
  stop(): Promise<number | null>
}

/** A folder with links to the checkout, so that commands do not write to the real one. */
function checkoutIn(folder: string, name: string, programs?: Residents): string {
  const checkout = join(folder, name)
  mkdirSync(checkout)
  for (const part of CHECKOUT) symlinkSync(join(ROOT, part), join(checkout, part))
  mkdirSync(join(checkout, PROGRAMS))
  const aws = programs?.aws?.stub ?? AWS
  if (aws !== "") symlinkSync(aws, join(checkout, PROGRAMS, "aws"))
  if (programs === undefined) {
    symlinkSync(join(ROOT, "bin"), join(checkout, "bin"))
    return checkout
  }
  mkdirSync(join(checkout, "bin"))
  symlinkSync(programs.hayloft.stub, join(checkout, "bin/hayloft"))
  return checkout
}

/** The programs that run without a process of their own; `aws` is undefined if it is not installed, or not so. */
interface Residents {
  readonly hayloft: Resident
  readonly aws: Resident | undefined
}

/** The AWS CLI that scripts find; a shim of pyenv is a shell script that starts another one. */
const AWS = (await run("bash", ["-c", "pyenv which aws 2> /dev/null || command -v aws || true"])).stdout.trim()

async function startResidents(folder: string): Promise<Residents> {
  const interpreter = interpreterOf(AWS)
  const aws = interpreter === undefined ? undefined : await residentAws(interpreter, AWS, join(folder, "aws-stub"))
  return { hayloft: await residentHayloft(join(folder, "hayloft-stub")), aws }
}

async function firstStart(folder: string, programs: Residents): Promise<FirstStart> {
  const checkout = checkoutIn(folder, "checkout")
  const ports = ["--listen", `127.0.0.1:${await freePort()}`, "--admin-listen", `127.0.0.1:${await freePort()}`]
  const child = spawn("./bin/hayloft", ["serve", ...ports], {
    cwd: checkout,
    env: { ...process.env, ...PLAIN },
    stdio: "pipe",
  })
  bindChild(child)
  const exited = new Promise<number | null>(resolve => void child.once("exit", code => resolve(code)))
  let [banner, log] = ["", ""]
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (banner += chunk))
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (log += chunk))
  const stop = async () => {
    child.kill("SIGTERM")
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX)
    const code = await exited
    clearTimeout(late)
    return code
  }
  const deadline = performance.now() + START_MS_MAX
  while (!/ aws s3 mb .*\n/.test(banner)) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await stop()
      throw new Error(`the server did not start:\n${banner}\n${log}`)
    }
    await later(POLL_MS)
  }
  const another = (name: string, isQuick: boolean) => {
    const place = checkoutIn(folder, name, isQuick ? programs : undefined)
    symlinkSync(join(checkout, "data"), join(place, "data"))
    return place
  }
  return { checkout, another, banner, stop }
}

/** The line that users of an older AWS CLI have to type first, as the recipe shows it. */
const FOR_OLDER_CLI = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'
const isOlderCli = async (): Promise<boolean> =>
  AWS !== "" && !readsEndpointVariable((await run(AWS, ["--version"])).stdout)
const typedFirst = isOlderCli().then(isOlder => (isOlder ? `${FOR_OLDER_CLI}\n` : ""))

/** Types a script into a fresh terminal in the checkout. */
const type = async (checkout: string, script: string): Promise<CommandResult> =>
  run("bash", ["-c", `set -euo pipefail\n${await typedFirst}${script}`], {
    cwd: checkout,
    env: {
      ...PLAIN,
      HOME: checkout,
      CHECKPOINT_DISABLE: "1",
      PATH: `${join(checkout, PROGRAMS)}:${process.env["PATH"] ?? ""}`,
    },
    timeoutMs: SCRIPT_MS_MAX,
  })

async function typeOk(checkout: string, script: string): Promise<string> {
  const { code, stdout, stderr } = await type(checkout, script)
  assert.equal(code, 0, `${script}\n--- output\n${stdout}\n${stderr}`)
  return stdout
}

/**
 * `aws`: a command; `aws:x`: its put-object supports `--x`; `python3:boto3`: a module; `a/b`: a path in the checkout.
 */
async function isMissing(tool: string): Promise<boolean> {
  if (tool.includes("/")) return !existsSync(join(ROOT, tool))
  const [program = "", module] = tool.split(":")
  if (findProgram(program) === undefined) return true
  if (program === "aws" && module !== undefined) {
    const args = ["s3api", "put-object", `--${module}`, "x", "--generate-cli-skeleton"]
    return (await run(program, args)).code !== 0
  }
  const find = `import importlib.util, sys; sys.exit(importlib.util.find_spec("${module ?? ""}") is None)`
  return module !== undefined && (await run(program, ["-c", find])).code !== 0
}

async function firstMissing(tools: readonly string[]): Promise<string | undefined> {
  for (const tool of tools) if (await isMissing(tool)) return tool
  return undefined
}

let server: FirstStart | undefined
let release: () => void = () => undefined
let cleaned: Promise<void> = Promise.resolve()

before(async () => {
  await new Promise<void>((resolve, reject) => {
    cleaned = withFolder(async folder => {
      const programs = await startResidents(folder)
      try {
        server = await firstStart(folder, programs)
        const over = new Promise<void>(done => (release = done))
        resolve()
        await over
        assert.equal(await server.stop(), 0)
      } finally {
        await programs.hayloft.stop()
        await programs.aws?.stop()
      }
    })
    cleaned.catch(reject)
  })
})

after(async () => {
  release()
  await cleaned
})

function started(): FirstStart {
  assert.ok(server, "the server was started")
  return server
}

/** The lines of the banner that users paste. */
const pasted = (banner: string): string[] =>
  banner.split("\n").filter(line => line.startsWith("  ./bin/hayloft cp") || line.startsWith("  eval "))

test("the banner has under 15 lines and three ways to a first object", () => {
  const { banner } = started()
  assert.ok(banner.trimEnd().split("\n").length < 15, banner)
  assert.equal(pasted(banner).length, 3, banner)
})

for (const { at, name, bucket, tool } of [
  { at: 0, name: "hayloft cp", bucket: "first", tool: undefined },
  { at: 1, name: "curl", bucket: "second", tool: "curl" },
  { at: 2, name: "AWS CLI", bucket: "third", tool: "aws" },
]) {
  test(`the banner's commands for ${name} work exactly as printed`, async t => {
    if (tool !== undefined && (await isMissing(tool))) return t.skip(`${tool} is not installed`)
    const { checkout, another, banner } = started()
    const line = pasted(banner)[at] ?? ""
    assert.ok(line.includes(bucket), banner)
    const looking = another(`looking-${bucket}`, true)
    assert.notEqual((await type(looking, `./bin/hayloft ls s3://${bucket}`)).code, 0, `${bucket} exists already`)
    await typeOk(checkout, line)
    const readme = readFileSync(join(ROOT, "README.md"), "utf8")
    assert.equal(await typeOk(looking, `./bin/hayloft cp s3://${bucket}/README.md -`), readme)
    await typeOk(looking, `./bin/hayloft rm -r s3://${bucket}/ && ./bin/hayloft bucket delete ${bucket}`)
  })
}

interface Documents {
  commandsIn(): { name: string; path: string; needs: string[]; script: string }[]
}

const documents = (await import(pathToFileURL(join(ROOT, "tools/docs.mjs")).href)) as Documents
const commands = documents.commandsIn()

test("an AWS CLI that does not read the endpoint from the environment gets it as the recipe shows", () => {
  assert.ok(readFileSync(join(ROOT, "docs/guide/clients/aws-cli.md"), "utf8").includes(`\n${FOR_OLDER_CLI}\n`))
  const versions = ["aws-cli/2.9.19 Python/3.11.2", "aws-cli/2.13.0 x", "aws-cli/1.28.9 x", "aws-cli/1.29.0 x", "", "?"]
  assert.deepEqual(versions.map(readsEndpointVariable), [false, true, false, true, false, false])
})

test("the page has a recipe for each kind of client", () => {
  const names = commands.map(({ name }) => name)
  for (const client of ["node", "curl", "aws", "sdk"]) assert.ok(names.includes(`readme-${client}`), client)
  for (const client of ["first-object", "aws-cli", "sdk-javascript", "sdk-python", "rclone", "restic", "terraform"]) {
    assert.ok(names.includes(client), client)
  }
})

for (const { name, path, needs, script } of commands) {
  test(`${path}: ${name}`, async t => {
    const missing = await firstMissing(needs)
    if (missing !== undefined) return t.skip(`${missing} is not installed`)
    await typeOk(started().another(name, !AS_PROCESSES.includes(path)), script)
  })
}
