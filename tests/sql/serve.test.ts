/**
 * A server whose metadata is in a real PostgreSQL passes rows of the conformance suite, and the races of writers. All rows
 * pass on such a database in `tests/cluster/suites.test.ts`.
 */
import { after, test } from "node:test"
import { ROWS } from "../../conformance/rows/index.js"
import { runsOf, TEST_SEED } from "../../src/base/testing-seed.js"
import { clusterEnvironment } from "../harness/cluster.js"
import { conformanceSuite } from "../harness/conformance.js"
import { noPostgres } from "../harness/postgres.js"
import { writerRaces } from "../harness/writer-races.js"
import { Databases } from "./databases.js"

/** A landing runs one row of so many, from all areas. */
const SHARES = 8
const rows = ROWS.filter((_, at) => (at + TEST_SEED) % SHARES < runsOf(1))

if (noPostgres !== false) test("a server with its metadata in PostgreSQL", { skip: noPostgres })
else {
  let databases: Promise<Databases> | undefined
  const environment = async (folder: string) => {
    databases ??= Databases.start()
    return clusterEnvironment(await (await databases).create(), folder)
  }
  conformanceSuite("conformance with the metadata in PostgreSQL", environment, rows)
  writerRaces(environment)
  after(async () => (await databases)?.stop())
}
