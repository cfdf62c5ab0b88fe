/** A store over simulated disks with two handlers, one of which answers at once what it can, for tests that compare both. */
import { Denials, signRequest } from "../../src/access/index.js"
import { parseAccountId, parseBucketName } from "../../src/base/ids.js"
import { isFailure, type Failure, type FailureKind } from "../../src/base/failures.js"
import { INLINE_BYTES_MAX } from "../../src/base/limits.js"
import type { LentBytes } from "../../src/base/pieces.js"
import { HeaderLines } from "../../src/http/index.js"
import type { Machine } from "../../src/main/engine/testing.js"
import type { AtOnce, Bucket, Buckets } from "../../src/object/contract.js"
import { createS3Handler, type S3Settings } from "../../src/s3/index.js"
import { hashOnce } from "../../src/seams/compute/hashes.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { MetricsInMemory } from "../../src/seams/telemetry/metrics.js"
import type { Asked, Told } from "./ask.js"

export function shown({ answer, notes }: Told) {
  const { status, headers, body, contentLength } = answer ?? { status: 0, headers: [], body: undefined }
  const bytes = body instanceof Uint8Array ? Buffer.from(body) : Buffer.alloc(0)
  const flat = headers instanceof HeaderLines ? headers.flat() : headers
  const pairs = Array.from({ length: flat.length / 2 }, (_, i) => `${flat[2 * i] ?? ""}: ${flat[2 * i + 1] ?? ""}`)
  pairs.sort()
  return { status, pairs, body: bytes.toString("latin1"), lengthBytes: contentLength ?? bytes.length, notes }
}

/** Counts what is asked and answered at once, and spoils bytes that are given back. */
function counted(atOnce: AtOnce, count: Count): AtOnce {
  const countRefused = ({ kind }: Failure): void => void (count.refused[kind] = (count.refused[kind] ?? 0) + 1)
  return {
    bucket: name => atOnce.bucket(name),
    object: (bucket, key, asked) => {
      const found = atOnce.object(bucket, key, asked)
      if (found !== undefined) count.objects += 1
      if (isFailure(found)) countRefused(found)
      if (found === undefined || isFailure(found) || found.stored === undefined) return found
      const { stored } = found
      return {
        ...found,
        stored: { now: () => spoiledAtLast(stored.now(), count), read: signal => stored.read(signal) },
      }
    },
    put: request => {
      count.puts += 1
      if (request.bytes.length > INLINE_BYTES_MAX) count.putsInBlocks += 1
      return atOnce.put(request).catch((error: unknown) => {
        if (isFailure(error)) countRefused(error)
        throw error
      })
    },
    putBytesMax: atOnce.putBytesMax,
  }
}

interface Count {
  objects: number
  /** Objects that were not to be had, by why. */
  readonly refused: Partial<Record<FailureKind, number>>
  puts: number
  putsInBlocks: number
  /** Bodies in blocks whose bytes were at hand, and those of them that were not given back yet. */
  lent: number
  outside: number
}

function spoiledAtLast(lent: LentBytes | undefined, count: Count): LentBytes | undefined {
  if (lent === undefined) return undefined
  count.lent += 1
  count.outside += 1
  const { bytes } = lent
  const giveBack = (): void => {
    count.outside -= 1
    bytes.fill(0xee)
    lent.giveBack()
  }
  return { bytes, giveBack }
}

export const PAGE = "https://page.example.com"
export const RULES = `<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedOrigin>${PAGE}</AllowedOrigin></CORSRule></CORSConfiguration>`

/** To everybody, the owner too. */
const DENIES = JSON.stringify({
  Version: "2012-10-17",
  Statement: { Effect: "Deny", Principal: "*", Action: "s3:GetObject", Resource: "arn:aws:s3:::ruled/typed" },
})

export async function world(machine: Machine) {
  const { clock, stores } = machine
  const openReader = stores.openReader.bind(stores)
  // As a real base is once it has been read: nothing to wait for.
  stores.openReader = async (path, host) => Object.assign(await openReader(path, host), { warm: () => undefined })
  const engine = await machine.open()
  await engine.accounts.ensureRoot()
  const owner = parseAccountId("root")
  for (const name of ["bench", "kept", "ruled", "shared"]) {
    await engine.services.buckets.create({ name: parseBucketName(name), owner, location: "" })
  }
  const kept = await engine.services.buckets.open(parseBucketName("kept"))
  await engine.services.buckets.setVersioning(kept, "enabled")
  await engine.services.buckets.setSetting(kept, "cors", RULES)
  const ruled = await engine.services.buckets.open(parseBucketName("ruled"))
  await engine.services.buckets.setSetting(ruled, "policy", DENIES)
  await takeLists(engine.services.buckets, await engine.services.buckets.open(parseBucketName("shared")))
  const count: Count = { objects: 0, refused: {}, puts: 0, putsInBlocks: 0, lent: 0, outside: 0 }
  const { buckets, objects, multipart } = engine.services
  const atOnce = counted(engine.services.atOnce, count)
  const settings: S3Settings = {
    ...{
      services: { buckets, objects, multipart },
      accounts: engine.accounts,
      region: undefined,
      domains: ["s3.test"],
    },
    ...{
      adminUrl: "http://x",
      onLoopback: true,
      refuseSignatureV2: false,
      clock,
      hash: hashOnce,
      random: new SimRandom(1),
    },
    metrics: new MetricsInMemory(),
    denials: new Denials(),
    newBuckets: { allowPublicBuckets: false, allowAcls: false },
  }
  const slow = createS3Handler(settings)
  const quick = createS3Handler({ ...settings, random: new SimRandom(1), services: { ...settings.services, atOnce } })
  const sign = (asked: Asked, hash = "UNSIGNED-PAYLOAD", secret = "secret", accessKeyId = "ROOTKEY"): Asked => {
    const key = { accessKeyId, secret, region: "us-east-1", service: "s3" }
    return { ...asked, rawHeaders: signRequest(asked, hash, key, clock.wallMs()).rawHeaders }
  }
  return { engine, clock, slow, quick, sign, count }
}

export async function takeLists(buckets: Buckets, bucket: Bucket): Promise<void> {
  await buckets.setSetting(bucket, "ownershipControls", "")
  await buckets.setSetting(bucket, "publicAccessBlock", "")
}

/** Without what must differ: versions are drawn, and the two buckets have two names. */
export function alike(told: Awaited<ReturnType<typeof shown>>) {
  const pairs = told.pairs.map(pair => pair.replace(/^x-amz-version-id: .*/, "x-amz-version-id"))
  const body = told.body
    .replaceAll("/right/", "/left/")
    .replace(
      /<(SignatureProvided|StringToSign|StringToSignBytes|CanonicalRequest|CanonicalRequestBytes)>[^<]*/g,
      "<$1>",
    )
  return { ...told, pairs, body, notes: { ...told.notes, bucket: "" }, lengthBytes: 0 }
}
