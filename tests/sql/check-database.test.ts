/** `hayloft cluster check-database` on real servers: good ones, wrong settings, standbys, wrong statements. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { createServer, type AddressInfo } from "node:net"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { testIo } from "@hayloft/cli/testing-io.js"
import { run } from "@hayloft/cli/program.js"
import { HAYLOFT_COMMAND } from "@hayloft/client/testing-store-process.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { RunName } from "@hayloft/engine/sql/check/runs-core.js"
import { makeRun } from "@hayloft/engine/sql/check/runs.js"
import { checkDatabase, Postgres } from "@hayloft/engine/sql/index.js"
import { parseSchemaName, type SchemaName } from "@hayloft/engine/sql/postgres/schema.js"
import { statementsOf, type SqlStatement } from "@hayloft/engine/sql/postgres/statements.js"
import { bindChild } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { noPostgres, PostgresServer } from "../harness/postgres.js"
import { freePort } from "../harness/free-port.js"

const PASSWORD = "pass-w%C3%B6rd"
const never = new AbortController().signal

let server: PostgresServer

if (noPostgres === false) {
  before(async () => {
    server = await PostgresServer.create()
  })
  after(() => server.dispose())
}

const databaseTest = (name: string, body: () => Promise<void>): void => void test(name, { skip: noPostgres }, body)

interface Checked {
  readonly code: number
  readonly out: string
  readonly error: string
}

/** Runs the command in this process. No output may contain the password. */
async function check(args: readonly string[], environment: Record<string, string> = {}): Promise<Checked> {
  const { io, written } = testIo({ environment, clock: new RealClock() })
  const code = await run(["cluster", "check-database", ...args], io, never)
  const { out, error } = written
  for (const secret of [PASSWORD, decodeURIComponent(PASSWORD)])
    assert.ok(!(out + error).includes(secret), `the password is shown:\n${out}${error}`)
  return { code, out, error }
}

const withPassword = (url: string): string => url.replace("hayloft@", `hayloft:${PASSWORD}@`)
const url = (): string => withPassword(server.url)
const lastLine = ({ out }: Checked): string => out.trimEnd().split("\n").at(-1) ?? ""

async function set(name: string, value: string): Promise<void> {
  await server.sql(`ALTER SYSTEM SET ${name} = '${value}'`)
  await server.sql("SELECT pg_reload_conf()")
  await until(`${name} is ${value}`, async () => (await server.sql(`SHOW ${name}`)).trim() === value, 5)
}

const schemas = async (): Promise<string> =>
  server.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'hayloft%'", "hayloft")

/** The lines of `--json`. */
interface Line {
  readonly check?: string
  readonly level?: string
  readonly found?: string
  readonly meaning?: string
  readonly isSafe?: boolean
  readonly verdict?: string
}

databaseTest(
  "a good server with an asynchronous standby is safe, every race was run, and nothing is left",
  async () => {
    const standby = await server.standby()
    try {
      await withFolder(async folder => {
        const isFollowed = async (): Promise<boolean> =>
          (await server.sql("SELECT count(*) FROM pg_stat_replication")).trim() === "1"
        await until("the standby follows", isFollowed, 5)
        const hosts = `127.0.0.1:${standby.port},127.0.0.1:${server.port}`
        const file = join(folder, "url")
        await writeFile(file, `${url().replace(`127.0.0.1:${server.port}`, hosts)}\n`)
        const { code, out } = await check(["--database-url-file", file, "--rounds", "2", "--json"])
        const lines = out
          .trimEnd()
          .split("\n")
          .map(line => JSON.parse(line) as Line)
        assert.equal(code, 0, out)
        assert.match(`${lines[0]?.found}: ${lines[0]?.meaning}`, /^127\.0\.0\.1:\d+ is read-only: it is not used$/)
        assert.match(lines[1]?.found ?? "", /^127\.0\.0\.1:\d+ accepts writes$/)
        const failed = lines.filter(({ level }) => level === "fail" || level === "unknown")
        assert.deepEqual(failed, [])
        const races = lines.filter(({ found = "" }) => found.includes("(2 rounds)"))
        assert.equal(races.length, 10, out)
        const warned = lines.filter(({ level }) => level === "warn")
        assert.deepEqual(
          warned.map(each => each.check),
          ["tls", "data_checksums", "replication"],
        )
        assert.match(
          `${warned[2]?.found}: ${warned[2]?.meaning}`,
          /^the standbys are asynchronous: a failover to one loses the last acknowledged writes/,
        )
        const last = lines.at(-1)
        assert.equal(last?.isSafe, true)
        assert.match(last.verdict ?? "", /safe for Hayloft, except for: the connection does not use TLS; /)
        assert.equal(await schemas(), "")
        const both = await check([url(), "--database-url-file", file])
        assert.deepEqual([both.code, both.out], [2, ""])
      })
      const alone = await check([withPassword(standby.url)])
      assert.equal(alone.code, 1)
      assert.match(alone.out, /^FAIL +127\.0\.0\.1:\d+ is read-only: it is a standby in recovery/m)
    } finally {
      await standby.dispose()
    }
  },
)

