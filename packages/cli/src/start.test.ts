/** Start and stop as a user sees them: refusals are one line and change nothing. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { runHere } from "./testing-here.js"
import { plainEnvironment, runHayloft, runProcess, type Outcome } from "./testing-process.js"

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url))
const clock = new RealClock()
let folder = ""

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-start-"))
})

after(() => rm(folder, { recursive: true, force: true }))

/** Only a hang takes this long, even on a busy machine. */
const HANGS_MS = 5 * 60_000
const ANY_PORTS = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]

function refused({ code, out, error }: Outcome, exit: number, pattern: RegExp): void {
  assert.equal(code, exit, error)
  assert.match(error, pattern)
  assert.match(error, /^hayloft: [^\n]+\n$/, "one line")
  assert.equal(out.toString("utf8"), "")
}

test("unknown flags, bad values, an unknown variable: exit code 2, and no folder was created", async () => {
  const data = join(folder, "never")
  const serve = (args: readonly string[], environment: Record<string, string> = {}) =>
    runHere(["serve", "--data", data, ...args], { environment, workingFolder: folder })
  refused(await serve(["--lisen", "x"]), 2, /unknown option '--lisen'/)
  refused(await serve(["--redundancy", "raid6"]), 2, /not a redundancy: "raid6"/)
  const tooMany = ["serve", "--data", data, "--redundancy", "ec:4+2", ...ANY_PORTS]
  refused(await runHayloft(tooMany), 2, /needs 6 data folders, but there is 1/)
  refused(await serve([], { HAYLOFT_LISTNE: "x" }), 2, /HAYLOFT_LISTNE/)
  await writeFile(join(folder, "bad.json"), `{"lisen": "x"}`)
  refused(await serve(["--config", "bad.json"]), 2, /bad\.json: unknown key "lisen"/)
  assert.equal(existsSync(data), false)
})

test("a missing or invalid certificate: refused with its path, and no folder was created", async () => {
  const data = join(folder, "untouched")
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")]
  const serve = () =>
    runHayloft(["serve", "--data", data, ...ANY_PORTS, "--tls-cert", cert, "--tls-key", key], { workingFolder: folder })
  refused(await serve(), 1, /cert\.pem/)
  await writeFile(cert, "no certificate")
  await writeFile(key, "no key")
  refused(await serve(), 2, /the certificate .*cert\.pem and the key .*key\.pem cannot be used/)
  assert.equal(existsSync(data), false)
})

test("a Node that is too old is refused in one line", async () => {
  const fake = join(folder, "old-node.cjs")
  await writeFile(
    fake,
    `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "18.20.4" } })`,
  )
  refused(
    await runHayloft(["version"], { nodeArgs: ["--require", fake] }),
    2,
    /Node 18\.20\.4 is too old; install Node 20/,
  )
  const start = await runProcess(process.execPath, ["--require", fake, join(ROOT, "tools", "start.cjs")])
  refused(start, 2, /Node 18\.20\.4 is too old/)
})

test("an occupied port: one line that names it, and no folder was created", async () => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const data = join(folder, "no-port")
  const args = ["serve", "--data", data, "--listen", `127.0.0.1:${port}`, "--admin-listen", "127.0.0.1:0"]
  const inUse = `127\\.0\\.0\\.1:${port} is in use by another process; choose another with`
  refused(await runHayloft(args), 6, new RegExp(`${inUse} --listen`))
  const websites = ["serve", "--data", data, "--listen", "127.0.0.1:0", "--website-listen", `127.0.0.1:${port}`]
  refused(
    await runHayloft([...websites, "--admin-listen", "127.0.0.1:0", "--website-domain", "web.test"]),
    6,
    new RegExp(`${inUse} --website-listen`),
  )
  assert.equal(existsSync(data), false)
  await new Promise(resolve => server.close(resolve))
})

