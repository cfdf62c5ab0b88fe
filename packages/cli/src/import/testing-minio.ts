/**
 * The real MinIO, for tests and for the folders in minio-disks/golden: started on folders of its own, and filled.
 *
 * Limits  `READY_MS_MAX` to become ready.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { createServer } from "node:net"
import { delimiter, join } from "node:path"
import { assert } from "@hayloft/base/assert.js"
import { MIB } from "@hayloft/base/limits.js"
import { Crc } from "@hayloft/base/simd/crc.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { S3Client, type S3Access } from "@hayloft/client/index.js"

const READY_MS_MAX = 30_000
const POLL_MS = 50
const MINIO_ROOT = { accessKeyId: "minio-root", secretAccessKey: "minio-root-secret" } as const
const VERSIONED =
  '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>'

/** Returns undefined if the program is not there. */
export function programInPath(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter(folder => folder !== "")
  return folders.map(folder => join(folder, name)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export class MinioProcess {
  private constructor(
    private readonly child: ChildProcess,
    readonly access: S3Access,
  ) {}

  static async start(
    program: string,
    folders: readonly string[],
    clock: Clock,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<MinioProcess> {
    const port = await freePort()
    const child = spawn(
      program,
      ["server", ...folders, "--address", `127.0.0.1:${port}`, "--console-address", "127.0.0.1:0"],
      {
        // Folders that are not mounts of their own are taken only with this.
        env: {
          ...process.env,
          MINIO_CI_CD: "1",
          MINIO_BROWSER: "off",
          MINIO_ROOT_USER: MINIO_ROOT.accessKeyId,
          MINIO_ROOT_PASSWORD: MINIO_ROOT.secretAccessKey,
          ...environment,
        },
        stdio: "ignore",
      },
    )
    const access = { endpoint: `http://127.0.0.1:${port}`, region: "us-east-1", ...MINIO_ROOT }
    const deadlineMs = clock.wallMs() + READY_MS_MAX
    const signal = new AbortController().signal
    const probe = new S3Client(access, clock, signal, { attemptsMax: 1 })
    while (!(await isReady(probe))) {
      assert(child.exitCode === null && clock.wallMs() < deadlineMs, "MinIO becomes ready")
      await clock.sleep(POLL_MS, signal)
    }
    probe.close()
    return new MinioProcess(child, access)
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return
    const exited = new Promise(resolve => this.child.once("exit", resolve))
    this.child.kill("SIGTERM")
    await exited
  }
}

const isReady = (client: S3Client): Promise<boolean> =>
  client.listBuckets().then(
    () => true,
    () => false,
  )

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  return typeof address === "object" && address !== null ? address.port : 0
}

/** Bytes that compress well, and differ in each block of a disk. */
function patterned(lengthBytes: number, seed: number): Buffer {
  const period = Buffer.alloc(509)
  for (let i = 0, state = seed; i < period.length; i += 1) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    period[i] = state >> 16
  }
  return Buffer.alloc(lengthBytes, period)
}

const LOCK_UNTIL = "2099-01-01T00:00:00Z"

/** Puts what a MinIO of some years may have, but for encrypted objects. */
export async function fillMinio(client: S3Client): Promise<void> {
  await client.createBucket("plain")
  const body = (text: string): Buffer => Buffer.from(text)
  const put = (bucket: string, key: string, bytes: Buffer, headers: readonly (readonly [string, string])[] = []) =>
    client.put({ bucket, key, body: bytes, headers })
  await put("plain", "a", body("an object, and a folder"), [
    ["content-type", "text/x-one"],
    ["cache-control", "max-age=60"],
    ["x-amz-meta-owner", "ann"],
    ["x-amz-tagging", "a=1&b=x%20y"],
  ])
  for (const key of ["a-b", "a/b", "a/c/d", "folder/", "folder/ä b#%2F+?.txt", "folder__XL"])
    await put("plain", key, body(key))
  await put("plain", "empty", body(""))
  const large = patterned(2 * MIB + 12_345, 1)
  const crc = new Crc("CRC32C")
  crc.update(large)
  await put("plain", "large", large, [
    ["content-type", "video/x-large"],
    ["x-amz-checksum-crc32c", Buffer.from(crc.digest()).toString("base64")],
  ])
  await put("plain", "notes.txt", patterned(MIB + 77, 2))
  await client.putSetting(
    "plain",
    "tagging",
    "<Tagging><TagSet><Tag><Key>team</Key><Value>a</Value></Tag></TagSet></Tagging>",
  )
  await client.putSetting("plain", "policy", publicPolicy("plain"))
  await client.putSetting("plain", "lifecycle", LIFECYCLE)

  await client.createBucket("versions")
  await put("versions", "doc", body("from before versions"))
  await client.putSetting("versions", "versioning", VERSIONED)
  for (const text of ["two", "three"]) await put("versions", "doc", body(text))
  await client.remove("versions", "doc")
  await put("versions", "doc", patterned(300_000, 3))
  await put("versions", "gone", body("gone"))
  await client.remove("versions", "gone")

  await client.createBucket("parts")
  const target = { bucket: "parts", key: "film" }
  const uploadId = await client.createMultipart(target, [["x-amz-meta-kind", "film"]])
  const parts = [patterned(5 * MIB, 4), patterned(6 * MIB + 1, 5), patterned(1234, 6)]
  const etags: string[] = []
  for (const [i, bytes] of parts.entries())
    etags.push(await client.putPart({ ...target, uploadId, partNumber: i + 1, body: bytes }))
  await client.complete({ ...target, uploadId, etags })

  await client.createBucket("locked", { hasLock: true })
  await put("locked", "held", body("held"), [
    ["x-amz-object-lock-mode", "GOVERNANCE"],
    ["x-amz-object-lock-retain-until-date", LOCK_UNTIL],
    ["x-amz-object-lock-legal-hold", "ON"],
  ])
}

/** Objects that are encrypted, and compressed ones, of a MinIO with `SEALING`. */
export async function fillSealedMinio(client: S3Client): Promise<void> {
  const bucket = "sealed"
  await client.createBucket(bucket)
  await client.putSetting(bucket, "versioning", VERSIONED)
  const put = (key: string, body: Buffer, headers: readonly (readonly [string, string])[] = []) =>
    client.put({ bucket, key, body, headers })
  const byKms = ["x-amz-server-side-encryption", "aws:kms"] as const
  const byS3 = ["x-amz-server-side-encryption", "AES256"] as const
  await put("by-kms", Buffer.from("sealed"), [byKms, ["x-amz-server-side-encryption-aws-kms-key-id", "a-key"]])
  await put("by-s3", Buffer.from("sealed"), [byS3])
  await put("mixed", Buffer.from("open"))
  await put("mixed", Buffer.from("sealed"), [byS3])
  await put("log.txt", patterned(2 * MIB + 5, 7))
  const target = { bucket, key: "parts.csv" }
  const uploadId = await client.createMultipart(target)
  const etags: string[] = []
  for (const [i, bytes] of [patterned(5 * MIB, 8), patterned(70_000, 9)].entries())
    etags.push(await client.putPart({ ...target, uploadId, partNumber: i + 1, body: bytes }))
  await client.complete({ ...target, uploadId, etags })
}

export const SEALING = {
  MINIO_KMS_SECRET_KEY: `a-key:${Buffer.alloc(32, 7).toString("base64")}`,
  MINIO_COMPRESSION_ENABLE: "on",
} as const

const LIFECYCLE =
  "<LifecycleConfiguration><Rule><ID>old</ID><Status>Enabled</Status><Filter><Prefix>tmp/</Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>"

const publicPolicy = (bucket: string): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      { Effect: "Allow", Principal: { AWS: ["*"] }, Action: ["s3:GetObject"], Resource: [`arn:aws:s3:::${bucket}/*`] },
    ],
  })
