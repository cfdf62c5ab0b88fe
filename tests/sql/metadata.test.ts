/** The SQL engine passes the suite of all metadata engines, on a real PostgreSQL. */
import { after, before, test } from "node:test"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { metadataSuite, type MetadataUnderTest } from "@hayloft/engine/metadata/suite.js"
import { Postgres, SqlMetadata } from "@hayloft/engine/sql/index.js"
import { noPostgres } from "../harness/postgres.js"
import { Databases } from "./databases.js"

let databases: Databases

async function openOn(url: string): Promise<MetadataUnderTest> {
  const settings = {
    clock: new RealClock(),
    random: new RealRandom(),
    log: new SimTelemetry().log,
    database: new Postgres(url),
    node: "node",
  }
  const metadata = await SqlMetadata.open(settings)
  return {
    metadata,
    async reopen() {
      await metadata.stop()
      return openOn(url)
    },
    dispose: () => metadata.stop(),
  }
}

if (noPostgres !== false) test("the SQL engine passes the suite of all metadata engines", { skip: noPostgres })
else {
  before(async () => {
    databases = await Databases.start()
  })
  after(() => databases.stop())
  metadataSuite("PostgreSQL", async () => openOn(await databases.create()))
}