test("a folder of certificates that does not exist is named, and no folder was created", async () => {
  const data = join(folder, "no-certificates")
  const websites = ["--website-listen", "127.0.0.1:0", "--website-domain", "web.test"]
  const args = ["serve", "--data", data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", ...websites]
  const missing = join(folder, "certificates")
  const outcome = await runHayloft([...args, "--website-certificates", missing])
  refused(outcome, 2, new RegExp(`the folder of certificates ${missing} does not exist`))
  assert.equal(existsSync(data), false)
})

test("a filter that cannot be loaded is named, and no folder was created", async () => {
  const data = join(folder, "no-filter")
  const args = ["serve", "--data", data, ...ANY_PORTS]
  const empty = join(folder, "empty.cjs")
  await writeFile(empty, "module.exports = () => ({ handle() {} })\n")
  refused(
    await runHayloft([...args, "--filter", join(folder, "missing.cjs")]),
    2,
    /the filter .*missing\.cjs cannot be loaded/,
  )
  refused(await runHayloft([...args, "--filter", empty]), 2, /the filter .*empty\.cjs makes no object with a name/)
  assert.equal(existsSync(data), false)
})

test("a folder with other files is not a data folder, and stays as it is", async () => {
  const data = join(folder, "photos")
  await mkdir(data)
  await writeFile(join(data, "cat.jpg"), "meow")
  refused(await runHayloft(["serve", "--data", data, ...ANY_PORTS]), 6, /photos holds other files.*choose an empty/)
  assert.deepEqual(await readdir(data), ["cat.jpg"])
})

/** A store that made its own root key. */
const owned = (): string => join(folder, "owned")
const startOwned = () =>
  StoreProcess.start(
    { dataFolders: [owned()], environment: { HAYLOFT_ROOT_ACCESS_KEY: "", HAYLOFT_ROOT_SECRET_KEY: "" } },
    clock,
  )

test("a running store's folder is not taken twice; SIGTERM ends it in one line; later starts find its key, and show its secret never again", async () => {
  const data = owned()
  const store = await startOwned()
  try {
    refused(
      await runHayloft(["serve", "--data", data, ...ANY_PORTS]),
      6,
      new RegExp(`owned is in use by process ${store.pid} \\(.*hayloft.* serve .*\\); stop that one`),
    )
    assert.equal((await runHere(["ls"], { environment: { HAYLOFT_DATA: data } })).code, 0, "the first one is well")
  } finally {
    assert.equal(await store.stop(), 0)
  }
  assert.doesNotMatch(store.output, /Error|at .*\.js:\d+/)
  const again = await startOwned()
  assert.equal(await again.stop(), 0)

  const env = await runHere(["env"], { environment: { HAYLOFT_DATA: data } })
  const secret = /AWS_SECRET_ACCESS_KEY='([^']+)'/.exec(env.out.toString("utf8"))?.[1] ?? ""
  const key = /AWS_ACCESS_KEY_ID='([^']+)'/.exec(env.out.toString("utf8"))?.[1] ?? ""
  assert.ok(secret.length >= 16 && key.length >= 8, env.error)
  const [first, second] = [store.output, again.output]
  assert.equal(first.split(secret).length - 1, 1, "once")
  assert.match(first, /\.\/bin\/hayloft cp README\.md s3:\/\/first\//)
  assert.match(first, /curl .*--aws-sigv4/)
  assert.match(first, /aws /)
  const banner = first.slice(0, first.lastIndexOf("aws "))
  assert.ok(banner.split("\n").length < 15, first)
  assert.ok(!second.includes(secret) && second.includes(key) && second.includes("hayloft env"), second)
  for (const entry of await readdir(data, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const bytes = await readFile(join(entry.parentPath, entry.name))
    assert.equal(bytes.includes(secret), false, `${entry.name} holds the secret in the clear`)
  }
})

const three = (): readonly string[] => ["a", "b", "c"].map(name => join(folder, "three", name))

test("one folder of a running store is in use: the message names the owner, and does not advise giving up the others", async () => {
  const dataFolders = three()
  const store = await StoreProcess.start({ dataFolders }, clock)
  try {
    const refusal = await runHayloft(["serve", "--data", join(folder, "three", "b"), ...ANY_PORTS])
    refused(refusal, 6, new RegExp(`three/b is in use by process ${store.pid} \\(`))
    assert.doesNotMatch(refusal.error, /forget/)
  } finally {
    assert.equal(await store.stop(), 0)
  }
  // The contents were known immediately: the store had just been created.
  assert.match(store.output, /\nRedundancy +ec:2\+1 in 3 folders on \d disks?: [^;\n]+\n/)
})

test("a later start with another redundancy reports in one line that it is ignored, and what changes it", async () => {
  const dataFolders = three()
  const args = ["--redundancy", "replica:2", "--meta-copies", "2"]
  const store = await StoreProcess.start({ dataFolders, args }, clock)
  await store.stop()
  const messages = store.output.split("\n").filter(line => line.includes("is ignored"))
  assert.equal(messages.length, 2, store.output)
  assert.match(
    messages[0] ?? "",
    /--redundancy replica:2 is ignored: this store has ec:2\+1\. To change it: hayloft redundancy set replica:2$/,
  )
  assert.match(messages[1] ?? "", /--meta-copies 2 is ignored: this store keeps its metadata on 3 devices/)
  const again = await StoreProcess.start({ dataFolders, args: ["--redundancy", "ec:2+1", "--meta-copies", "3"] }, clock)
  await again.stop()
  assert.doesNotMatch(again.output, /is ignored/)
})

