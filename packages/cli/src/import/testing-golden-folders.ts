/**
 * Makes the folders in minio-disks/golden with the `minio` and the `mc` in PATH:
 *
 *   node dist/packages/cli/src/import/testing-golden-folders.js
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, must } from "@hayloft/base/assert.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { S3Client, type S3Access } from "@hayloft/client/index.js"
import { packFolders } from "../minio-disks/testing-folders.js"
import { runProcess } from "../testing-process.js"
import { fillMinio, fillSealedMinio, MinioProcess, programInPath, SEALING } from "./testing-minio.js"

const clock = new RealClock()
const mc = must(programInPath("mc"), "mc is in PATH")
const minio = must(programInPath("minio"), "minio is in PATH")

async function make(
  name: string,
  disks: number,
  fill: (client: S3Client, access: S3Access) => Promise<void>,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "hayloft-golden-"))
  const folders = Array.from({ length: disks }, (_, i) => join(root, `disk${i + 1}`))
  for (const folder of folders) await mkdir(folder)
  const server = await MinioProcess.start(minio, folders, clock, environment)
  const client = new S3Client(server.access, clock, new AbortController().signal)
  await fill(client, server.access)
  client.close()
  await server.stop()
  await packFolders(name, root)
  await rm(root, { recursive: true })
}

const REPORTS = {
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Action: ["s3:GetObject"], Resource: ["arn:aws:s3:::reports/*"] }],
}

async function fillIdentities(client: S3Client, { endpoint, accessKeyId, secretAccessKey }: S3Access): Promise<void> {
  await client.createBucket("reports")
  await client.put({ bucket: "reports", key: "a", body: Buffer.from("a report") })
  const folder = await mkdtemp(join(tmpdir(), "hayloft-mc-"))
  const policy = join(folder, "policy.json")
  await writeFile(policy, JSON.stringify(REPORTS))
  const root = `http://${accessKeyId}:${secretAccessKey}@${endpoint.slice("http://".length)}`
  const environment = { MC_CONFIG_DIR: folder, MC_HOST_t: root }
  for (const line of [
    `policy create t reports ${policy}`,
    "user add t ann-user secret-of-ann-1",
    "user add t bob-user secret-of-bob-1",
    "user disable t bob-user",
    "group add t staff ann-user",
    "group add t former bob-user",
    "policy attach t reports --user ann-user",
    "policy attach t readonly --group staff",
    "policy attach t readwrite --group former",
    "group disable t former",
    `user svcacct add t ann-user --access-key ANNSERVICEKEY --secret-key secret-of-service-1 --policy ${policy} --name backup`,
    "user svcacct add t minio-root --access-key ROOTSERVICEKEY --secret-key secret-of-service-2",
  ]) {
    const { code, error } = await runProcess(mc, ["admin", ...line.split(" ")], { environment })
    assert(code === 0, `mc admin ${line}: ${error}`)
  }
  await rm(folder, { recursive: true })
}

await make("identities", 1, fillIdentities, {})
await make("four-disks", 4, fillMinio, {})
await make("one-disk", 1, fillSealedMinio, SEALING)
