/**
 * A store over simulated disks with two handlers, one of them with asynchronous services only, for tests that
 * compare both.
 */
import { attemptsWithoutWaits } from "@hayloft/access/secrets/testing-attempts.js"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import { Denials, signRequest } from "@hayloft/access/index.js"
import { parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { INLINE_BYTES_MAX } from "@hayloft/base/limits.js"
import type { LentBytes, PieceOwner } from "@hayloft/base/memory/pieces.js"
import { HeaderLines } from "@hayloft/protocols/http/index.js"
import type { Machine } from "@hayloft/node/testing-engine.js"
import { recover, type Soon } from "@hayloft/base/soon.js"
import type { Bucket, Buckets, GetRequest, ObjectBody, PutRequest, PutResult } from "@hayloft/objects/contract.js"
import type { S3Services } from "@hayloft/protocols/s3/index.js"
import { encodeLifecycleRules } from "@hayloft/features/lifecycle/index.js"
import { createS3Handler, type S3Settings } from "@hayloft/protocols/s3/index.js"
import { hashOnce } from "@hayloft/base/seams/compute/hashes.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { MetricsInMemory } from "@hayloft/base/seams/telemetry/metrics.js"
import type { HandlerRequest, Told } from "./ask.js"

export function shown({ answer, notes }: Told) {
  const { status, headers, body, contentLength } = answer ?? { status: 0, headers: [], body: undefined }
  const bytes = body instanceof Uint8Array ? Buffer.from(body) : Buffer.alloc(0)
  const flat = headers instanceof HeaderLines ? headers.flat() : headers
  const pairs = Array.from({ length: flat.length / 2 }, (_, i) => `${flat[2 * i] ?? ""}: ${flat[2 * i + 1] ?? ""}`)
  pairs.sort()
  return { status, pairs, body: bytes.toString("latin1"), lengthBytes: contentLength ?? bytes.length, notes }
}

interface Count {
  /** Objects found synchronously. */
  objects: number
  /** Objects that were not returned synchronously, by reason. */
  readonly refused: Partial<Record<FailureKind, number>>
  /** Bodies that were read completely. */
  puts: number
  putsInBlocks: number
  /** Bodies in blocks whose buffers were lent, and those not returned yet. */
  lent: number
  outside: number
}

/** Counts synchronous results, and overwrites returned buffers. */
function counted(services: S3Services, count: Count): S3Services {
  const { objects } = services
  const countRefused = (error: unknown): never => {
    if (isFailure(error)) count.refused[error.kind] = (count.refused[error.kind] ?? 0) + 1
    throw error
  }
  const get = (request: GetRequest): Soon<ObjectBody> => {
    const found = recover(() => objects.get(request), countRefused)
    if (found instanceof Promise) return found
    count.objects += 1
    return Object.create(found, { lend: { value: () => spoiledAtLast(found.lend(), count) } }) as ObjectBody
  }
  const put = (request: PutRequest): Promise<PutResult> => {
    const gather = () => {
      const gathered = request.body.gather()
      if (gathered !== undefined) count.puts += 1
      if (gathered !== undefined && (request.body.lengthBytes ?? 0) > INLINE_BYTES_MAX) count.putsInBlocks += 1
      return gathered
    }
    return objects.put({ ...request, body: { ...request.body, gather } }).catch(countRefused)
  }
  return { ...services, objects: bound(objects, { get, put }) }
}

/** The same services, always asynchronous: nothing is in memory, and bodies are streamed. */
function delayed({
  buckets,
  objects,
  multipart,
  appends,
  renames,
  transactions,
  moments,
  classes,
  archives,
}: S3Services): S3Services {
  const later = async <T>(work: () => Soon<T>): Promise<T> => {
    await Promise.resolve()
    return await work()
  }
  const unlent = (body: ObjectBody): ObjectBody =>
    Object.create(body, {
      whole: { value: undefined },
      lend: { value: () => undefined },
      read: { value: (signal: AbortSignal, pieces?: PieceOwner) => body.read(signal, pieces) },
    }) as ObjectBody
  return {
    buckets: bound(buckets, {
      open: name => later(() => buckets.open(name)),
      setting: (bucket, name) => later(() => buckets.setting(bucket, name)),
    }),
    objects: bound(objects, {
      get: request => later(async () => unlent(await objects.get({ ...request, lends: false }))),
      put: request => later(() => objects.put({ ...request, body: { ...request.body, gather: () => undefined } })),
    }),
    multipart,
    appends,
    renames,
    transactions,
    moments,
    classes,
    archives,
  }
}

/** Returns an object with some methods of the original replaced. */
const bound = <T extends object>(original: T, others: Partial<T>): T =>
  Object.assign(Object.create(original) as T, others)

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

/** Denies reads to everybody, the owner included. */
const EXPIRES = encodeLifecycleRules({
  transitionMinimum: "all_storage_classes_128K",
  rules: [
    { id: "tagged", isEnabled: true, filter: { form: "filter", tags: [["a", "1"]] }, expiration: { days: 1 } },
    { id: "all", isEnabled: true, filter: { form: "filter" }, expiration: { days: 3 } },
  ],
})

const DENIES = JSON.stringify({
  Version: "2012-10-17",
  Statement: { Effect: "Deny", Principal: "*", Action: "s3:GetObject", Resource: "arn:aws:s3:::ruled/typed" },
})

export async function world(machine: Machine) {
  const { clock, stores } = machine
  const openReader = stores.openReader.bind(stores)
  // Like a real metadata store after its rows were read: nothing to wait for.
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
  await engine.services.buckets.setSetting(kept, "lifecycle", EXPIRES)
  const ruled = await engine.services.buckets.open(parseBucketName("ruled"))
  await engine.services.buckets.setSetting(ruled, "policy", DENIES)
  await takeLists(engine.services.buckets, await engine.services.buckets.open(parseBucketName("shared")))
  const count: Count = { objects: 0, refused: {}, puts: 0, putsInBlocks: 0, lent: 0, outside: 0 }
  const { buckets, objects, multipart, appends, renames, transactions, moments, classes, archives } = engine.services
  const services = { buckets, objects, multipart, appends, renames, transactions, moments, classes, archives }
  const settings: S3Settings = {
    services,
    accounts: engine.accounts,
    region: undefined,
    domains: ["s3.test"],

    adminUrl: "http://x",
    onLoopback: true,
    refuseSignatureV2: false,
    clock,
    hash: hashOnce,
    random: new SimRandom(1),
    metrics: new MetricsInMemory(),
    denials: new Denials(),
    audit: new FakeAudit(),
    rates: { enter: () => undefined },
    attempts: attemptsWithoutWaits(),
    newBuckets: { allowPublicBuckets: false, allowAcls: false, encryptNewBuckets: false },
    allowSseCWithoutTls: false,
  }
  const slow = createS3Handler({ ...settings, services: delayed(services) })
  const half = createS3Handler({ ...settings, services: { ...services, buckets: delayed(services).buckets } })
  const quick = createS3Handler({ ...settings, random: new SimRandom(1), services: counted(services, count) })
  const sign = (
    handlerRequest: HandlerRequest,
    hash = "UNSIGNED-PAYLOAD",
    secret = "secret",
    accessKeyId = "ROOTKEY",
  ): HandlerRequest => {
    const key = { accessKeyId, secret, region: "us-east-1", service: "s3" }
    return { ...handlerRequest, rawHeaders: signRequest(handlerRequest, hash, key, clock.wallMs()).rawHeaders }
  }
  return { engine, clock, slow, half, quick, sign, count }
}

export async function takeLists(buckets: Buckets, bucket: Bucket): Promise<void> {
  await buckets.setSetting(bucket, "ownershipControls", "")
  await buckets.setSetting(bucket, "publicAccessBlock", "")
}

/** Removes the parts that differ: random version ids, and the names of the two buckets. */
export function alike(result: Awaited<ReturnType<typeof shown>>) {
  const pairs = result.pairs.map(pair => pair.replace(/^x-amz-version-id: .*/, "x-amz-version-id"))
  const body = result.body
    .replaceAll("/right/", "/left/")
    .replace(
      /<(SignatureProvided|StringToSign|StringToSignBytes|CanonicalRequest|CanonicalRequestBytes)>[^<]*/g,
      "<$1>",
    )
  return { ...result, pairs, body, notes: { ...result.notes, bucket: "" }, lengthBytes: 0 }
}