test("a start with many folders prints no warning of Node", async () => {
  const dataFolders = Array.from({ length: 12 }, (_, i) => join(folder, "many", `disk${i + 1}`))
  const store = await StoreProcess.start({ dataFolders }, clock)
  assert.equal(await store.stop(), 0)
  assert.doesNotMatch(store.output, /Warning|--trace-warnings/)
})

/** The program that `bin/hayloft` runs first, in this process, with other arguments and variables. */
function threadsFor(args: readonly string[], environment: Record<string, string>): number {
  const { argv, env } = process
  const { sizeThreadPool } = createRequire(import.meta.url)(join(ROOT, "bin", "thread-pool.cjs")) as {
    sizeThreadPool(): void
  }
  try {
    process.argv = [...argv.slice(0, 2), ...args]
    process.env = { ...plainEnvironment(), HAYLOFT_THREADS: "0", ...environment }
    sizeThreadPool()
    return Number(process.env["UV_THREADPOOL_SIZE"])
  } finally {
    process.argv = argv
    process.env = env
  }
}

test("file calls have threads for each folder, however it is named", async () => {
  const shown = join(folder, "pool.cjs")
  await writeFile(shown, `process.on("exit", () => console.error("pool", process.env.UV_THREADPOOL_SIZE))`)
  const { error } = await runHayloft(["serve", "--data", "a{1...12}", "--threads", "3", "--help"], {
    nodeArgs: ["--require", shown],
  })
  assert.equal(Number(/pool (\d+)/.exec(error)?.[1]), 4 + 7 * 12)
  for (const [threads, args, environment = {}] of [
    [4 + 4 * 8, ["server", "a", "b{1...3}/c{1...2}", "/d", "--address", ":9000"]],
    [4 + 4 * 12, ["minio", "server", "/mnt/disk{1...12}"]],
    [4 + 4 * 5, ["server", "--console-address", ":9001"], { MINIO_VOLUMES: "/mnt/disk{1...4} /more" }],
    [4 + 4 * 3, ["server"], { MINIO_DATA_DIR: "/mnt/disk{1...3}" }],
    [4 + 4 * 12, ["serve", "--data", "a{1...12}"]],
    [4 + 6 * 2, ["serve", "--data", "a{1...2}"], { HAYLOFT_THREADS: "2" }],
    [8, ["ls", "server"]],
  ] as const)
    assert.equal(threadsFor(args, environment), threads, args.join(" "))
})

test("folders of two stores are not mixed", async () => {
  const [a = "", b = ""] = [owned(), ...three()]
  assert.ok([a, b].every(existsSync), "the tests before have made them")
  refused(
    await runHayloft(["serve", "--data", a, "--data", b, ...ANY_PORTS]),
    6,
    /different stores.*folders of one store/,
  )
})

/** `npm start` in its own process group, like in a terminal. */
async function npmStart(
  data: string,
  signal: NodeJS.Signals,
  toGroup: boolean,
): Promise<{ code: number | null; text: string }> {
  const args = ["start", "--", "--data", data, ...ANY_PORTS]
  const child = spawn("npm", args, {
    cwd: ROOT,
    detached: true,
    env: plainEnvironment(),
    stdio: ["ignore", "pipe", "pipe"],
  })
  let text = ""
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")))
  const exited = new Promise<number | null>(resolve => child.on("close", resolve))
  const pid = child.pid ?? 0
  const giveUp = setTimeout(() => process.kill(-pid, "SIGKILL"), HANGS_MS)
  await until("it has started or ended", () => /s3:\/\/third\//.test(text) || child.exitCode !== null)
  process.kill(toGroup ? -pid : pid, signal)
  const code = await exited
  clearTimeout(giveUp)
  return { code, text }
}

for (const [what, signal, toGroup] of [
  ["Ctrl-C", "SIGINT", true],
  ["SIGTERM to npm alone", "SIGTERM", false],
] as const) {
  test(`npm start serves, and ${what} ends it in one line, with exit code 0 and without npm's error block`, async () => {
    const { code, text } = await npmStart(join(folder, `npm-${signal}`), signal, toGroup)
    assert.equal(code, 0, text)
    assert.match(text, /\nhayloft: stopped\n$/)
    assert.doesNotMatch(text, /npm (ERR|error)|ELIFECYCLE| at .*\.js:\d+/)
  })
}
