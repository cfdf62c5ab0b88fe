/**
 * The quick start of docs/operate/cluster.md, block by block: three machines, played by three folders and loopback, over a real
 * PostgreSQL, which gets its certificate as on the page. Only the installation of the database itself is left out.
 */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { bindChild, runOk } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { serverUser } from "@hayloft/client/testing-postgres.js"
import { noPostgres, withPostgres, type PostgresServer } from "../harness/postgres.js"
import { ROOT } from "../harness/server.js"

const PAGE = readFileSync(join(ROOT, "docs/operate/cluster.md"), "utf8")
const MACHINES = ["a", "b", "c"] as const
/** A look is a command, which is work for the machine that is waited for. */
const POLL_MS = 1_000
const STATUS = "./bin/hayloft status --config /etc/hayloft/config.json"
/** Variables that would direct a command to another store. */
const PLAIN = Object.fromEntries(
  Object.keys(process.env)
    .filter(name => /^(HAYLOFT|AWS)_|^NODE_TEST/.test(name))
    .map(name => [name, undefined]),
)

interface Markdown {
  fencedBlocks(text: string): { info: string; text: string }[]
}

const { fencedBlocks } = (await import(pathToFileURL(join(ROOT, "tools/docs/markdown.mjs")).href)) as Markdown

const section = PAGE.slice(PAGE.indexOf("\n## Quick start"), PAGE.indexOf("\n## Gateways"))
const [database, certificate, key, settings, check, serve, upload, ...others] = fencedBlocks(section).map(
  ({ text }) => text,
)

test("the quick start has the blocks that are run below", () => {
  assert.match(database ?? "", /createuser/)
  assert.match(certificate ?? "", /openssl req/)
  assert.match(section, /Copy `db-ca\.pem` to `\/etc\/hayloft\/db-ca\.pem`/)
  assert.match(key ?? "", /openssl rand/)
  assert.match(settings ?? "", /"masterKeyFile"/)
  assert.match(check ?? "", /check-database/)
  assert.match(serve ?? "", /serve --config/)
  assert.match(upload ?? "", /hayloft cp/)
  assert.deepEqual(others, [])
})

/** A machine of the example: what it has in /etc and /mnt is in its folder. */
class Machine {
  private ended: Promise<number | null> | undefined
  private stopping: (() => void) | undefined
  output = ""

  constructor(
    private readonly name: string,
    private readonly folder: string,
    private readonly database: PostgresServer,
  ) {
    mkdirSync(folder)
  }

  private here(text = ""): string {
    return text
      .replaceAll("@db.example/", `@${HOST}:${this.database.port}/`)
      .replaceAll(/(?<![\w-])\/(etc|mnt)\//g, `${this.folder}/$1/`)
  }

  run(script = ""): Promise<string> {
    return runOk("bash", ["-c", `set -euo pipefail\n${this.here(script)}`], { cwd: ROOT, env: PLAIN })
  }

  /** The settings as on the page; three nodes on one host also need names and ports of their own. */
  configure(masterKey: string, serverCertificate: string, isGateway = false): void {
    const page = JSON.parse(this.here(settings)) as { data: string[] }
    const shown = isGateway ? { ...page, data: [] } : page
    const own = { node: this.name, zone: this.name, listen: ANY, adminListen: ANY, nodeListen: ANY }
    for (const path of [join(this.folder, "etc/hayloft"), ...shown.data]) mkdirSync(path, { recursive: true })
    writeFileSync(join(this.folder, "etc/hayloft/master.key"), masterKey)
    writeFileSync(join(this.folder, "etc/hayloft/db-ca.pem"), serverCertificate)
    writeFileSync(join(this.folder, "etc/hayloft/config.json"), JSON.stringify({ ...shown, ...own }))
  }

  async serve(): Promise<void> {
    const child = spawn("bash", ["-c", `exec ${this.here(serve)}`], { cwd: ROOT, env: { ...process.env, ...PLAIN } })
    bindChild(child)
    this.stopping = () => child.kill("SIGTERM")
    this.ended = new Promise(resolve => child.once("exit", resolve))
    const ready = new Promise<void>(resolve =>
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        this.output += chunk
        if (/^Redundancy .*\n/m.test(this.output)) resolve()
      }),
    )
    let log = ""
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (log += chunk))
    await Promise.race([ready, this.ended])
    assert.equal(child.exitCode, null, `${this.name} ended:\n${log}`)
  }

  async stop(): Promise<void> {
    this.stopping?.()
    await this.ended
  }
}

