/**
 * pgBackRest, which speaks TLS alone, with a store: a stanza, archived WAL, a full and an incremental backup, a restore into
 * an empty folder, and what its retention removes.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { chown, mkdir, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { serverUser } from "@hayloft/client/testing-postgres.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { TEST_CERTIFICATES } from "@hayloft/protocols/http/testing-certificates.js"
import { text, elements } from "../../conformance/xml.js"
import { findProgram, runOk } from "../harness/commands.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { noPostgres, withPostgres, type PostgresServer } from "../harness/postgres.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"

const pgbackrest = findProgram("pgbackrest")
const skip = pgbackrest === undefined ? "pgbackrest is not installed" : noPostgres

const BUCKET = "postgres"
const { cert, key } = TEST_CERTIFICATES.first

/** Settings as the recipe has them, and places of this test. */
const configOf = (home: string, store: ServerProcess, postgres: PostgresServer): string =>
  `[global]
repo1-type=s3
repo1-path=/main
repo1-s3-bucket=${BUCKET}
repo1-s3-endpoint=localhost:${store.port}
repo1-s3-region=${REGION}
repo1-s3-uri-style=path
repo1-s3-key=${CREDENTIALS.accessKey}
repo1-s3-key-secret=${CREDENTIALS.secretKey}
repo1-storage-ca-file=${join(home, "ca.crt")}
repo1-retention-full=1
start-fast=y
compress-type=lz4
repo1-bundle=y
archive-timeout=60
log-level-console=warn
log-level-file=off
lock-path=${join(home, "lock")}
spool-path=${join(home, "spool")}

[main]
pg1-path=${join(postgres.folder, "data")}
pg1-port=${postgres.port}
pg1-socket-path=${home}
pg1-user=hayloft
pg1-database=postgres
`

async function keysOf(store: ServerProcess, prefix: string): Promise<readonly string[]> {
  const { text: listed } = await store.client().call("GET", { bucket: BUCKET, query: `list-type=2&prefix=${prefix}` })
  return elements(listed, "Contents").map(entry => text(entry, "Key") ?? "")
}

/** The folder belongs to the user who runs PostgreSQL, and so pgBackRest. */
async function prepare(home: string): Promise<void> {
  const { uid, gid } = serverUser()
  await writeFile(join(home, "ca.crt"), cert)
  await writeFile(join(home, "store.key"), key)
  await mkdir(join(home, "lock"))
  await mkdir(join(home, "spool"))
  for (const name of ["", "lock", "spool"]) await chown(join(home, name), uid, gid)
}

async function backUpAndRestore(home: string, store: ServerProcess, postgres: PostgresServer): Promise<void> {
  const config = join(home, "pgbackrest.conf")
  await writeFile(config, configOf(home, store, postgres))
  const { uid, gid } = serverUser()
  const go = (...args: string[]) =>
    runOk(pgbackrest ?? "", [`--config=${config}`, "--stanza=main", ...args], { cwd: home, uid, gid })
  await postgres.sql(
    "CREATE TABLE kept AS SELECT g AS n, repeat(md5(g::text), 20) AS filling FROM generate_series(1, 5000) g",
  )
  await go("stanza-create")
  await go("--type=full", "backup")
  await postgres.sql("INSERT INTO kept VALUES (0, 'after the full backup')")
  await go("--type=incr", "backup")
  await postgres.sql("INSERT INTO kept VALUES (-1, 'in archived WAL alone')")
  // It switches the WAL and waits until the store has the segment.
  await go("check")
  await go("verify")
  await postgres.stop("immediate")
  await rm(join(postgres.folder, "data"), { recursive: true })
  await mkdir(join(postgres.folder, "data"), { mode: 0o700 })
  await chown(join(postgres.folder, "data"), uid, gid)
  await go("restore")
  await postgres.start()
  // It answers queries before it has recovered, and may lack rows until then, and cannot be backed up.
  const isRecovered = async () => (await postgres.sql("SELECT pg_is_in_recovery()")).trim() === "f"
  await until("the restored server has recovered", isRecovered)
  assert.equal(
    (await postgres.sql("SELECT count(*) || ' ' || min(n) || ' ' || sum(length(filling)) FROM kept")).trim(),
    "5002 -1 3200042",
  )
  const [first = ""] = await keysOf(store, "main/backup/main/2")
  await go("--type=full", "backup")
  assert.deepEqual(await keysOf(store, first), [], "the backups before are expired")
}

test("pgBackRest: stanza, WAL, backups, restore, expire", { skip, timeout: 240_000 }, () =>
  withFolder(async home => {
    await prepare(home)
    const tls = { cert: join(home, "ca.crt"), key: join(home, "store.key"), ca: cert }
    const store = await ServerProcess.start({ folders: [join(home, "store")], tls })
    try {
      assert.equal((await store.client().call("PUT", { bucket: BUCKET })).status, 200)
      const archive = `${pgbackrest ?? ""} --config=${join(home, "pgbackrest.conf")} --stanza=main archive-push %p`
      await withPostgres(postgres => backUpAndRestore(home, store, postgres), {
        archive_mode: "on",
        archive_command: archive,
        unix_socket_directories: home,
      })
    } finally {
      await store.kill()
    }
  }, quietParent()),
)
