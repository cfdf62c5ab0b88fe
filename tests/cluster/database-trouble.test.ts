/** Tests that trouble with the database shows in the status of every node: real processes over a real PostgreSQL. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Client } from "pg"
import { must } from "@hayloft/base/assert.js"
import { HAYLOFT_COMMAND } from "@hayloft/client/testing-store-process.js"
import { runOk } from "../harness/commands.js"
import { noPostgres } from "../harness/postgres.js"
import { BUCKET, statusSays, withNodes } from "./stores.js"

const LATE_MS = 60_000
/** Loaded before the program of a node, so that its wall clock is late. */
const LATE = `data:text/javascript,${encodeURIComponent(`const now=Date.now;Date.now=()=>now()-${LATE_MS}`)}`
const DEAD_ROWS = 60_000
const CONNECTIONS = 30

/** Rows that no transaction can see, which autovacuum leaves alone. */
const MAKE_DEAD_ROWS = `
ALTER TABLE hayloft.counters SET (autovacuum_enabled = false);
BEGIN;
INSERT INTO hayloft.counters SELECT n, 0, 0, 0, 0, 0, 0 FROM generate_series(1, ${DEAD_ROWS}) n;
ROLLBACK`

test(
  "status names dead rows, used up connections, a late clock, fsync that is off, and the oldest transaction",
  { skip: noPostgres },
  async () => {
    await withNodes({ nodes: 1, foldersEach: 1, isHurried: true }, async nodes => {
      const first = nodes.at(1)
      await (await nodes.add(0, { environment: { NODE_OPTIONS: `--import=${LATE}` } })).start()
      const open: Client[] = []
      const connected = async (): Promise<Client> => {
        const client = new Client({ connectionString: nodes.url, application_name: "a test" })
        await client.connect()
        open.push(client)
        return client
      }
      try {
        const holder = await connected()
        await holder.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
        const { rows } = await holder.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")
        const pid = must(rows[0], "a session has a process").pid
        const { server } = nodes.databases
        const database = new URL(nodes.url).pathname.slice(1)
        await server.sql(MAKE_DEAD_ROWS, database)
        await server.sql(`ALTER DATABASE ${database} CONNECTION LIMIT ${CONNECTIONS}`)
        // Two nodes have ten, and the holder one.
        const idle: Client[] = []
        for (let more = CONNECTIONS - 10 - 3; more > 0; more -= 1) idle.push(await connected())
        await first.client.put({ bucket: BUCKET, key: "key", body: Buffer.from("body") })
        const expected = ["clock", "connections", "deadRows", "durability"]
        // One of them has read it; both show it, and what the database answers each of them.
        for (const node of nodes.all) {
          const { database: shown, health } = await statusSays(
            node,
            status => {
              const checks = new Set(status.database?.findings.map(({ check }) => check))
              return expected.every(check => checks.has(check as never)) && status.database?.nodes.length === 2
            },
            first,
          )
          const { findings, nodes: answered, health: facts } = must(shown, "the metadata is in a database")
          const sentences = findings.map(({ sentence }) => sentence).join("\n")
          assert.deepEqual(
            findings.map(({ check }) => check),
            ["durability", "connections", "clock", "deadRows"],
          )
          assert.match(sentences, /^fsync is off in the database/m)
          assert.match(sentences, /^\d of 200 connections are left in the database/m)
          assert.match(sentences, /^The clock of node node-2 is (59 s|1 min) behind the database's/m)
          assert.match(sentences, /^Table counters has \d{2},\d{3} dead rows beside \d+ live ones/m)
          assert.ok((facts?.holders?.[0]?.seconds ?? 0) > 0)
          assert.equal(facts?.holders?.[0]?.name, String(pid))
          assert.ok((answered.find(({ name }) => name === "node-1")?.commits?.count ?? 0) > 0)
          // The store serves as before.
          assert.deepEqual([health.ready, health.reasons], [true, []])
        }
        const [folder = ""] = first.folders
        const text = await runOk(process.execPath, [HAYLOFT_COMMAND, "status", "--data", folder], {
          env: { HAYLOFT_MASTER_KEY_FILE: nodes.masterKeyFile },
        })
        assert.match(text, /^database {4}PostgreSQL \d+\.\d+, .* \d of 200 connections left/m)
        assert.match(
          text,
          new RegExp(`oldest transaction \\d+ (s|min) \\(session ${pid}\\); dead rows: .*counters \\d{2},\\d{3} of`),
        )
        assert.match(text, /no standby: metadata is as safe as the disks and the backups of this server/)
        assert.match(text, /answers node-1: commits [\d.]+ m?s, 99 % within [\d.]+ m?s; reads .*; clock/)
        assert.match(text, /^trouble {5}Table counters has /m)
        // A problem that is over is not shown any more.
        await Promise.all(idle.map(client => client.end()))
        await statusSays(first, ({ database: now }) =>
          (now?.findings ?? []).every(({ check }) => check !== "connections"),
        )
      } finally {
        await Promise.all(open.map(client => client.end()))
      }
    })
  },
)
