/**
 * All signed protocols over one set of identities in memory, each on a port of its own, and a request of each that needs a
 * permission.
 */
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { Denials, RateLimiter } from "@hayloft/access/index.js"
import { attemptsWithoutWaits } from "@hayloft/access/secrets/testing-attempts.js"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { fail } from "@hayloft/base/failures.js"
import { createCoordHandler } from "@hayloft/protocols/coord-api/index.js"
import { CoordWorld } from "@hayloft/features/locks/testing-coord.js"
import { QueueWorld } from "@hayloft/features/queues/testing-queues.js"
import { encodeSwiftToken } from "@hayloft/engine/format/swift/swift-token.js"
import type { Protocol } from "@hayloft/protocols/http/index.js"
import { createIamHandler } from "@hayloft/protocols/iam/index.js"
import { createK2vHandler } from "@hayloft/protocols/k2v/index.js"
import { KeyPolicies, KeyService } from "@hayloft/access/keys/index.js"
import { MemoryMaterials } from "@hayloft/access/keys/testing-materials.js"
import { createKmsHandler } from "@hayloft/protocols/kms/index.js"
import { Items } from "@hayloft/features/items/items.js"
import { createQueueHandler } from "@hayloft/protocols/queue-api/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { createSwiftHandler } from "@hayloft/protocols/swift/index.js"
import { must } from "@hayloft/base/assert.js"
import { exchange, type RawResponse } from "../../conformance/raw-client.js"
import { AccessWorld } from "../access/world.js"
import { formOf, formRequest, ROOT, sign, SimWeb, type Signer } from "../iam/world.js"
import type { HandlerRequest } from "../s3/ask.js"
import { handleModel, listenTo } from "../s3/over-model.js"
import { swiftParts } from "../swift/world.js"

export const BUCKET = "mine"
const REGION = "us-east-1"

/** A request that needs a permission, and how it is to be recorded. */
export interface SignedCase {
  readonly name: string
  /** The name of its server. */
  readonly port: string
  /** The name of the service in denials, and in the last use of keys. */
  readonly service: string
  /** The name of the operation in the metrics and in the log. */
  readonly operation: string
  /** The status of an answer to a sender who could not prove to have the key. */
  readonly unproved: 400 | 401 | 403
  readonly of: (signer: Signer) => HandlerRequest
}

const plain = (method: string, rawTarget: string, headers: readonly string[] = []): HandlerRequest => ({
  method,
  rawTarget,
  rawHeaders: ["host", "localhost", ...headers],
})

const signedCase = (
  [name, port, service, operation]: readonly [string, string, string, string],
  request: HandlerRequest,
  unproved: SignedCase["unproved"] = 403,
): SignedCase => ({ name, port, service, operation, unproved, of: signer => sign(request, service, signer) })

const JSON_OF_SQS = ["x-amz-target", "AmazonSQS.ListQueues", "content-type", "application/x-amz-json-1.0"]
const LIST_KEYS = ["x-amz-target", "TrentService.ListKeys"]
const TOKEN_SECONDS = 3_600

const tokenOf = ({ accessKeyId, secret }: Signer): string => {
  const expiresSeconds = Math.floor(Date.now() / 1_000) + TOKEN_SECONDS
  return encodeSwiftToken({ accessKeyId: parseAccessKeyId(accessKeyId), expiresSeconds }, secret)
}

/** `number`: that of the account. */
export const casesOf = (number: string): readonly SignedCase[] => [
  signedCase(["S3", "s3", "s3", "GetObject"], plain("GET", `/${BUCKET}/k`)),
  {
    name: "Swift",
    port: "swift",
    service: "swift",
    operation: "Swift GET object",
    unproved: 401,
    of: signer => plain("GET", `/v1/AUTH_${number}/${BUCKET}/k`, ["x-auth-token", tokenOf(signer)]),
  },
  signedCase(["K2V", "k2v", "k2v", "k2v:ReadIndex"], plain("GET", `/${BUCKET}`)),
  signedCase(["REST queues", "queue", "sqs", "sqs:GetJob"], plain("GET", "/queue?from=q&nohang=1")),
  signedCase(["SQS, JSON", "queue", "sqs", "sqs:ListQueues"], {
    ...plain("POST", "/", JSON_OF_SQS),
    body: Buffer.from("{}"),
  }),
  signedCase(["SQS, query", "queue", "sqs", "sqs:ListQueues"], formRequest("Action=ListQueues&Version=2012-11-05")),
  signedCase(["coordination", "coord", "coord", "coord:ListLocks"], plain("GET", "/coord/locks/app/"), 401),
  signedCase(["IAM", "iam", "iam", "iam:ListUsers"], formRequest(formOf("ListUsers"))),
  signedCase(["KMS", "kms", "kms", "kms:ListKeys"], { ...plain("POST", "/", LIST_KEYS), body: Buffer.from("{}") }, 400),
]