databaseTest(
  "settings that lose acknowledged writes are found, and the schema of a killed check is removed",
  async () => {
    const recent = `hayloft_check_${Math.floor(Date.now() / 1000) - 60}_00000000`
    for (const name of ["hayloft_check_1700000000_00000000", recent, "hayloft_check_mine"])
      await server.sql(`CREATE SCHEMA ${name}; CREATE TABLE ${name}.rows (key bytea)`, "hayloft")
    await server.sql("ALTER DATABASE hayloft SET synchronous_commit = off")
    await set("fsync", "off")
    const fast = await check([url(), "--rounds", "1"])
    await set("fsync", "on")
    await server.sql("ALTER DATABASE hayloft RESET synchronous_commit")
    // Whatever the races say.
    assert.equal(fast.code, 1)
    assert.match(fast.out, /^postgres:\/\/hayloft:\*\*\*@127\.0\.0\.1:/)
    assert.match(fast.out, /^FAIL +fsync is off: a crash of the machine loses acknowledged writes/m)
    assert.equal(lastLine(fast), "This database is NOT safe for Hayloft: fsync is off; synchronous_commit is off.")
    assert.equal(fast.error, `hayloft: ${lastLine(fast)}\n`)
    assert.match(fast.out, /^ok +hayloft_check_1700000000_00000000 of an earlier check was removed$/m)
    assert.deepEqual((await schemas()).trim().split("\n").sort(), [recent, "hayloft_check_mine"])
    await server.sql(`DROP SCHEMA ${recent} CASCADE; DROP SCHEMA hayloft_check_mine CASCADE`, "hayloft")
  },
)

databaseTest("nothing is tried while every commit waits for a standby that is not there", async () => {
  await set("synchronous_standby_names", "gone")
  const checked = await check([url(), "--rounds", "1"])
  await set("synchronous_standby_names", "")
  assert.equal(checked.code, 1)
  assert.match(lastLine(checked), /NOT safe for Hayloft: no synchronous standby is connected\.$/)
  assert.equal(await schemas(), "")
})