const ANY = "127.0.0.1:0"
/** The name of the database, in its certificate, too. */
const HOST = "localhost"

/** Gives the database a certificate as the page says, and returns what the nodes need of it. */
async function certify(postgres: PostgresServer, folder: string): Promise<string> {
  const { name } = serverUser()
  const as = process.getuid?.() === 0 ? `runuser -u ${name} -- ` : ""
  const lines = (certificate ?? "").replaceAll("db.example", HOST).split("\n")
  const restart = lines.indexOf("systemctl restart postgresql")
  assert.ok(restart > 0, "the server is restarted")
  const run = (part: readonly string[]) => {
    const script = part.join("\n").replaceAll("sudo -u postgres ", as)
    const env = {
      ...PLAIN,
      PGHOST: "127.0.0.1",
      PGPORT: String(postgres.port),
      PGUSER: "hayloft",
      PGDATABASE: "postgres",
    }
    return runOk("bash", ["-c", `set -euo pipefail\n${script}`], { cwd: folder, env })
  }
  await run(lines.slice(0, restart))
  await postgres.stop("fast")
  await postgres.start()
  await run([lines[0] ?? "", ...lines.slice(restart + 1)])
  return readFileSync(join(folder, "db-ca.pem"), "utf8")
}

test("the quick start gives a store of three nodes, each of which serves, and gateways", { skip: noPostgres }, () =>
  withPostgres(postgres =>
    withFolder(async folder => {
      const machines = MACHINES.map(name => new Machine(name, join(folder, name), postgres))
      const [first, second, third] = machines
      assert.ok(first && second && third)
      try {
        const serverCertificate = await certify(postgres, folder)
        await first.run(key)
        const masterKey = readFileSync(join(folder, "a/etc/hayloft/master.key"), "utf8")
        for (const machine of machines) machine.configure(masterKey, serverCertificate)
        assert.match(await first.run(`${check ?? ""} --rounds 1`), /This database is safe for Hayloft/)
        for (const machine of machines) await machine.serve()
        const secrets = machines.map(({ output }) => /shown only once/.test(output))
        assert.deepEqual(secrets, [true, false, false], "only the first start shows the secret key")
        const isReady = (machine: Machine) =>
          machine.run(STATUS).then(
            () => true,
            () => false,
          )
        // Commands find a node by its data folders, some moments after it has started.
        for (const machine of machines) await until("the node is found", () => isReady(machine), POLL_MS)
        await second.run(upload)
        const readme = readFileSync(join(ROOT, "README.md"), "utf8")
        const read = "./bin/hayloft cp s3://first/README.md - --config /etc/hayloft/config.json"
        assert.equal(await third.run(read), readme)
        const isSpread = async (): Promise<boolean> => (await first.run(STATUS)).includes("ec:4+2 in 6 folders")
        await until("all folders are used", isSpread, POLL_MS)
        const printed = second.output.split("\n").filter(line => /^ {2}(export|\.\/bin\/hayloft cp) /.test(line))
        assert.equal(printed.length, 2, second.output)
        await second.run(`${printed.join("\n")}\n./bin/hayloft cp s3://first/README.md - | cmp - README.md`)
        const gateway = new Machine("d", join(folder, "d"), postgres)
        machines.push(gateway)
        gateway.configure(masterKey, serverCertificate, true)
        await gateway.serve()
        const [, endpoint = ""] = / S3 (\S+) /.exec(gateway.output) ?? []
        assert.match(gateway.output, /this node is a gateway/)
        const root = 'eval "$(./bin/hayloft env --config /etc/hayloft/config.json)"'
        await first.run(
          `${root}; AWS_ENDPOINT_URL=${endpoint} ./bin/hayloft cp s3://first/README.md - | cmp - README.md`,
        )
      } finally {
        await Promise.all(machines.map(machine => machine.stop()))
      }
    }, quietParent()),
  ),
)