export interface Recorded {
  readonly answer: RawResponse
  /** The log line of the request. */
  readonly line: Readonly<Record<string, unknown>>
}

export class SignedWorld {
  readonly telemetry = new SimTelemetry()
  readonly denials = new Denials()
  readonly protocols: Readonly<Record<string, Protocol>>
  private readonly ports = new Map<string, { readonly port: number; readonly stop: () => Promise<void> }>()
  /** The owner of the key that the next request to coordination signs in with, without a signature. */
  signedIn: AccessKeyId | undefined

  private constructor(readonly access: AccessWorld) {
    const { accounts } = access.access
    const { telemetry, denials } = this
    const { metrics } = telemetry
    const [clock, random, audit, attempts] = [
      new RealClock(),
      new SimRandom(3),
      new FakeAudit(),
      attemptsWithoutWaits(),
    ]
    const rates = new RateLimiter(clock, metrics, () => 1)
    const shared = { accounts, clock, metrics, denials, rates, attempts }
    const { handler: s3, settings, services } = handleModel({ ...shared, audit }, telemetry)
    const { metadata } = access
    const items = new Items({ clock, metadata, prepare: async () => undefined, isShared: false })
    const external = (): never => {
      throw fail("keyServiceUnavailable", { message: "there is no other key service" })
    }
    const keys = new KeyService({
      metadata,
      random,
      materials: new MemoryMaterials(),
      accounts,
      region: REGION,
      external,
    })
    this.protocols = {
      s3,
      swift: createSwiftHandler({ ...settings, ...swiftParts(), accounts, attempts }),
      k2v: createK2vHandler({
        ...shared,
        items,
        buckets: services.buckets,
        region: undefined,
        denialsOfBucket: () => undefined,
      }),
      queue: createQueueHandler({
        ...shared,
        queues: new QueueWorld().queues,
        region: undefined,
        store: { node: "0123abcd", version: "test", copiesNow: () => 1, nodes: () => [] },
      }),
      coord: createCoordHandler({
        ...shared,
        coordination: new CoordWorld().coordination,
        region: undefined,
        shownRegion: REGION,
        rootAccount: access.account,
        holderOf: async () => {
          if (this.signedIn === undefined) throw fail("accessDenied", { message: "sign in" })
          return { kind: "principal", key: await access.mustKnow(this.signedIn), sessionToken: undefined }
        },
      }),
      iam: createIamHandler({ ...shared, ...access.access, web: new SimWeb(), audit }),
      kms: createKmsHandler({ ...shared, keys, policies: new KeyPolicies(), random, audit }),
    }
  }

  static async open(): Promise<SignedWorld> {
    const world = new SignedWorld(await AccessWorld.open())
    for (const [name, protocol] of Object.entries(world.protocols))
      world.ports.set(name, await listenTo(protocol, { name, telemetry: world.telemetry }))
    await world.send("s3", sign(plain("PUT", `/${BUCKET}`), "s3", ROOT))
    return world
  }

  async stop(): Promise<void> {
    await Promise.all([...this.ports.values()].map(({ stop }) => stop()))
  }

  get rootNumber(): Promise<string> {
    return this.access.mustKnow(parseAccessKeyId(ROOT.accessKeyId)).then(({ account }) => account.number)
  }

  /** A user of a new account, who may do nothing. */
  async user(name: string): Promise<Signer & { readonly id: AccessKeyId }> {
    await this.access.create("user", name)
    const { key, secret } = await this.access.access.accounts.createKey({
      accountId: this.access.account,
      userName: name,
    })
    return { id: key.id, accessKeyId: key.id, secret }
  }

  /** Waits until the request is recorded. */
  async send(port: string, { method, rawTarget, rawHeaders, body }: HandlerRequest): Promise<Recorded> {
    const of = must(this.ports.get(port), port)
    const seen = this.telemetry.entries("request").length
    const pairs = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, rawHeaders[at + 1] ?? ""] as const] : []))
    const length = body === undefined ? [] : [["content-length", String(body.length)] as const]
    const request = { method, target: rawTarget, headers: [...pairs, ...length], ...(body && { body: [body] }) }
    const answer = await exchange({ host: "127.0.0.1", port: of.port }, request)
    const line = await this.lineAfter(seen, port)
    return { answer, line }
  }

  private async lineAfter(seen: number, server: string): Promise<Recorded["line"]> {
    const find = () =>
      this.telemetry
        .entries("request")
        .slice(seen)
        .find(({ fields }) => fields["server"] === server)
    await until("the request is logged", () => find() !== undefined, 1)
    return must(find(), "it is logged").fields
  }
}