databaseTest("a role that may not create a schema is told what to grant", async () => {
  await server.sql("CREATE ROLE guest LOGIN")
  const checked = await check([server.url.replace("hayloft@", "guest@"), "--rounds", "1"])
  assert.equal(checked.code, 1)
  assert.match(checked.out, /^FAIL +Hayloft's tables cannot be created: permission denied .*GRANT CREATE ON DATABASE/m)
  assert.match(lastLine(checked), /NOT safe for Hayloft: Hayloft's tables cannot be created/)
})

databaseTest("a wrong password is denied, and a missing database named", async () => {
  const lines = "VALUES ('host all locked 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust')"
  const file = (await server.sql("SHOW hba_file")).trim()
  await server.sql(`CREATE ROLE locked LOGIN PASSWORD 'another'`)
  await server.sql(`COPY (${lines}, ('host replication all 127.0.0.1/32 trust')) TO '${file}'`)
  const loaded = () => server.sql("SELECT pg_conf_load_time()")
  const before = await loaded()
  await server.sql("SELECT pg_reload_conf()")
  await until("the configuration is loaded", async () => (await loaded()) !== before, 5)
  const denied = await check([url().replace("hayloft:", "locked:")])
  assert.equal(denied.code, 4, denied.out)
  assert.match(denied.out, /^FAIL +127\.0\.0\.1:\d+ cannot be used: password authentication failed for user "locked"/m)
  const missing = await check([withPassword(server.urlOf("nowhere"))])
  assert.equal(missing.code, 1)
  assert.match(missing.out, /database "nowhere" does not exist/)
})

test("no server, another server, and URLs of something else have exit codes of their own", async () => {
  const nobody = await check([`postgres://hayloft:${PASSWORD}@127.0.0.1:${await freePort()}/hayloft`])
  assert.equal(nobody.code, 5)
  assert.match(nobody.out, /^FAIL +127\.0\.0\.1:\d+ cannot be used: connect ECONNREFUSED/m)
  const web = createServer(socket => void socket.on("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")))
  web.listen(0, "127.0.0.1")
  await once(web, "listening")
  const { port } = web.address() as AddressInfo
  const other = await check([`postgres://hayloft:${PASSWORD}@127.0.0.1:${port}/hayloft`])
  web.close()
  assert.equal(other.code, 5)
  assert.match(lastLine(other), /NOT safe for Hayloft: 127\.0\.0\.1:\d+ cannot be used/)
  for (const text of [`mysql://hayloft:${PASSWORD}@a/b`, `host=a password=${PASSWORD}`, ""]) {
    const refused = await check([text])
    assert.deepEqual([refused.code, refused.out], [2, ""])
    assert.match(refused.error, /database URL/)
  }
  assert.equal((await check(["postgres://a/b", "--rounds", "0"])).code, 2)
})

/** A check is ended by a signal, or by a reader of its output that closes the pipe. */
async function endsEarly(how: "SIGINT" | "closed"): Promise<readonly [code: number | null, error: string]> {
  // A check that does not write again does not notice that its reader has gone.
  const rounds = how === "SIGINT" ? "1000000" : "1"
  const args = [HAYLOFT_COMMAND, "cluster", "check-database", "--rounds", rounds]
  const env = { ...process.env, HAYLOFT_CLUSTER: url() }
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] })
  bindChild(child)
  let [out, error] = ["", ""]
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (error += chunk))
  for await (const chunk of child.stdout.setEncoding("utf8")) {
    out += String(chunk)
    if (child.killed || !out.includes("prepared statements work")) continue
    if (how === "closed") break
    assert.match(await schemas(), /^hayloft_check_\d+_[0-9a-f]{8}\n$/)
    child.kill("SIGINT")
  }
  const code = child.exitCode ?? ((await once(child, "exit")) as [number | null])[0]
  return [code, error]
}

databaseTest("an interrupted check removes its schema, also if the reader of its output closes the pipe", async () => {
  assert.deepEqual(await endsEarly("SIGINT"), [130, "hayloft: interrupted\n"])
  assert.equal(await schemas(), "")
  assert.deepEqual(await endsEarly("closed"), [0, ""])
  assert.equal(await schemas(), "")
})

/** A server that is as wrong as these statements make it look. */
const PLANTS: readonly (readonly [name: string, broken: RunName, text: string, instead: string])[] = [
  ["versions of rows are not compared", "lostUpdate", "r.version = q.version AND", "true AND"],
  ["the outcome of a lost commit is read, not written", "lateCommit", " FOR UPDATE\n), moved AS", "\n), moved AS"],
  ["an ended process may commit", "fencing", "AND NOT l.ended\n    AND l.closed", "AND l.closed"],
  ["the generation is not compared", "generation", "l.generation = $4::bigint", "$4::bigint > 0"],
]

const planted = (text: string, instead: string) => (schema: SchemaName) => {
  const statements = Object.entries<SqlStatement>({ ...statementsOf(schema) })
  assert.ok(statements.some(([, statement]) => statement.text.includes(text)))
  const changed = statements.map(([key, statement]) => [
    key,
    { ...statement, text: statement.text.replaceAll(text, instead) },
  ])
  return Object.fromEntries(changed) as ReturnType<typeof statementsOf>
}

const seams = { clock: new RealClock(), random: new SimRandom(TEST_SEED), signal: never }

for (const [name, broken, text, instead] of PLANTS) {
  databaseTest(`a race is broken if ${name}`, async () => {
    const schema = parseSchemaName(`planted_${broken.toLowerCase()}`)
    const database = new Postgres(server.url, { schema, statements: planted(text, instead)(schema) })
    await database.migrate()
    const { broken: rounds, example } = await makeRun({ ...seams, database, schema, arrivalMs: 100 }, broken, {
      rounds: 12,
    })
    assert.ok(rounds > 0, example)
  })
}

databaseTest("a database on which a race is broken is not safe", async () => {
  const [[, , text, instead] = ["", "", "", ""]] = PLANTS
  const settings = { ...seams, url: url(), rounds: 2, statements: planted(text, instead) }
  const { isSafe, sentence } = await checkDatabase({ ...settings, onFinding: () => Promise.resolve() })
  assert.equal(isSafe, false)
  assert.match(sentence, /NOT safe for Hayloft: lost update: broken in \d of \d rounds/)
  assert.equal(await schemas(), "")
})
