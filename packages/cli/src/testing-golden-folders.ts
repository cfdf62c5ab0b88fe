/**
 * Makes the folders in minio-disks/golden with the `minio` in PATH:
 *
 *   node dist/packages/cli/src/testing-golden-folders.js
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { must } from "@hayloft/base/assert.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { S3Client } from "@hayloft/client/index.js"
import { packFolders } from "./minio-disks/testing-folders.js"
import { fillMinio, fillSealedMinio, MinioProcess, programInPath, SEALING } from "./testing-minio.js"

const clock = new RealClock()
const minio = must(programInPath("minio"), "minio is in PATH")

async function make(
  name: string,
  disks: number,
  fill: (client: S3Client) => Promise<void>,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "hayloft-golden-"))
  const folders = Array.from({ length: disks }, (_, i) => join(root, `disk${i + 1}`))
  for (const folder of folders) await mkdir(folder)
  const server = await MinioProcess.start(minio, folders, clock, environment)
  const client = new S3Client(server.access, clock, new AbortController().signal)
  await fill(client)
  client.close()
  await server.stop()
  await packFolders(name, root)
  await rm(root, { recursive: true })
}

await make("four-disks", 4, fillMinio, {})
await make("one-disk", 1, fillSealedMinio, SEALING)
