/** A server whose metadata is in a real PostgreSQL passes the conformance suite and the races of writers. */
import { after, test } from "node:test"
import { clusterEnvironment } from "../harness/cluster.js"
import { conformanceSuite } from "../harness/conformance.js"
import { noPostgres } from "../harness/postgres.js"
import { writerRaces } from "../harness/writer-races.js"
import { Databases } from "./databases.js"

if (noPostgres !== false) test("a server with its metadata in PostgreSQL", { skip: noPostgres })
else {
  let databases: Promise<Databases> | undefined
  const environment = async (folder: string) => {
    databases ??= Databases.start()
    return clusterEnvironment(await (await databases).create(), folder)
  }
  conformanceSuite("conformance with the metadata in PostgreSQL", environment)
  writerRaces(environment)
  after(async () => (await databases)?.stop())
}
