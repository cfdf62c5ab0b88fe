/**
 * A server whose metadata is in a real PostgreSQL passes the conformance suite and the races of writers. Of the rows about
 * requests alone it runs a few: `tests/conformance.test.ts` runs all of them.
 */
import { after, test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { clusterEnvironment } from "../harness/cluster.js"
import { conformanceSuite, rowsOnMetadata } from "../harness/conformance.js"
import { noPostgres } from "../harness/postgres.js"
import { writerRaces } from "../harness/writer-races.js"
import { Databases } from "./databases.js"

if (noPostgres !== false) test("a server with its metadata in PostgreSQL", { skip: noPostgres })
else {
  let databases: Databases | undefined
  const environment = async (folder: string) => {
    databases = await Databases.start()
    return clusterEnvironment(await databases.create(), folder)
  }
  const server = conformanceSuite("conformance with the metadata in PostgreSQL", environment, rowsOnMetadata())
  writerRaces(runsOf(15), server)
  after(() => databases?.stop())
}
